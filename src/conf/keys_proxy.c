/*
 * keys_proxy.c: the rows of the whole and of what concerns the proxy itself.
 */
#include "conf/keys.h"

static const struct key limits_keys[] = {
	ROW_SIZE("head_bytes", conf_limits, head_bytes,
	    "The largest head (request line and fields) of a request, and of a response. A larger request is "
	    "answered 431.",
	    .min = KIB, .max = MIB, .preset = 32 * KIB),
	ROW_NUMBER("fields", conf_limits, fields,
	    "The most fields in one head. More are answered 431.", .min = 1, .max = 128, .preset = 100),
	ROW_SIZE("body_bytes", conf_limits, body_bytes,
	    "The largest body of a request; a larger one is answered 413. Bodies are streamed, so a large one costs "
	    "no memory.",
	    .min = 1, .max = KEY_NO_MAX, .zero = "any size", .preset = 0, .example = "\"10m\""),
	ROW_NUMBER("requests_per_connection", conf_limits, requests_per_connection,
	    "After so many requests a client's connection is closed, which spreads long-lived clients over several "
	    "nodes.",
	    .min = 1, .max = KEY_NO_MAX, .zero = "any number", .preset = 0, .example = "1000"),
};

const struct key_object keys_limits = {
	.name = "limits",
	.intro = "How much a client may send. Can stand at the top, in a site and in a route; what a route does not "
		 "give is taken from its site, what a site does not give from the top.",
	.example = "{ \"head_bytes\": \"16k\", \"body_bytes\": \"10m\" }",
	.keys = limits_keys,
	.n_keys = COUNTOF(limits_keys),
	.size = sizeof(struct conf_limits),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
	.inherits = true,
};

#define ROW_TIMEOUT(m, h, ...) ROW_DURATION(#m, conf_timeouts, m, h, .min = 100, .max = DAY, ##__VA_ARGS__)

static const struct key timeouts_keys[] = {
	ROW_TIMEOUT(handshake, "From the accepted connection to the end of its TLS handshake.", .preset = 10 * SECOND),
	ROW_TIMEOUT(head,
	    "From the first byte of a request to the end of its head; 408 then. Keep it short: slow heads are a "
	    "cheap attack.",
	    .preset = 10 * SECOND),
	ROW_TIMEOUT(body, "Between two reads of a request's body, until it is being answered; 408 then.", .preset = 30 * SECOND),
	ROW_TIMEOUT(idle, "How long a client's connection may wait for its next request.", .preset = 75 * SECOND),
	ROW_TIMEOUT(send, "How long a client may take nothing of what waits for it.", .preset = 30 * SECOND),
	ROW_TIMEOUT(connect,
	    "To open a connection to a server, with its TLS handshake; then the next server is tried, 504 at last.",
	    .preset = 5 * SECOND),
	ROW_TIMEOUT(response,
	    "From the end of a request to the head of its response; 504 then. Give routes with long polls a longer "
	    "one. A gRPC call has its own, in `grpc-timeout`, up to `tunnel`.",
	    .preset = 60 * SECOND),
	ROW_TIMEOUT(response_body,
	    "Between two reads of a response's body. Give routes that stream events a longer one. A gRPC call has its own, as "
	    "above.",
	    .preset = 60 * SECOND),
	ROW_DURATION("tunnel", conf_timeouts, tunnel,
	    "An upgraded connection (WebSocket) with nothing going either way.", .min = 100, .max = 7 * DAY,
	    .preset = HOUR),
};

const struct key_object keys_timeouts = {
	.name = "timeouts",
	.intro = "One for each phase of a request. Can stand at the top, in a site and in a route; what a route does "
		 "not give is taken from its site, what a site does not give from the top. `handshake` passes before "
		 "the site is known, `head` and `idle` before the route is: give those further up.",
	.example = "{ \"response\": \"10m\", \"response_body\": \"1h\" }",
	.keys = timeouts_keys,
	.n_keys = COUNTOF(timeouts_keys),
	.size = sizeof(struct conf_timeouts),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
	.inherits = true,
};

static const char *const level_words[] = {
#define X(level, word) [level] = word,
	LOG_LEVELS(X)
#undef X
	NULL,
};

static const struct key log_keys[] = {
	ROW_PATH("error", conf_log, error, "The error log. Without it: standard error, which systemd keeps.",
	    .example = "\"/var/log/bascule/error.log\""),
	ROW_WORD("level", conf_log, level, log_level,
	    "The least grave lines that are written. `info` has one line for each connection that ended unusually.",
	    .preset = LOG_NOTICE, .words = level_words),
	ROW_PATH("access", conf_log, access, "The access log, a line a request, up to a second after its end. Without it: none.",
	    .example = "\"/var/log/bascule/access.log\""),
	ROW_WORD("format", conf_log, format, conf_access_format,
	    "Of the access log: `json`, one object a line, or `combined`, as other web servers write it; "
	    "docs/access-log.md explains both.",
	    .preset = CONF_ACCESS_JSON, WORDS("json", "combined")),
};

static const struct key_object keys_log = {
	.name = "log",
	.intro = "Where the logs go. SIGUSR1 opens the files again after they were moved. The proxy never waits for a log: a "
	         "line that it does not take at once (nobody reads the pipe, the disk is full) is lost, which is counted and told.",
	.example = "{ \"error\": \"/var/log/bascule/error.log\", \"access\": \"/var/log/bascule/access.log\", "
		 "\"format\": \"combined\" }",
	.keys = log_keys,
	.n_keys = COUNTOF(log_keys),
	.size = sizeof(struct conf_log),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key admin_keys[] = {
	ROW_PATH("socket", conf, admin_socket,
	    "The Unix socket of the admin API, made with mode 0600; `bascule status` and `bascule reload` talk to "
	    "it, to the end of a drain. Without it there is none.",
	    .flags = KEY_RESTART, .example = "\"/run/bascule/admin.sock\""),
};

/* Its field is one of struct conf, so it lies at offset 0 of it. */
static const struct key_object keys_admin = {
	.name = "admin",
	.intro = "How to look into the running proxy.",
	.example = "{ \"socket\": \"/run/bascule/admin.sock\" }",
	.keys = admin_keys,
	.n_keys = COUNTOF(admin_keys),
	.size = sizeof(struct conf),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key reload_keys[] = {
	ROW_BOOL("watch", conf_reload, watch,
	    "Watch the directories of certificates, keys, CAs and CRLs, and load what changes without a signal.", .preset = true),
	ROW_DURATION("poll", conf_reload, poll,
	    "Look at the files this often too: file systems on a network send no events. Works only with "
	    "`watch`.", .min = SECOND,
	    .max = DAY, .zero = "never", .preset = 10 * SECOND),
	ROW_WORD("policy", conf_reload, policy, conf_reload_policy,
	    "When one bundle is bad: `each` keeps the last good one of that bundle and loads the rest (the watch does the "
	    "same with CAs and CRLs, which a reload refuses as a whole); `all_or_nothing` changes nothing at all.",
	    .preset = CONF_RELOAD_EACH, WORDS("each", "all_or_nothing")),
};

static const struct key_object keys_reload = {
	.name = "reload",
	.intro = "What happens when files change. SIGHUP and `bascule reload` load the config and all bundles anew "
		 "at any time; an error in the config changes nothing.",
	.example = "{ \"watch\": true, \"poll\": \"1m\", \"policy\": \"all_or_nothing\" }",
	.keys = reload_keys,
	.n_keys = COUNTOF(reload_keys),
	.size = sizeof(struct conf_reload),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key tls_keys[] = {
	ROW_STRING("min_version", conf_tls, min_version,
	    "The oldest TLS version that a client may speak.", .text = "1.2", WORDS("1.2", "1.3")),
	ROW_STRING("ciphers", conf_tls, ciphers,
	    "Cipher suites of TLS 1.2, in OpenSSL's notation. Without it: those with forward secrecy and AEAD.",
	    .example = "\"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256\""),
	ROW_STRING("ciphersuites", conf_tls, ciphersuites,
	    "Cipher suites of TLS 1.3, in OpenSSL's notation. Without it: AES-128-GCM first.",
	    .example = "\"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384\""),
	ROW_STRING("groups", conf_tls, groups,
	    "Groups for the key exchange, the preferred first. Without it: X25519 first.",
	    .example = "\"X25519:P-256:P-384\""),
	ROW_DURATION("ticket_lifetime", conf_tls, ticket_lifetime,
	    "How long a client may resume a session without a full handshake.", .min = MINUTE, .max = 7 * DAY,
	    .preset = 12 * HOUR),
};

static const struct key_object keys_tls = {
	.name = "tls",
	.intro = "TLS towards clients. The defaults suit all clients of the last ten years.",
	.example = "{ \"min_version\": \"1.3\", \"ticket_lifetime\": \"1h\" }",
	.keys = tls_keys,
	.n_keys = COUNTOF(tls_keys),
	.size = sizeof(struct conf_tls),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key http2_keys[] = {
	ROW_BOOL("enabled", conf_http2, enabled, "Clients may speak HTTP/2.", .preset = true, .example = "false"),
	ROW_NUMBER("streams", conf_http2, streams, "Requests of one connection at a time.", .min = 1, .max = 1000, .preset = 128),
	ROW_SIZE("stream_window", conf_http2, stream_window,
	    "How much of a request's body a client may send before an origin has taken it, at most. It begins with 64 KiB, and is "
	    "doubled each time that so much has come and been taken at once: so it suits the line, and is small where origins are "
	    "slow.", .min = 65535, .max = 1024 * 1024, .preset = 1024 * 1024),
	ROW_SIZE("connection_window", conf_http2, connection_window,
	    "The same, for all requests of a connection together: the most that is kept of them. Half of it is for those that "
	    "grow, so that slow origins do not stop a client's other uploads.", .min = 65535, .max = 64 * 1024 * 1024,
	    .preset = 4 * 1024 * 1024),
	ROW_SIZE("send_buffer", conf_http2, send_buffer,
	    "How much of responses is kept for one connection whose client does not take them, beyond one read (64 KiB) of each. "
	    "Then no more is read from origins.", .min = 65536, .max = 64 * 1024 * 1024, .preset = 1024 * 1024),
	ROW_NUMBER("flood_burst", conf_http2, flood_burst,
	    "How many frames that bring nothing a connection may send at once: PING, SETTINGS, PRIORITY, PRIORITY_UPDATE, DATA "
	    "without content, WINDOW_UPDATE of less than 1 KiB. A request that is taken back, malformed or one too many counts as "
	    "two; each request that comes makes room for one. Beyond it the connection ends with ENHANCE_YOUR_CALM, and is counted "
	    "as closed for the reason \"flood\".", .min = 50, .max = 100000, .preset = 400),
	ROW_NUMBER("flood_rate", conf_http2, flood_rate, "So many more of them a second. Clients that many people share "
	    "(gateways, gRPC with short deadlines) may need more: the log names what there was too much of.",
	    .min = 1, .max = 100000, .preset = 50),
};

static const struct key_object keys_http2 = {
	.name = "http2",
	.intro = "HTTP/2 towards clients: what one connection may have at a time.",
	.example = "{ \"streams\": 64 }",
	.keys = http2_keys,
	.n_keys = COUNTOF(http2_keys),
	.size = sizeof(struct conf_http2),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key proxies_keys[] = {
	ROW_STRINGS("from", conf_proxies, from,
	    "Networks of these proxies; `unix:` for whoever connects to a Unix socket. Who connects from elsewhere sends no "
	    "header, and is the client itself.",
	    .flags = KEY_REQUIRED, .example = "[ \"10.0.0.0/8\", \"2001:db8::/32\" ]", .check = check_network_or_unix),
};

static const struct key_object keys_proxies = {
	.name = "proxy_protocol",
	.intro = "Proxies in front that begin each connection with a header of the PROXY protocol, version 1 or 2, which tells "
		 "whom they speak for. From them it is demanded: a connection without it, or with one that is malformed or "
		 "takes longer than `timeouts.handshake`, is closed. The address told is the client's from then on, everywhere. "
		 "docs/forwarding.md tells more.",
	.example = "{ \"from\": [ \"10.0.0.0/8\" ] }",
	.keys = proxies_keys,
	.n_keys = COUNTOF(proxies_keys),
	.size = sizeof(struct conf_proxies),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = offsetof(struct conf_proxies, present),
	.shorthand = "from",
};

static const struct key listener_keys[] = {
	ROW_STRING("address", conf_listener, address,
	    "Address and port. `*:443` listens on IPv4 and IPv6, `[::1]:443` on one IPv6 address, `unix:/path` on a "
	    "Unix socket.",
	    .flags = KEY_REQUIRED, .example = "\"*:443\"", .check = check_listen_address),
	ROW_BOOL("tls", conf_listener, tls,
	    "Clients speak TLS here. Which certificate they get, the sites tell.", .preset = false, .example = "true"),
	ROW_WORD("redirect", conf_listener, redirect, conf_redirect,
	    "`https`: every request is sent to the same place under https: GET and HEAD with 301, others, which "
	    "must keep their body, with 308.", .preset = CONF_REDIRECT_NONE,
	    WORDS("none", "https"), .example = "\"https\""),
	ROW_NUMBER("redirect_port", conf_listener, redirect_port,
	    "The port in that answer; 443 is left out of it.", .min = 1, .max = 65535, .preset = 443,
	    .example = "8443"),
	ROW_OBJECT("proxy_protocol", conf_listener, proxies, conf_proxies, keys_proxies,
	    "Proxies that tell by the PROXY protocol whom they speak for."),
	ROW_NUMBER("backlog", conf_listener, backlog,
	    "Connections that the kernel keeps waiting for each thread; net.core.somaxconn bounds "
	    "it.", .min = 1, .max = 65535,
	    .preset = 4096),
};

static const struct key_object keys_listener = {
	.name = "listener",
	.intro = "An address where clients connect.",
	.example = "{ \"address\": \"*:443\", \"tls\": true }",
	.keys = listener_keys,
	.n_keys = COUNTOF(listener_keys),
	.size = sizeof(struct conf_listener),
	.at = offsetof(struct conf_listener, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key top_keys[] = {
	KEY_ROW("$schema", KEY_STRING, 0, "For editors, which complete and check by it; the proxy does not read it.",
	    .flags = KEY_NOT_STORED, .example = "\"schema.json\""),
	KEY_ROW("include", KEY_STRINGS, 0,
	    "More files to read: a file, a directory (all `*.json` in it), or a pattern such as `sites/*.json`. "
	    "Lists and named objects of all files are put together; any other key can stand in one of them only.",
	    .flags = KEY_NOT_STORED, .example = "\"sites/*.json\""),
	ROW_LIST("listeners", conf, listeners, conf_listener, keys_listener, "Where clients connect.",
	    .example = "[ { \"address\": \"*:443\", \"tls\": true } ]"),
	ROW_MAP("bundles", conf, bundles, conf_bundle, keys_bundle, "Certificates with their keys, by name.",
	    .example = "{ \"shop\": { \"certificate\": \"shop.pem\", \"key\": \"shop.key\" } }"),
	ROW_LIST("sites", conf, sites, conf_site, keys_site, "What is served under which names."),
	ROW_MAP("upstreams", conf, upstreams, conf_upstream, keys_upstream,
	    "Groups of servers that requests go to, by name.",
	    .example = "{ \"nodes\": { \"servers\": [ \"10.0.0.1:8080\" ] } }"),
	ROW_STRING("user", conf, user,
	    "The user that the worker runs as. Without it: `nobody` when started as root, else who started it.",
	    .flags = KEY_RESTART, .example = "\"bascule\""),
	ROW_STRING("group", conf, group, "The group that the worker runs as. Without it: the main group of the user.",
	    .flags = KEY_RESTART, .example = "\"bascule\""),
	ROW_NUMBER("threads", conf, threads,
	    "Threads that serve connections.",
	    .flags = KEY_RESTART, .min = 1, .max = 63, .zero = "one per processor", .preset = 0, .example = "4"),
	ROW_NUMBER("connections", conf, connections,
	    "Client connections at once; further ones are closed when accepted.", .flags = KEY_RESTART, .min = 1,
	    .max = 10000000, .zero = "as many as the limit on open files allows", .preset = 0, .example = "20000"),
	ROW_PATH("pid_file", conf, pid_file, "The supervisor's process id is written here, until it drains or ends.",
	    .flags = KEY_RESTART, .example = "\"/run/bascule.pid\""),
	ROW_PATH("secret_file", conf, secret_file,
	    "32 to 512 random bytes, the same on all nodes of a cluster: session tickets and sticky cookies of one "
	    "are then good on all, and outlive a restart. Without it: a random secret that ends with the process.",
	    .flags = KEY_RESTART, .example = "\"secret\""),
	ROW_PATH("state_dir", conf, state_dir,
	    "A directory, made by you with mode 0700 for the user who starts the proxy, where rotations are kept: a restart "
	    "goes on where they were, with the generations of each bundle, their keys, and what is known of clients. Without "
	    "`secret_file` the secret lies there, too. Without it rotations outlive the worker, not a restart.",
	    .flags = KEY_RESTART, .example = "\"/var/lib/bascule\""),
	ROW_STRINGS("trusted_proxies", conf, trusted_proxies,
	    "Networks of proxies in front of this one, whose `X-Forwarded-*` and `Forwarded` fields are believed. "
	    "All others' are removed; docs/forwarding.md tells more.",
	    .example = "[ \"10.0.0.0/8\", \"2001:db8::/32\" ]", .check = check_network),
	ROW_DURATION("drain_timeout", conf, drain,
	    "How long SIGQUIT waits for requests and tunnels before it ends them.", .min = 100, .max = DAY,
	    .zero = "not at all", .preset = 30 * SECOND),
	ROW_OBJECT("log", conf, log, conf_log, keys_log, "Where the logs go."),
	KEY_ROW("admin", KEY_OBJECT, 0, "How to look into the running proxy.", .object = &keys_admin),
	ROW_OBJECT("reload", conf, reload, conf_reload, keys_reload, "What happens when files change."),
	ROW_OBJECT("tls", conf, tls, conf_tls, keys_tls, "TLS towards clients."),
	ROW_OBJECT("http2", conf, http2, conf_http2, keys_http2, "HTTP/2 towards clients."),
	ROW_OBJECT("limits", conf, limits, conf_limits, keys_limits, "How much a client may send."),
	ROW_OBJECT("timeouts", conf, timeouts, conf_timeouts, keys_timeouts, "How long each phase may take."),
};

const struct key_object conf_keys = {
	.name = "config",
	.intro = "The whole file: one object.",
	.example = "{\n"
		   "  \"listeners\": [\n"
		   "    { \"address\": \"*:443\", \"tls\": true },\n"
		   "    { \"address\": \"*:80\", \"redirect\": \"https\" }\n"
		   "  ],\n"
		   "  \"bundles\": { \"shop\": { \"certificate\": \"shop.pem\", \"key\": \"shop.key\" } },\n"
		   "  \"sites\": [ { \"names\": [ \"shop.example\" ], \"bundle\": \"shop\", \"upstream\": \"nodes\" } ],\n"
		   "  \"upstreams\": { \"nodes\": { \"servers\": [ \"10.0.0.1:8080\", \"10.0.0.2:8080\" ] } }\n"
		   "}",
	.keys = top_keys,
	.n_keys = COUNTOF(top_keys),
	.size = sizeof(struct conf),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

const struct key *
key_find(const struct key_object *o, const char *name)
{
	for (size_t i = 0; i < o->n_keys; i++)
		if (strcmp(o->keys[i].name, name) == 0)
			return &o->keys[i];
	return NULL;
}
