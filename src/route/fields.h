/*
 * fields.h: the header fields that a site or a route sets and removes.
 *
 * Values may hold ${name} of the variables below. They are compiled at load,
 * so that an unknown variable is a config error, not a surprise.
 */
#ifndef BASCULE_ROUTE_FIELDS_H
#define BASCULE_ROUTE_FIELDS_H

#include "conf/config.h"
#include "http/head.h"

/* X(id, name, help) */
#define FIELD_VARIABLES(X)                                                   \
	X(VAR_CLIENT_ADDRESS, "client_address", "the client's address")      \
	X(VAR_CLIENT_PORT, "client_port", "the client's port")               \
	X(VAR_HOST, "host", "the host of the request, without the port")     \
	X(VAR_SCHEME, "scheme", "http or https")                             \
	X(VAR_METHOD, "method", "the request's method")                      \
	X(VAR_PATH, "path", "path and query as the client sent them")        \
	X(VAR_REQUEST_ID, "request_id", "a number unique to the request")    \
	X(VAR_SERVER_NAME, "server_name", "the name in the TLS handshake")   \
	X(VAR_TLS_VERSION, "tls_version", "TLSv1.2 or TLSv1.3; empty without TLS")

enum field_variable {
#define X(id, name, help) id,
	FIELD_VARIABLES(X)
#undef X
	FIELD_VARIABLES_N
};

struct field_edits;

enum field_edits_of { FIELDS_OF_REQUESTS, FIELDS_OF_RESPONSES };

/*
 * NULL with the faults in `problems`. Empty edits give a set that does nothing. Refused are the fields that frame a
 * message or belong to one connection (Content-Length, Transfer-Encoding, Connection …), the removal of Host, a field
 * named twice, and an unknown variable. It borrows nothing from `c`.
 */
struct field_edits *field_edits_new(const struct conf_fields *c, enum field_edits_of of, const struct conf_where *at,
    struct conf_problems *problems);
void field_edits_free(struct field_edits *e); /* NULL is fine */

/* Bytes that field_edits_apply() appends with these values. */
size_t field_edits_room(const struct field_edits *e, const struct sv values[FIELD_VARIABLES_N]);

/*
 * Drop the removed ones, replace or append the set ones. The head then looks into the edits and into `text`, where the
 * values with variables are put together: so neither may be moved or freed while the head is used, and the room must
 * have been reserved before (buf_room(text, field_edits_room(…))). False, with the head half edited: too many
 * fields, no room, or a variable that holds what no field may hold (RFC 9110, 5.5).
 */
MUST_CHECK bool field_edits_apply(const struct field_edits *e, struct http_head *h,
    const struct sv values[FIELD_VARIABLES_N], struct buf *text);

#endif
