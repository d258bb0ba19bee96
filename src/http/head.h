/*
 * head.h: a parsed message head (RFC 9110, 6), the same for all versions of HTTP.
 *
 * The views look into bytes that somebody else keeps: the connection's
 * buffer, or the exchange's copy. A head does not own memory.
 */
#ifndef BASCULE_HTTP_HEAD_H
#define BASCULE_HTTP_HEAD_H

#include "base/sv.h"

enum { HTTP_FIELDS_MAX = 128 }; /* the ceiling of limits.fields */

/* How the body behind a head ends. */
enum http_framing {
	HTTP_NO_BODY,
	HTTP_LENGTH_BODY,   /* after so many bytes */
	HTTP_STREAMED_BODY, /* at a mark behind it: the last chunk */
	HTTP_CLOSE_BODY,    /* with the connection; HTTP/1 responses only */
};

/* What a known field is to a proxy. */
enum http_field_flags {
	HTTP_HOP = 1 << 0,        /* hop-by-hop: never forwarded (RFC 9110, 7.6.1) */
	HTTP_SINGLE = 1 << 1,     /* a second one makes a request ambiguous: 400 */
	HTTP_FORWARDING = 1 << 2, /* set by us; a client's own is removed unless it is trusted */
	HTTP_FRAMING = 1 << 3,    /* written by the codec itself, never copied */
	HTTP_KEPT = 1 << 4,       /* Connection may not nominate it: the message would say something else without */
};

/* X(id, name, flags): the fields the proxy itself looks at. HTTP_OTHER is any other. */
#define HTTP_FIELDS(X)                                                                      \
	X(HTTP_CONNECTION, "connection", HTTP_HOP | HTTP_FRAMING)                           \
	X(HTTP_CONTENT_LENGTH, "content-length", HTTP_FRAMING | HTTP_KEPT)                  \
	X(HTTP_TRANSFER_ENCODING, "transfer-encoding", HTTP_HOP | HTTP_FRAMING | HTTP_KEPT) \
	X(HTTP_HOST, "host", HTTP_SINGLE | HTTP_KEPT)                                       \
	X(HTTP_UPGRADE, "upgrade", HTTP_HOP)                                                \
	X(HTTP_KEEP_ALIVE, "keep-alive", HTTP_HOP)                                          \
	X(HTTP_PROXY_CONNECTION, "proxy-connection", HTTP_HOP)                              \
	X(HTTP_TE, "te", HTTP_HOP)                                                          \
	X(HTTP_TRAILER, "trailer", 0)                                                       \
	X(HTTP_EXPECT, "expect", 0)                                                         \
	X(HTTP_COOKIE, "cookie", HTTP_KEPT)                                                 \
	X(HTTP_SET_COOKIE, "set-cookie", HTTP_KEPT)                                         \
	X(HTTP_USER_AGENT, "user-agent", 0)                                                 \
	X(HTTP_REFERER, "referer", 0)                                                       \
	X(HTTP_AUTHORIZATION, "authorization", HTTP_SINGLE | HTTP_KEPT)                     \
	X(HTTP_WWW_AUTHENTICATE, "www-authenticate", HTTP_KEPT)                             \
	X(HTTP_LOCATION, "location", HTTP_KEPT)                                             \
	X(HTTP_DATE, "date", 0)                                                             \
	X(HTTP_SERVER, "server", 0)                                                         \
	X(HTTP_CONTENT_TYPE, "content-type", HTTP_SINGLE | HTTP_KEPT)                       \
	X(HTTP_FORWARDED, "forwarded", HTTP_FORWARDING | HTTP_KEPT)                         \
	X(HTTP_X_FORWARDED_FOR, "x-forwarded-for", HTTP_FORWARDING | HTTP_KEPT)             \
	X(HTTP_X_FORWARDED_HOST, "x-forwarded-host", HTTP_FORWARDING | HTTP_KEPT)           \
	X(HTTP_X_FORWARDED_PROTO, "x-forwarded-proto", HTTP_FORWARDING | HTTP_KEPT)         \
	X(HTTP_X_FORWARDED_PORT, "x-forwarded-port", HTTP_FORWARDING | HTTP_KEPT)           \
	X(HTTP_X_REAL_IP, "x-real-ip", HTTP_FORWARDING | HTTP_KEPT)

enum http_field_id {
	HTTP_OTHER,
#define X(id, name, flags) id,
	HTTP_FIELDS(X)
#undef X
	HTTP_FIELD_IDS
};

struct http_field {
	struct sv name, value; /* the value without white space around it */
	uint8_t id;            /* enum http_field_id */
	bool dropped;          /* not forwarded; stays for those who look */
};

enum http_method {
	HTTP_METHOD_OTHER,
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
	HTTP_TRACE,
	HTTP_CONNECT,
};

struct http_head {
	bool is_response;
	uint8_t major, minor;    /* HTTP/1.0, 1.1 or 2.0 */
	uint8_t method_id;       /* enum http_method; requests. The method of the request answered; responses */
	uint16_t status;         /* responses */
	uint16_t n_fields;
	struct sv method, target; /* requests: as sent */
	struct sv authority;     /* requests: host[:port] of the target, else of Host; empty in HTTP/1.0 only */
	struct sv path;          /* requests: path and query within target, "/" or "*"; empty: CONNECT */
	struct sv reason;        /* responses; may be empty */
	/* First field of each known id, index + 1; 0: absent. */
	uint8_t first[HTTP_FIELD_IDS];
	struct http_field fields[HTTP_FIELDS_MAX];
};

/* Without touching the fields array beyond n_fields: a head is large and made once per request. */
void http_head_init(struct http_head *h, bool is_response);

/* "HTTP/1.1"; static. */
const char *http_version(const struct http_head *h);

enum http_field_id http_field_id(struct sv name);
/* Equal but for case, and for "_" in place of "-". */
bool http_field_same(struct sv a, struct sv b);
unsigned http_field_flags(enum http_field_id id);
const char *http_field_name(enum http_field_id id);

/* The first field with this id or name that is not dropped; NULL: none. */
const struct http_field *http_head_get(const struct http_head *h, enum http_field_id id);
const struct http_field *http_head_find(const struct http_head *h, struct sv name);

/*
 * Append one, not copied: the views must live as long as the head. False when full, or when the name is no token or
 * the value holds a forbidden byte: so nothing that comes from a certificate or a config can forge a field line.
 */
MUST_CHECK bool http_head_add(struct http_head *h, struct sv name, struct sv value);
MUST_CHECK bool http_head_add_id(struct http_head *h, enum http_field_id id, struct sv value);

/*
 * Mark all of them dropped, those too that are spelled with "_" for "-": CGI and its heirs can not tell X_Real_IP from
 * X-Real-IP, so a field that the proxy vouches for must not come in that disguise either.
 */
void http_head_drop(struct http_head *h, enum http_field_id id);
void http_head_drop_name(struct http_head *h, struct sv name);

/*
 * Drop what must not go on: hop-by-hop fields and those that Connection nominates (RFC 9110, 7.6.1). Call it before
 * adding fields of one's own. False when Connection is malformed, has more than HTTP_OPTIONS_MAX members, or nominates
 * a field that it may not (HTTP_KEPT: end-to-end, or set by us): the message is ambiguous.
 */
enum { HTTP_OPTIONS_MAX = 32 };
MUST_CHECK bool http_head_strip(struct http_head *h);

/*
 * Is `token` a member of this comma-separated list field, in any of its lines? Case-insensitive. Looks at dropped
 * fields too: it asks what the peer said, not what is forwarded.
 */
bool http_head_has_token(const struct http_head *h, enum http_field_id id, struct sv token);

/* Methods are case-sensitive (RFC 9110, 9.1). */
enum http_method http_method_id(struct sv name);

/* Safe (RFC 9110, 9.2.1) or idempotent (9.2.2) by definition; false for unknown methods. */
bool http_method_is_idempotent(enum http_method m);

/* A reason phrase for a status; "" when it has none. */
const char *http_reason(unsigned status);

/* Syntax (RFC 9110, 5.6.2 and 5.5). A field value may hold obs-text, no other control byte than HTAB. */
bool http_is_token(struct sv s);
bool http_is_value(struct sv s);

/* What may stand in a request target: visible ASCII but "#"; at least one byte. */
bool http_is_target(struct sv s);

/*
 * host[:port] (RFC 3986, 3.2.2 and 3.2.3) into its parts; *port is 0 when there is none. An IPv6 address keeps its
 * brackets. False when malformed, or legal but read differently by different parsers: userinfo, percent-encoding,
 * empty labels, an empty port, a port with leading zeros.
 */
bool http_split_authority(struct sv authority, struct sv *host, uint16_t *port);

/*
 * One cookie's value from all Cookie fields, dropped ones too, as it stands there; the first one wins. False: none
 * of this name. Names are case-sensitive.
 */
bool http_cookie_get(const struct http_head *h, struct sv name, struct sv *value);

/*
 * Does it ask for, or give, credentials that hold for the connection from then on: NTLM or Negotiate in a response's
 * WWW-Authenticate or a request's Authorization, in any case? (connection_auth.c)
 */
bool http_authenticates_connection(const struct http_head *h);

#endif
