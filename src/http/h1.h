/*
 * h1.h: the HTTP/1.1 codec (RFC 9112). Pure functions over bytes, no I/O.
 *
 * Strict on purpose: what two parsers could read differently is refused,
 * never repaired. Bare LF, obs-fold, space before a colon, both
 * Content-Length and Transfer-Encoding, differing or malformed lengths, any
 * transfer coding but a single final "chunked", chunk extensions with control
 * bytes, NUL anywhere, duplicate Host, Content_Length with "_": all H1_BAD.
 */
#ifndef BASCULE_HTTP_H1_H
#define BASCULE_HTTP_H1_H

#include "base/buf.h"
#include "http/head.h"

enum h1_status { H1_MORE, H1_DONE, H1_BAD };

/* X(name, status to answer, text). One row a reason; the text goes to the log. */
#define H1_FAULTS(X)                                                               \
	X(H1_OK, 0, "")                                                            \
	X(H1_REQUEST_LINE, 400, "malformed request line")                          \
	X(H1_STATUS_LINE, 502, "malformed status line")                            \
	X(H1_VERSION, 505, "HTTP version not supported")                           \
	X(H1_TARGET, 400, "malformed request target")                              \
	X(H1_BARE_LF, 400, "line end without CR")                                  \
	X(H1_BARE_CR, 400, "CR without LF")                                        \
	X(H1_FIELD_NAME, 400, "malformed field name")                              \
	X(H1_FIELD_VALUE, 400, "forbidden byte in a field value")                  \
	X(H1_OBS_FOLD, 400, "folded field line")                                   \
	X(H1_HOST, 400, "Host missing, repeated or malformed")                     \
	X(H1_DUPLICATE, 400, "a field that may occur once occurs twice")           \
	X(H1_LENGTH, 400, "malformed or differing Content-Length")                 \
	X(H1_LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")  \
	X(H1_CODING, 501, "transfer coding other than chunked")                    \
	X(H1_CODING_10, 400, "Transfer-Encoding in HTTP/1.0")                      \
	X(H1_CHUNK_SIZE, 400, "malformed chunk size")                              \
	X(H1_CHUNK_END, 400, "chunk data not followed by CR LF")                   \
	X(H1_TRAILER, 400, "malformed or forbidden trailer field")                 \
	X(H1_HOP, 400, "a field of HTTP/1.1 connections in HTTP/2")                \
	X(H1_HEAD_TOO_LARGE, 431, "head larger than limits.head_bytes")            \
	X(H1_TOO_MANY_FIELDS, 431, "more fields than limits.fields")               \
	X(H1_TARGET_TOO_LONG, 414, "request target longer than limits.head_bytes") \
	X(H1_TRAILER_TOO_LARGE, 431, "trailer section larger than 4096 bytes")     \
	X(H1_SPEAKS_H2, 502, "it speaks HTTP/2")                                   \
	X(H1_NO_MEMORY, 503, "out of memory")

enum h1_fault {
#define X(name, status, text) name,
	H1_FAULTS(X)
#undef X
};

const char *h1_fault_text(enum h1_fault f);
unsigned h1_fault_status(enum h1_fault f); /* what to answer a client with */

struct h1_limits {
	uint32_t head_bytes; /* start line and fields, with line ends */
	uint32_t fields;     /* at most HTTP_FIELDS_MAX */
};

/* How far a head has been looked through, kept between calls so that bytes are not looked at again. Zero it first. */
struct h1_scan {
	uint32_t seen; /* bytes that hold no end of the head */
};

/*
 * Parse a request head at the start of `in`. H1_DONE: *h is filled with views into `in`, and *used is the length of
 * the head with its empty line. One CRLF before a request line is skipped (RFC 9112, 2.2). H1_MORE: call again with
 * the same bytes and more behind them (they may have moved). H1_BAD: *fault says why; *h holds what was read before
 * the fault, for the log. Content-Length and Transfer-Encoding have been checked against each other on H1_DONE.
 */
enum h1_status h1_parse_request(struct http_head *h, struct sv in, struct h1_scan *scan, const struct h1_limits *limits,
    size_t *used, enum h1_fault *fault);

/* The same for a response to a request with this method. */
enum h1_status h1_parse_response(struct http_head *h, struct sv in, enum http_method answered, struct h1_scan *scan,
    const struct h1_limits *limits, size_t *used, enum h1_fault *fault);

/* --- bodies ------------------------------------------------------------------------------------------------- */

enum { H1_TRAILER_ROOM = 4096 }; /* bytes of trailer section kept at most */

/* A body being read. About 64 bytes unless trailers come. */
struct h1_body {
	uint8_t framing;      /* enum http_framing; HTTP_LENGTH_BODY: `left` bytes */
	uint8_t state;        /* of the chunked decoder */
	uint16_t line;        /* bytes of the present chunk line or trailer section: bounded */
	uint64_t left;        /* bytes of body, or of the present chunk */
	struct buf trailers;  /* raw trailer lines with CRLF each; owned; empty for most bodies */
};

/* How the body of this message is framed (RFC 9112, 6.3). The head must have come from a parse function above. */
void h1_body_init(struct h1_body *b, const struct http_head *h);
void h1_body_free(struct h1_body *b);

/*
 * Does a response that has no body by rule, to HEAD or a 304, tell of one (RFC 9110, 8.6)? It may. But a server that then
 * sends that body has it taken for the next response, whenever it comes: nothing may follow on the connection.
 */
bool h1_withholds_body(const struct http_head *h);

/*
 * Take bytes from the front of *in. H1_DONE: the body has ended; *data is its last bytes, often none, and what remains
 * in *in belongs to the next message. H1_MORE: *data is body to pass on; when it is empty, *in is used up; call again
 * while *in is not empty. H1_BAD: *fault says why. *data lies within what was *in. A body of length 0 is H1_DONE at
 * the first call, be *in empty or not; a length-delimited one is H1_DONE with its last byte.
 */
enum h1_status h1_body_next(struct h1_body *b, struct sv *in, struct sv *data, enum h1_fault *fault);

/* The connection closed while the body was read: is it complete? Only a close-delimited one is. */
bool h1_body_ends_at_close(const struct h1_body *b);

/*
 * After H1_DONE on a chunked body: parse its trailer section into `h`, whose fields look into b->trailers. Fields
 * that must not come in trailers (framing, routing, Host, Cookie, Authorization …: RFC 9110, 6.5.1) were refused.
 * False when there is none; h has no fields then.
 */
bool h1_body_trailers(const struct h1_body *b, struct http_head *h);

/* --- writing ------------------------------------------------------------------------------------------------ */

/*
 * Append a head in HTTP/1.1 form: start line, the fields that are not dropped and not the codec's own
 * (HTTP_FRAMING, Connection among them), then framing as told, `connection` (e.g. "close", "upgrade"; empty: none)
 * and the empty line. A request goes to h->path, to h->target when that is empty. False, with nothing appended, when
 * it does not fit into out->max, or when method, path or reason hold a byte that may not stand there.
 */
struct h1_write {
	enum http_framing framing; /* of the message being written */
	uint64_t length;         /* for HTTP_LENGTH_BODY */
	struct sv connection;    /* value of the Connection field, or empty */
	bool keep_length;        /* HTTP_NO_BODY: write the head's own Content-Length (HEAD, 304) */
};
MUST_CHECK bool h1_write_request(struct buf *out, const struct http_head *h, const struct h1_write *w);
MUST_CHECK bool h1_write_response(struct buf *out, const struct http_head *h, const struct h1_write *w);

enum { H1_CHUNK_HEAD_MAX = 18 }; /* sixteen hex digits and CRLF */

/* "1a2b\r\n" for a chunk of n > 0 bytes; returns its length. The data and "\r\n" follow. */
size_t h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], size_t n);

/* "0\r\n", trailer fields (h may be NULL), "\r\n". */
MUST_CHECK bool h1_write_last_chunk(struct buf *out, const struct http_head *h);

/* Does the connection stay open after this message as far as its version and Connection say (RFC 9112, 9.3)? */
bool h1_keeps_alive(const struct http_head *h);

#endif
