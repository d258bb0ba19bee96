/* h2_write.c: messages of HTTP/2 on their way out: heads, bodies, trailers. */
#include <stdio.h>
#include <stdlib.h>

#include "http/h2_internal.h"

enum {
	FRAME_HEAD = 9,
	LENGTH_TEXT = 24,
	SECTION_OVERHEAD = 32, /* that each field counts in SETTINGS_MAX_HEADER_LIST_SIZE */
	DATA_CALM = 3, /* so much of the peer's calm one that we send gives back */
};

static nghttp2_nv
pair(struct sv name, struct sv value, uint8_t flags)
{
	/* Without NO_COPY the library copies both, and writes the name in lower case. */
	return (nghttp2_nv){.name = (uint8_t *)name.p, .value = (uint8_t *)value.p, .namelen = name.n, .valuelen = value.n,
	    .flags = flags};
}

/* Cookies and credentials are not put into the table of the compression, where their length would tell by trial. */
static uint8_t
field_flags(const struct http_field *f)
{
	bool secret = f->id == HTTP_SET_COOKIE || f->id == HTTP_COOKIE || f->id == HTTP_AUTHORIZATION;

	return secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

static nghttp2_nv
length_pair(uint64_t length, char text[LENGTH_TEXT])
{
	int digits = snprintf(text, LENGTH_TEXT, "%llu", (unsigned long long)length);

	return pair(SV("content-length"), sv_of(text, (size_t)digits), NGHTTP2_NV_FLAG_NONE);
}

static const struct h2_response plain = {.status = 0};

static bool
is_sent(const struct http_field *f, const struct h2_response *r)
{
	unsigned of_http1 = http_field_flags(f->id) & (HTTP_FRAMING | HTTP_HOP);

	if (f->dropped || sv_ieq(f->name, r->without))
		return false;
	return of_http1 == 0 || (r->keep_length && f->id == HTTP_CONTENT_LENGTH);
}

static size_t
collect(const struct http_head *h, const struct h2_response *r, nghttp2_nv *v)
{
	size_t n = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		if (is_sent(&h->fields[i], r))
			v[n++] = pair(h->fields[i].name, h->fields[i].value, field_flags(&h->fields[i]));
	return n;
}

static size_t
begin(unsigned code, char status[8], nghttp2_nv *v)
{
	int n = snprintf(status, 8, "%03u", code);

	v[0] = pair(SV(":status"), sv_of(status, (size_t)n), NGHTTP2_NV_FLAG_NONE);
	return 1;
}

bool
h2_interim(struct h2 *s, struct h2_stream *st, const struct http_head *h)
{
	nghttp2_nv v[H2_FIELDS_MAX];
	char status[8];
	size_t n = begin(h->status, status, v);

	if (!st->open)
		return true;
	n += collect(h, &plain, v + n);
	return nghttp2_submit_headers(s->session, NGHTTP2_FLAG_NONE, st->id, NULL, v, n, NULL) == 0;
}

bool
h2_respond(struct h2 *s, struct h2_stream *st, const struct http_head *h, const struct h2_response *r)
{
	nghttp2_nv v[H2_FIELDS_MAX];
	char status[8], length[LENGTH_TEXT];
	size_t n = begin(r->status != 0 ? r->status : h->status, status, v);

	if (!st->open)
		return true;
	n += collect(h, r, v + n);
	if (r->has_length && !r->keep_length)
		v[n++] = length_pair(r->length, length);
	return nghttp2_submit_response(s->session, st->id, v, n, r->bodiless ? NULL : &h2_source) == 0;
}

/*
 * Does the peer take a section of that size, as it measures them (RFC 9113, 6.5.2)? One that does not may end the connection
 * for it, with all that others have on it.
 */
static bool
is_taken(const struct h2 *s, struct h2_stream *st, const nghttp2_nv *v, size_t n)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += v[i].namelen + v[i].valuelen + SECTION_OVERHEAD;
	st->too_large = size > s->section_max;
	return !st->too_large;
}

/* --- requests ------------------------------------------------------------------------------------------------- */

/* Their content. Host is :authority; of TE nothing but "trailers" may be said, and it is added by us (RFC 9113, 8.2.2). */
static size_t
collect_request(const struct http_head *h, nghttp2_nv *v)
{
	size_t n = 0;

	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];
		if (f->id != HTTP_HOST && (is_sent(f, &plain) || (f->id == HTTP_TE && !f->dropped)))
			v[n++] = pair(f->name, f->value, field_flags(f));
	}
	return n;
}

bool
h2_request(struct h2 *s, struct h2_stream *st, const struct http_head *h, const struct h2_request *r)
{
	const struct http_field *host = http_head_get(h, HTTP_HOST);
	const struct sv path = h->path.n > 0 ? h->path : h->target;
	nghttp2_nv v[H2_FIELDS_MAX];
	char length[LENGTH_TEXT];
	size_t n = 0;

	if (host == NULL || !http_is_token(h->method) || !http_is_target(path))
		return false;
	v[n++] = pair(SV(":method"), h->method, NGHTTP2_NV_FLAG_NONE);
	v[n++] = pair(SV(":scheme"), r->scheme, NGHTTP2_NV_FLAG_NONE);
	v[n++] = pair(SV(":authority"), host->value, NGHTTP2_NV_FLAG_NONE);
	v[n++] = pair(SV(":path"), path, NGHTTP2_NV_FLAG_NONE);
	n += collect_request(h, v + n);
	if (r->has_length)
		v[n++] = length_pair(r->length, length);
	if (!is_taken(s, st, v, n))
		return false;
	int32_t id = nghttp2_submit_request(s->session, NULL, v, n, r->bodiless ? NULL : &h2_source, st);
	if (id > 0)
		st->id = id;
	return id > 0;
}

/* --- bodies --------------------------------------------------------------------------------------------------- */

static void
wake(struct h2 *s, struct h2_stream *st)
{
	if (st->waits)
		h2_check(s, nghttp2_session_resume_data(s->session, st->id)); /* else it fails only for a stream that is over */
	st->waits = false;
}

bool
h2_keep(struct h2 *s, struct h2_stream *st)
{
	size_t n = st->now.n;
	bool ok = n == 0 || buf_append(&st->kept, st->now.p, n);

	st->now = SV_NONE;
	if (ok)
		s->kept += n;
	return ok;
}

bool
h2_body(struct h2 *s, struct h2_stream *st, struct sv data)
{
	if (!st->open || st->cut || data.n == 0)
		return true;
	bool ok = h2_keep(s, st); /* one piece is pointed to; of several, the last */
	st->now = data;
	wake(s, st);
	return ok;
}

/* They go out behind the body, which may take its time. */
static struct h2_fields *
copy_fields(const struct http_head *h)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		bytes += h->fields[i].name.n + h->fields[i].value.n;
	struct h2_fields *f = malloc(sizeof(*f) + h->n_fields * sizeof(f->v[0]) + bytes);
	if (f == NULL)
		return NULL;
	f->n = collect(h, &plain, f->v);
	uint8_t *to = (uint8_t *)&f->v[h->n_fields];
	for (size_t i = 0; i < f->n; i++) {
		nghttp2_nv *v = &f->v[i];
		memcpy(to, v->name, v->namelen);
		v->name = to;
		to += v->namelen;
		memcpy(to, v->value, v->valuelen);
		v->value = to;
		to += v->valuelen;
	}
	return f;
}

bool
h2_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers)
{
	if (!st->open)
		return true;
	struct h2_fields *f = trailers != NULL ? copy_fields(trailers) : NULL;
	if (trailers != NULL && (f == NULL || (s->is_client && !is_taken(s, st, f->v, f->n)))) {
		free(f);
		return false;
	}
	st->trailers = f;
	st->ended = true;
	wake(s, st);
	return true;
}

static ssize_t
read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t n, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *st = h2_stream_of(session, id);

	(void)to, (void)source, (void)user;
	if (st == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t all = h2_pending(st);
	if (all == 0 && !st->ended) {
		st->waits = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (all > n || !st->ended)
		return (ssize_t)MIN_OF(all, n);
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (st->trailers != NULL && st->trailers->n > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(session, id, st->trailers->v, st->trailers->n) != 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return (ssize_t)all;
}

const nghttp2_data_provider h2_source = {.read_callback = read_body};

/*
 * A peer may answer each DATA with two WINDOW_UPDATEs, however small, and a PING that measures the way: gRPC's do. What its
 * windows cut short gives nothing back: else it would pay for tiny windows with the tiny DATA that they bring.
 */
static void
give_back_calm(struct h2 *s, const struct h2_stream *st, size_t length)
{
	if (length >= H2_MEANT_MIN || length == h2_pending(st))
		h2_soothe(s, DATA_CALM);
}

/*
 * What is kept is copied, for it may go before all is sent; what is borrowed is pointed to. A frame that had to wait was
 * measured before: if its bytes have been let go of meanwhile, the stream's reset is all that follows.
 */
int
h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
    nghttp2_data_source *source, void *user)
{
	struct h2 *s = user;
	struct h2_stream *st = h2_stream_of(session, frame->hd.stream_id);

	(void)source;
	if (st == NULL || st->cut || length > h2_pending(st))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (length > 0 && s->events->is_full(s))
		return NGHTTP2_ERR_WOULDBLOCK;
	give_back_calm(s, st, length);
	s->events->put(s, sv_of((const char *)framehd, FRAME_HEAD));
	st->sent_bytes += length;
	s->sent_bytes += length;
	size_t kept = MIN_OF(buf_len(&st->kept), length);
	if (kept > 0) {
		s->events->put(s, sv_of(buf_view(&st->kept).p, kept));
		buf_consume(&st->kept, kept);
		s->kept -= kept;
	}
	if (length > kept) {
		s->events->point(s, sv_of(st->now.p, length - kept));
		st->now = sv_of(st->now.p + (length - kept), st->now.n - (length - kept));
	}
	if (kept > 0 && buf_len(&st->kept) == 0)
		s->events->on_drained(s, st);
	return 0;
}

int32_t
h2_stream_window(const struct h2 *s, const struct h2_stream *st)
{
	return nghttp2_session_get_stream_remote_window_size(s->session, st->id);
}

int32_t
h2_window(const struct h2 *s)
{
	return nghttp2_session_get_remote_window_size(s->session);
}

/* --- life ----------------------------------------------------------------------------------------------------- */

void
h2_stream_init(struct h2 *s, struct h2_stream *st, int32_t id, size_t max)
{
	s->n_streams++;
	*st = (struct h2_stream){.id = id, .open = true, .window = h2_first_window(s)};
	buf_init(&st->kept, max);
}

void
h2_stream_free(struct h2 *s, struct h2_stream *st)
{
	if (st->open && st->id > 0)
		(void)nghttp2_session_set_stream_user_data(s->session, st->id, NULL);
	h2_shrink(s, st);
	st->open = false;
	s->n_streams--;
	s->kept -= buf_len(&st->kept);
	buf_clear(&st->kept);
	free(st->trailers);
	st->trailers = NULL;
}

void
h2_reset(struct h2 *s, struct h2_stream *st, enum h2_error error)
{
	if (st->open && !st->cut && st->id > 0)
		h2_check(s, nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, st->id, error));
	st->cut = true;
	s->kept -= buf_len(&st->kept);
	buf_clear(&st->kept);
	st->now = SV_NONE;
}
