/*
 * config.h: the configuration as plain data.
 *
 * conf_load() fills these structs from the JSON files by way of the key rows
 * in conf/keys.c; nothing here has been opened, compiled or resolved yet.
 * Everything lives in conf->arena and is immutable once loaded. Durations are
 * in milliseconds, sizes in bytes. A string is NULL when the key is absent.
 */
#ifndef BASCULE_CONF_CONFIG_H
#define BASCULE_CONF_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "base/files.h"
#include "base/log.h"

/* The value of a number that the file does not give and that inherits (limits, timeouts). */
#define CONF_UNSET UINT64_MAX

struct conf_places;

/* Where an object begins, for messages of those who use it later. */
struct conf_where {
	const char *file;
	unsigned line, column; /* from 1 */
	const struct conf_places *places; /* of all fields of the config; NULL: not known */
};

/* Where a field of the object at `at` was given, as long as the config lives; *at when it was not. */
struct conf_where conf_place(const struct conf_where *at, const void *field);

struct conf_strings {
	const char **v;
	size_t n;
};

/* Inheritable: route, then site, then the top level, then the default. Resolved when conf_load() returns. */
struct conf_limits {
	uint64_t head_bytes;              /* of a request's head, and of a response's */
	uint64_t fields;                  /* in one head */
	uint64_t body_bytes;              /* of a request; 0: any */
	uint64_t requests_per_connection; /* then the connection is closed; 0: any */
};

struct conf_timeouts {
	uint64_t handshake;      /* from accept to the end of the TLS handshake */
	uint64_t head;           /* from the first byte of a request to the end of its head */
	uint64_t body;           /* between two reads of a request's body */
	uint64_t idle;           /* a client connection between two requests */
	uint64_t send;           /* while a client takes nothing of what waits for it */
	uint64_t connect;        /* to an origin, with its TLS handshake */
	uint64_t response;       /* from the request's end to the response's head */
	uint64_t response_body;  /* between two reads of a response's body */
	uint64_t tunnel;         /* an upgraded connection with nothing going either way */
};

enum conf_redirect { CONF_REDIRECT_NONE, CONF_REDIRECT_HTTPS };

/* Who begins each connection with a header of the PROXY protocol. */
struct conf_proxies {
	bool present;
	struct conf_strings from; /* CIDR, and "unix:" for whoever connects to a Unix socket */
};

struct conf_listener {
	struct conf_where at;
	const char *address; /* "*:443", "[::]:443", "127.0.0.1:8443"; "*" listens on IPv4 and IPv6 */
	bool tls;
	enum conf_redirect redirect; /* answer every request with 301 to https */
	uint64_t redirect_port;      /* in that answer's Location; 443 leaves it out */
	struct conf_proxies proxies;
	uint64_t backlog;
};

/* A part of a rotation: this share of the clients gets the new generation. */
struct conf_stage {
	struct conf_where at;
	uint64_t share; /* percent */
	uint64_t lasts; /* then the next one */
};

/*
 * What a new certificate may lose against the one in service. It is held back then, unless the loss is accepted by its
 * word: X(name, word).
 */
#define CONF_LOSSES(X)                              \
	X(CONF_LOST_NAMES, "lost-names")            \
	X(CONF_EARLIER_EXPIRY, "earlier-expiry")    \
	X(CONF_ANOTHER_ROOT, "another-root")        \
	X(CONF_WEAKER_KEY, "weaker-key")            \
	X(CONF_TOO_FRESH, "too-fresh")

enum conf_loss {
#define X(name, word) name,
	CONF_LOSSES(X)
#undef X
	CONF_LOSSES_N
};

extern const char *const conf_loss_words[]; /* by enum conf_loss; ends with NULL */

/* Who is told of a rotation; none of it: nobody. */
struct conf_notify {
	struct conf_where at;
	struct conf_strings command; /* and its arguments; none: no command is run */
	const char *url;             /* NULL: nothing is posted */
	const char *ca;              /* PEM: whose certificates its server may have; NULL: the system's CAs */
	const char *authorization;   /* a file with the value of that field; NULL: none is sent */
};

/* What begins a rotation: a load that finds new content; or a word, for which it waits. */
enum conf_start { CONF_START_AUTOMATIC, CONF_START_MANUAL };

/* What happens when a bundle's content changes. */
struct conf_rotation {
	struct conf_where at;
	enum conf_start start;
	unsigned accept;           /* losses, each its bit (1 << enum conf_loss) */
	uint64_t fresh;            /* a certificate that is valid for less than that is too fresh; 0: none is */
	struct conf_stage *stages; /* none: at once */
	size_t n_stages;
	uint64_t keep_previous;    /* for clients that refuse the new one; 0: nobody is rescued */
	uint64_t retry, retry_max; /* when those are offered the new one again */
	uint64_t silent_limit;     /* silent ends in a row that make a suspect; 0: none do */
	uint64_t silent_within;    /* after the handshake */
	struct {
		uint64_t clients, networks, share; /* known clients that refuse; 0 clients: never */
	} rollback;
	struct conf_notify notify;
	uint64_t clients; /* that are tracked; CONF_ROTATION_CLIENTS_MAX at most */
	bool track;       /* clients are known before a rotation begins */
};

/* A named bundle: exactly one of certificate+key, combined, pkcs12, directory. */
struct conf_bundle {
	struct conf_where at;
	const char *name;
	const char *certificate;   /* PEM: the leaf and its intermediates */
	const char *key;           /* PEM */
	const char *chain;         /* PEM: more intermediates; optional */
	const char *combined;      /* one PEM file with the key, the leaf and its intermediates */
	const char *pkcs12;
	const char *password_file; /* for pkcs12 */
	struct conf_rotation rotation;
	const char *directory;     /* each NAME/ or NAME.pem or NAME.p12 (+ NAME.pass) in it is a bundle called NAME */
};

struct conf_pin {
	struct conf_where at;
	const char *ca; /* PEM; each certificate in it is trusted, and nothing else */
	const char *from, *until; /* dates, checked; NULL: always */
};

/* When it comes into force and when it no longer is, seconds of the epoch; INT64_MIN and INT64_MAX: always, never. */
int64_t conf_pin_from(const struct conf_pin *p);
int64_t conf_pin_until(const struct conf_pin *p);

enum conf_client_certificate_mode { CONF_CLIENT_NONE, CONF_CLIENT_OPTIONAL, CONF_CLIENT_REQUIRED };
enum conf_crl_check { CONF_CRL_LEAF, CONF_CRL_CHAIN };

/* What becomes of an open connection whose certificate a changed rule would refuse. */
enum conf_when_refused { CONF_REFUSED_NEXT_REQUEST, CONF_REFUSED_CLOSE, CONF_REFUSED_KEEP };

struct conf_client_certificate {
	struct conf_where at;
	enum conf_client_certificate_mode mode;
	struct conf_pin *pins;
	size_t n_pins;
	struct conf_strings crls; /* PEM or DER files */
	enum conf_crl_check crl_check;
	uint64_t depth; /* intermediates allowed between the leaf and the pin */
	enum conf_when_refused when_refused;
	uint64_t window;   /* ms: who has not come for so long is not waited for when a pin is to be dropped */
	uint64_t remember; /* certificates of each CA; CONF_REMEMBER_MAX at most */
};

/* Fields set and removed on the way; `value` may hold ${host}, ${client_address}, ${scheme} and the like. */
struct conf_field {
	const char *name, *value;
};

struct conf_fields {
	struct conf_field *set;
	size_t n_set;
	struct conf_strings remove;
};

/* A condition on one request field: PCRE2 pattern that must match its value. */
struct conf_match {
	const char *name, *pattern;
};

struct conf_route {
	struct conf_where at;
	const char *path;            /* PCRE2 on the path without the query; NULL: any */
	const char *host;            /* PCRE2 on the host without the port; NULL: any */
	struct conf_strings methods; /* none: any */
	struct conf_match *headers;
	size_t n_headers;
	const char *upstream;        /* NULL: the site's */
	const char *rewrite;         /* replacement for what `path` matched: $1, ${name}; NULL: as it is */
	struct conf_fields request_headers, response_headers;
	struct conf_limits limits;
	struct conf_timeouts timeouts;
};

enum { CONF_SITE_BUNDLES_MAX = 4 };

/* So many can be kept for a later day, whatever they are like; of certificates, when their subjects are not too long. */
enum { CONF_ROTATION_CLIENTS_MAX = 1000000, CONF_REMEMBER_MAX = 1000000 };

struct conf_site {
	struct conf_where at;
	struct conf_strings names; /* exact, or "*.suffix" for any depth below; lower case */
	bool is_default;           /* serves what no site names */
	struct conf_strings bundles; /* none: by name among the bundles of the directories */
	struct conf_client_certificate client;
	struct conf_route *routes; /* the first that matches wins */
	size_t n_routes;
	const char *upstream;      /* when no route matches; NULL: 404 then */
	bool connection_auth;      /* clients authenticate their connection: each has origin connections of its own */
	bool trace;                /* TRACE goes to the origin; 405 without */
	struct conf_fields request_headers, response_headers;
	struct conf_limits limits;
	struct conf_timeouts timeouts;
};

struct conf_server {
	struct conf_where at;
	const char *address; /* host:port */
	uint64_t weight;
};

/* TLS to the servers of an upstream; present is false for plain TCP. */
struct conf_upstream_tls {
	bool present;
	struct conf_where at;
	const char *ca;           /* PEM; NULL: the system's store */
	struct conf_strings pins; /* "sha256/BASE64" of a server certificate's public key (RFC 7469, 2.4) */
	bool verify;
	const char *name; /* verified and sent as SNI; NULL: the host of the server's address */
	const char *bundle; /* client certificate to show; NULL: none */
};

enum conf_balance { CONF_ROUND_ROBIN, CONF_LEAST_REQUESTS };

struct conf_sticky {
	bool present;
	const char *cookie; /* its name */
	const char *path;
};

struct conf_eject {
	uint64_t failures; /* in a row until a server is left out; 0: never */
	uint64_t time;     /* that long, then it is tried again */
};

/* What a connection to a server begins with. */
enum conf_proxy_protocol { CONF_PROXY_NONE, CONF_PROXY_V1, CONF_PROXY_V2 };

enum conf_host_header { CONF_HOST_PASS, CONF_HOST_SERVER };

struct conf_upstream {
	struct conf_where at;
	const char *name;
	struct conf_server *servers;
	size_t n_servers;
	struct conf_upstream_tls tls;
	enum conf_balance balance;
	struct conf_sticky sticky;
	struct conf_eject eject;
	enum conf_host_header host; /* the client's Host, or the server's address */
	bool http2;                 /* towards the servers: by ALPN, or by prior knowledge without TLS */
	enum conf_proxy_protocol proxy_protocol;
	uint64_t idle_connections;  /* kept per thread */
	uint64_t idle_time;         /* kept that long */
	uint64_t tries;             /* servers tried for one request */
};

struct conf_tls {
	const char *min_version; /* "1.2" or "1.3" */
	const char *ciphers, *ciphersuites, *groups; /* NULL: the defaults of tls/ */
	uint64_t ticket_lifetime;
};

struct conf_http2 {
	bool enabled;
	uint64_t streams;           /* of one connection at a time */
	uint64_t stream_window, connection_window; /* bytes of request bodies on their way */
	uint64_t send_buffer;       /* bytes of responses that a connection's windows hold back */
	uint64_t flood_burst, flood_rate; /* frames that do nothing: so many at once, so many more a second */
};

enum conf_access_format { CONF_ACCESS_JSON, CONF_ACCESS_COMBINED };

struct conf_log {
	const char *error;  /* path; NULL: standard error */
	enum log_level level;
	const char *access; /* path; NULL: none */
	enum conf_access_format format;
};

enum conf_reload_policy { CONF_RELOAD_EACH, CONF_RELOAD_ALL_OR_NOTHING };

struct conf_reload {
	bool watch;         /* directories of certificates, without a signal */
	uint64_t poll;      /* as the fallback for file systems that send no events; 0: never */
	enum conf_reload_policy policy;
};

/* Keys marked "restart" in the reference take effect only when the supervisor starts anew. */
struct conf {
	struct arena arena;
	struct conf_where at;         /* the first file, without a line */
	struct conf_strings files;    /* every file that was read, absolute */
	const char *user, *group;     /* of the worker; NULL: nobody when started as root, else unchanged */
	uint64_t threads;             /* 0: one per processor */
	uint64_t connections;         /* client connections at once; 0: what the descriptor limit allows */
	const char *pid_file;
	const char *secret_file;      /* NULL: a random secret that ends with the supervisor */
	const char *state_dir;        /* NULL: rotations end with the supervisor */
	const char *admin_socket;     /* NULL: no admin API */
	uint64_t drain;               /* how long SIGQUIT waits for what is in flight */
	struct conf_strings trusted_proxies; /* CIDR: whose X-Forwarded-* are believed */
	struct conf_log log;
	struct conf_reload reload;
	struct conf_tls tls;
	struct conf_http2 http2;
	struct conf_limits limits;
	struct conf_timeouts timeouts;
	struct conf_listener *listeners;
	size_t n_listeners;
	struct conf_bundle *bundles;
	size_t n_bundles;
	struct conf_site *sites;
	size_t n_sites;
	struct conf_upstream *upstreams;
	size_t n_upstreams;
	/* Lists are in the order of the files; these are for conf_bundle() and conf_upstream(). */
	const struct conf_bundle **bundles_by_name;
	const struct conf_upstream **upstreams_by_name;
};

/* What is wrong with a config, all of it at once, a line each: "FILE:LINE:COLUMN: KEY: what; what to do". */
struct conf_problems {
	struct buf text;   /* the lines */
	unsigned errors;   /* any: the config is refused */
	unsigned warnings; /* lines that begin with "warning: " after the place, and those that are counted in one of these */
};

void conf_problems_init(struct conf_problems *p);

/* Room for so many bytes of text: for somebody who asked for all of it. Before the first problem. */
void conf_problems_room(struct conf_problems *p, size_t max);
void conf_problems_free(struct conf_problems *p);

/* All of `more` as well. */
void conf_problems_add(struct conf_problems *p, const struct conf_problems *more);

/* One of the lines; `before` and `after` together are its text without the "warning: " between them. */
struct conf_problem {
	bool is_warning;
	struct sv before, after; /* of an error `before` is empty */
};

/* Take the next line off `rest`, which begins as the whole text. False: there is none. */
bool conf_problems_next(struct sv *rest, struct conf_problem *out);

/* Add one; for those who find a fault in the config later (a pattern that does not compile). */
void conf_error(struct conf_problems *p, const struct conf_where *at, const char *key, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void conf_warning(struct conf_problems *p, const struct conf_where *at, const char *key, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/*
 * Read `path`, a file or a directory of *.json files, with its includes, through `files`. Paths in it are taken
 * relative to the file that names them. NULL when there are errors, all of which are in `problems`; references
 * (a site's bundle, a route's upstream) are checked here too. The caller frees with conf_free().
 */
struct conf *conf_load(struct files *files, const char *path, struct conf_problems *problems);

/*
 * The same, for one who is after all faults at once and serves nothing by it: with errors, what is left of the config
 * without the listeners, bundles, sites and upstreams that have any. NULL only when a file can not be read or parsed.
 */
struct conf *conf_load_sound(struct files *files, const char *path, struct conf_problems *problems);

void conf_free(struct conf *c); /* NULL is fine */

/*
 * The path of the admin socket alone, in `arena`, for those who ask the running proxy: it was started before whatever is
 * wrong with its config now. NULL: none is named. Only what keeps files from being read or parsed is in `problems`.
 */
const char *conf_find_admin_socket(struct files *files, const char *path, struct arena *arena,
    struct conf_problems *problems);

/* The keys that take effect only at a restart and differ, as "threads, admin.socket"; empty when there are none. */
void conf_needs_restart(const struct conf *running, const struct conf *loaded, char *out, size_t size);

/* Losses by their words, "lost-names,too-fresh", each its bit in `set`. False with err set: there is no such word. */
MUST_CHECK bool conf_losses(struct sv words, unsigned *set, struct err *err);

/* NULL: there is none of that name. */
const struct conf_upstream *conf_upstream(const struct conf *c, const char *name);
const struct conf_bundle *conf_bundle(const struct conf *c, const char *name);

/* What people know it by: its first name. */
static inline const char *
conf_site_name(const struct conf_site *s)
{
	return s->names.n > 0 ? s->names.v[0] : "default";
}

#endif
