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

enum { H2_FIELDS_MAX = HTTP_FIELDS_MAX + 5 }; /* with the pseudo-header fields and content-length */

/* h2_write.c: the source of a stream's DATA. */
extern const nghttp2_data_provider h2_source;
int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
    nghttp2_data_source *source, void *user);

/* h2.c: a server may say something without content for what has been sent or received. */
void h2_give_calm(struct h2 *s);

/* NULL: it is not ours, or no longer. */
static inline struct h2_stream *
h2_stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

#endif
