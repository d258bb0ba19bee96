/*
 * keys_upstreams.c: the rows of upstreams and their servers.
 */
#include "conf/keys.h"

static const struct key server_keys[] = {
	ROW_STRING("address", conf_server, address,
	    "Host and port. A name is looked up at each load.", .flags = KEY_REQUIRED | KEY_LOWER,
	    .example = "\"10.0.0.1:8443\"", .check = check_server_address),
	ROW_NUMBER("weight", conf_server, weight,
	    "Its share of the requests, beside the weights of the others.", .min = 1, .max = 1000, .preset = 1),
};

static const struct key_object keys_server = {
	.name = "server",
	.intro = "One server of an upstream. A plain string is its address.",
	.example = "{ \"address\": \"10.0.0.1:8443\", \"weight\": 2 }",
	.keys = server_keys,
	.n_keys = COUNTOF(server_keys),
	.size = sizeof(struct conf_server),
	.at = offsetof(struct conf_server, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
	.shorthand = "address",
};

static const struct key upstream_tls_keys[] = {
	ROW_PATH("ca", conf_upstream_tls, ca,
	    "PEM: the CA of the servers' certificates. Without it, and without `pin`: the system's store.",
	    .example = "\"nodes-ca.pem\""),
	ROW_STRINGS("pin", conf_upstream_tls, pins,
	    "Public keys of the servers' certificates, as `sha256/` and the base64 of the hash (RFC 7469). "
	    "Without `ca` the key alone counts, whoever signed it; with `ca` both must be right.",
	    .example = "\"sha256/r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=\"", .check = check_key_pin),
	ROW_BOOL("verify", conf_upstream_tls, verify,
	    "False: any certificate is taken, so any server can pose as one of these. Each load warns of it.",
	    .preset = true),
	ROW_STRING("name", conf_upstream_tls, name,
	    "The name that is asked for and that the certificate must have. Without it: the host in `address`.",
	    .flags = KEY_LOWER, .example = "\"nodes.internal\"", .check = check_host_name),
	ROW_STRING("bundle", conf_upstream_tls, bundle,
	    "The bundle to show when a server asks for a client certificate.", .example = "\"proxy\""),
};

static const struct key_object keys_upstream_tls = {
	.name = "upstream_tls",
	.intro = "TLS to the servers of an upstream, verified unless told otherwise. An empty object is enough where "
		 "the system's CAs are right.",
	.example = "{ \"ca\": \"nodes-ca.pem\", \"name\": \"nodes.internal\" }",
	.keys = upstream_tls_keys,
	.n_keys = COUNTOF(upstream_tls_keys),
	.size = sizeof(struct conf_upstream_tls),
	.at = offsetof(struct conf_upstream_tls, at),
	.name_at = KEY_NO_FIELD,
	.present = offsetof(struct conf_upstream_tls, present),
};

static const struct key sticky_keys[] = {
	ROW_STRING("cookie", conf_sticky, cookie, "The cookie's name.", .text = "BASCULE", .check = check_token),
	ROW_STRING("path", conf_sticky, path, "The cookie's Path.", .text = "/", .check = check_cookie_path),
};

static const struct key_object keys_sticky = {
	.name = "sticky",
	.intro = "A client stays on its server by a cookie, which all nodes with the same `secret_file` understand. "
		 "When the server is gone, the client moves on.",
	.example = "{ \"cookie\": \"NODE\" }",
	.keys = sticky_keys,
	.n_keys = COUNTOF(sticky_keys),
	.size = sizeof(struct conf_sticky),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = offsetof(struct conf_sticky, present),
};

static const struct key eject_keys[] = {
	ROW_NUMBER("failures", conf_eject, failures,
	    "Failures in a row until a server is left out.", .min = 1, .max = 1000, .zero = "never", .preset = 3),
	ROW_DURATION("time", conf_eject, time,
	    "How long it is left out until it is tried again.", .min = 100, .max = DAY, .preset = 10 * SECOND),
};

static const struct key_object keys_eject = {
	.name = "eject",
	.intro = "When a failing server is left out for a while. A failure is a connection that is refused, reset or "
		 "timed out, or an answer that is not HTTP; a 500 is an answer.",
	.example = "{ \"failures\": 5, \"time\": \"30s\" }",
	.keys = eject_keys,
	.n_keys = COUNTOF(eject_keys),
	.size = sizeof(struct conf_eject),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key upstream_keys[] = {
	ROW_LIST("servers", conf_upstream, servers, conf_server, keys_server,
	    "One to 256 servers.", .flags = KEY_REQUIRED,
	    .example = "[ \"10.0.0.1:8080\", { \"address\": \"10.0.0.2:8080\", \"weight\": 2 } ]"),
	ROW_OBJECT("tls", conf_upstream, tls, conf_upstream_tls, keys_upstream_tls,
	    "Speak TLS to the servers. Without it: plain TCP."),
	ROW_WORD("balance", conf_upstream, balance, conf_balance,
	    "`round_robin`: by turns, as the weights say. `least_requests`: to the one that has the fewest to answer.",
	    .preset = CONF_ROUND_ROBIN, WORDS("round_robin", "least_requests")),
	ROW_OBJECT("sticky", conf_upstream, sticky, conf_sticky, keys_sticky, "Keep each client on one server."),
	ROW_OBJECT("eject", conf_upstream, eject, conf_eject, keys_eject, "Leave failing servers out for a while."),
	ROW_WORD("host", conf_upstream, host, conf_host_header,
	    "The Host field that servers get: `pass`, the client's; `server`, the address of the server.",
	    .preset = CONF_HOST_PASS, WORDS("pass", "server")),
	ROW_BOOL("http2", conf_upstream, http2,
	    "Speak HTTP/2 to the servers, many requests at a time on one connection: with `tls` where a server agrees (ALPN), "
	    "else HTTP/1.1; without, they must expect it. gRPC needs it. WebSocket, and requests that authenticate their "
	    "connection, go by HTTP/1.1.",
	    .preset = false),
	ROW_WORD("proxy_protocol", conf_upstream, proxy_protocol, conf_proxy_protocol,
	    "`v1`, `v2`: begin each connection to a server with a header of the PROXY protocol of that version, which tells "
	    "the client's address and the one that it came to; `v2` tells of its TLS as well. Such a connection serves that "
	    "one client's connection and ends with it. Servers must expect it.",
	    .preset = CONF_PROXY_NONE, WORDS("none", "v1", "v2"), .example = "\"v2\""),
	ROW_NUMBER("idle_connections", conf_upstream, idle_connections,
	    "Open connections that each thread keeps for its next requests.", .min = 1, .max = 65535, .zero = "none",
	    .preset = 256),
	ROW_DURATION("idle_time", conf_upstream, idle_time,
	    "How long they are kept. Keep it shorter than the keep-alive timeout of the servers, which else close a "
	    "connection just as a request goes out on it.",
	    .min = 100, .max = DAY, .preset = 60 * SECOND),
	ROW_NUMBER("tries", conf_upstream, tries,
	    "Servers tried for one request. Another is tried while nothing of the request has been sent, or when the "
	    "connection ended before an answer began and the request is idempotent and has no body.",
	    .min = 1, .max = 16, .preset = 3),
};

const struct key_object keys_upstream = {
	.name = "upstream",
	.intro = "Servers that do the same work.",
	.example = "{\n"
		   "  \"servers\": [ \"10.0.0.1:8443\", \"10.0.0.2:8443\" ],\n"
		   "  \"tls\": { \"ca\": \"nodes-ca.pem\" },\n"
		   "  \"balance\": \"least_requests\",\n"
		   "  \"sticky\": {}\n"
		   "}",
	.keys = upstream_keys,
	.n_keys = COUNTOF(upstream_keys),
	.size = sizeof(struct conf_upstream),
	.at = offsetof(struct conf_upstream, at),
	.name_at = offsetof(struct conf_upstream, name),
	.present = KEY_NO_FIELD,
};
