/*
 * h2_internal.h: what the files of the HTTP/2 codec share.
 */
#ifndef BASCULE_HTTP_H2_INTERNAL_H
#define BASCULE_HTTP_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "http/h2.h"

/* Fields as libnghttp2 takes them. */
struct h2_fields {
	size_t n;
	nghttp2_nv v[];
};

enum { H2_MEANT_MIN = 1024 }; /* bytes: a smaller WINDOW_UPDATE, or DATA cut off so short by one, moves nothing */

enum { H2_FIELDS_MAX = HTTP_FIELDS_MAX + 5 }; /* with the pseudo-header fields and content-length */

/*
 * h2_flood.c: tokens, of which a frame that brings nothing takes some. The calls with a result give what a callback of
 * libnghttp2 returns.
 */
void h2_soothe(struct h2 *s, uint64_t tokens);
void h2_calm_down(struct h2 *s, uint64_t now); /* time has gone by */
int h2_charge(struct h2 *s, const nghttp2_frame_hd *f);
int h2_charge_window_update(struct h2 *s, int32_t increment);

/*
 * We had to reset a stream: was it for what the client did? Then it costs as much as a reset of the client's own
 * (CVE-2025-8671).
 */
bool h2_charge_reset(struct h2 *s, const nghttp2_frame *f);

/* h2_window.c */
uint32_t h2_first_window(const struct h2 *s);
void h2_give_back(struct h2 *s, uint64_t n); /* to the connection's window */
void h2_shrink(struct h2 *s, struct h2_stream *st); /* nothing more will come of its body */

/* h2_priority.c */
#define H2_PRIORITY ((struct h2_priority){.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY})
void h2_priority_of_request(struct h2_priority *p, const struct http_head *h);
int h2_priority_update(struct h2 *s, const nghttp2_ext_priority_update *u);

/* The connection ends, with a GOAWAY. */
int h2_fail(struct h2 *s, const char *why, enum h2_error error);

/* What a call of libnghttp2 gave. Without memory something would never happen: the connection ends. */
void h2_check(struct h2 *s, int result);

/* h2_write.c: the source of a stream's DATA. */
extern const nghttp2_data_provider h2_source;
int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
    nghttp2_data_source *source, void *user);

/* NULL: it is not ours, or no longer. */
static inline struct h2_stream *
h2_stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

#endif
