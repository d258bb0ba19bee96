#include "http/h2.h"

#include <stdlib.h>

#include "base/pages.h"
#include "http/h2_internal.h"

enum {
	SERVER_CALM = 400,            /* what a server is granted of frames that do nothing: it was chosen by an administrator */
	SERVER_CALM_PER_SECOND = 50,
	RESPONSE_CALM = 3,            /* a server may have reasons to reset, or to ask whether we live */
	SECTION_MAX = 16 * 1024 * 1024, /* to be sent; above all that limits.head_bytes and the config's edits make possible */
	SECTION_TIMES = 8,            /* a section that is so many times above its limit is an attack on the decoder */
};

/* --- the end -------------------------------------------------------------------------------------------------- */

static void
set_fault(struct h2 *s, const char *why, uint32_t error)
{
	if (s->fault != NULL)
		return;
	s->fault = why;
	s->kind = error == H2_ENHANCE_YOUR_CALM ? H2_FLOODED : error == H2_INTERNAL_ERROR ? H2_NO_MEMORY : H2_BROKE_RULE;
}

int
h2_fail(struct h2 *s, const char *why, enum h2_error error)
{
	set_fault(s, why, error);
	return nghttp2_session_terminate_session(s->session, error) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

void
h2_check(struct h2 *s, int result)
{
	if (result == NGHTTP2_ERR_NOMEM)
		(void)h2_fail(s, "out of memory", H2_INTERNAL_ERROR);
}

/* --- sections ------------------------------------------------------------------------------------------------- */

static bool
is_trailers(const nghttp2_frame *f)
{
	return f->headers.cat == NGHTTP2_HCAT_HEADERS;
}

static void
give_back_block(struct h2 *s)
{
	struct h2_block *b = s->block;

	s->block = NULL;
	if (*s->spare == NULL)
		*s->spare = b;
	else
		free(b);
}

static bool
take_block(struct h2 *s)
{
	struct h2_block *b = *s->spare;

	*s->spare = NULL;
	if (b != NULL && b->room != s->limits.head_bytes) {
		free(b);
		b = NULL;
	}
	s->block = b != NULL ? b : h2_block_new(s->limits.head_bytes);
	return s->block != NULL;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct h2 *s = user;

	if (f->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (!take_block(s))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	const struct h2_stream *st = h2_stream_of(session, f->hd.stream_id);
	/* To a request that is forgotten a response may come yet. */
	h2_block_begin(s->block, s->is_client && (st == NULL || !st->answered), s->limits.fields);
	s->block->trims = s->is_client;
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_n, const uint8_t *value,
    size_t value_n, uint8_t flags, void *user)
{
	struct h2 *s = user;

	(void)session, (void)f, (void)flags;
	if (s->block == NULL)
		return 0;
	h2_block_field(s->block, sv_of((const char *)name, name_n), sv_of((const char *)value, value_n));
	if (s->block->seen > (uint64_t)s->limits.head_bytes * SECTION_TIMES)
		return h2_fail(s, "a field section far above limits.head_bytes", H2_ENHANCE_YOUR_CALM);
	return 0;
}

/* What the library would leave out is a fault: nothing is repaired. */
static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_n, const uint8_t *value,
    size_t value_n, uint8_t flags, void *user)
{
	struct h2 *s = user;

	(void)session, (void)f, (void)value, (void)value_n, (void)flags;
	if (s->block != NULL && s->block->fault == H1_OK)
		s->block->fault = http_is_token(sv_of((const char *)name, name_n)) ? H1_FIELD_VALUE : H1_FIELD_NAME;
	return 0;
}

static void
end_request(struct h2 *s, const nghttp2_frame *f)
{
	bool bodiless = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	int32_t id = f->hd.stream_id;

	(void)!h2_block_end_request(s->block); /* the fault stands in it */
	h2_soothe(s, 1);
	struct h2_priority priority;
	h2_priority_of_request(&priority, &s->block->head);
	/* Behind the last it is on its way to a peer that takes it for not looked at, and sends it again elsewhere. */
	struct h2_stream *st = id <= s->last ? s->events->on_request(s, id, s->block, bodiless) : NULL;
	if (st != NULL)
		st->priority = priority;
	if (st == NULL)
		h2_check(s, nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, id,
		    s->block->fault == H1_OK ? H2_REFUSED_STREAM : H2_PROTOCOL_ERROR));
	else
		(void)nghttp2_session_set_stream_user_data(s->session, id, st);
}

static void
end_response(struct h2 *s, const nghttp2_frame *f)
{
	struct h2_stream *st = h2_stream_of(s->session, f->hd.stream_id);

	h2_soothe(s, RESPONSE_CALM);
	if (st == NULL)
		return;
	if (h2_block_end_response(s->block))
		st->answered = s->block->head.status >= 200;
	else
		h2_reset(s, st, H2_PROTOCOL_ERROR);
	s->events->on_response(s, st, s->block, (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
}

static void
end_trailers(struct h2 *s, const nghttp2_frame *f)
{
	struct h2_stream *st = h2_stream_of(s->session, f->hd.stream_id);

	if (st == NULL)
		return;
	h2_shrink(s, st);
	if (h2_block_end_trailers(s->block))
		s->events->on_end(s, st, s->block->head.n_fields > 0 ? &s->block->head : NULL);
	else
		h2_reset(s, st, H2_PROTOCOL_ERROR);
}

/* --- frames --------------------------------------------------------------------------------------------------- */

static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *f, void *user)
{
	struct h2 *s = user;

	(void)session;
	/* Two rules that the library does not see to: for an unknown frame in between it lets others follow. */
	if (s->block != NULL && f->type != NGHTTP2_CONTINUATION)
		return h2_fail(s, "a field section that is broken off by another frame", H2_PROTOCOL_ERROR);
	if (f->type == NGHTTP2_PRIORITY && f->stream_id == 0)
		return h2_fail(s, "PRIORITY for no stream", H2_PROTOCOL_ERROR);
	return h2_charge(s, f);
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct h2 *s = user;
	bool ends = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (f->hd.type == NGHTTP2_HEADERS && s->block != NULL) {
		if (s->block->head.is_response)
			end_response(s, f);
		else if (is_trailers(f))
			end_trailers(s, f);
		else
			end_request(s, f);
		give_back_block(s);
	} else if (f->hd.type == NGHTTP2_SETTINGS && (f->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
		s->section_max = nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
	} else if (f->hd.type == NGHTTP2_WINDOW_UPDATE) {
		return h2_charge_window_update(s, f->window_update.window_size_increment);
	} else if (f->hd.type == NGHTTP2_RST_STREAM) {
		struct h2_stream *st = h2_stream_of(session, f->hd.stream_id);
		if (st != NULL)
			st->reset = true;
	} else if (f->hd.type == NGHTTP2_PRIORITY_UPDATE) {
		return h2_priority_update(s, f->ext.payload);
	} else if (f->hd.type == NGHTTP2_DATA && ends) {
		struct h2_stream *st = h2_stream_of(session, f->hd.stream_id);
		if (st != NULL) {
			h2_shrink(s, st);
			s->events->on_end(s, st, NULL);
		}
	}
	return 0;
}

/* What the library ends by itself is seen when it says so. */
static int
on_frame_sent(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct h2 *s = user;

	(void)session;
	if (f->hd.type == NGHTTP2_GOAWAY && f->goaway.error_code != H2_NO_ERROR) {
		set_fault(s, h2_error_text(f->goaway.error_code), f->goaway.error_code);
	} else if (f->hd.type == NGHTTP2_RST_STREAM && !s->is_client && h2_charge_reset(s, f)) {
		s->events->on_refused(s, f->rst_stream.error_code);
	}
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user)
{
	struct h2 *s = user;
	struct h2_stream *st = h2_stream_of(session, id);

	(void)flags;
	if (s->is_client)
		h2_check(s, nghttp2_session_consume_connection(session, n));
	else if (st == NULL)
		h2_give_back(s, n);
	if (st == NULL)
		return 0;
	st->received += n;
	s->events->on_body(s, st, sv_of((const char *)data, n));
	st->slow |= st->received > 0;
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct h2 *s = user;
	struct h2_stream *st = h2_stream_of(session, id);

	if (st == NULL)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	st->open = false;
	h2_take(s, st);
	s->events->on_closed(s, st, error);
	return 0;
}

static int
on_invalid_frame(nghttp2_session *session, const nghttp2_frame *f, int error, void *user)
{
	struct h2 *s = user;

	(void)session;
	/* A section that is cut short by its own fault never ends. */
	if (f->hd.type == NGHTTP2_HEADERS && s->block != NULL)
		give_back_block(s);
	if (nghttp2_is_fatal(error) || f->hd.stream_id == 0)
		s->fault = nghttp2_strerror(error);
	return 0;
}

/* Frames of unknown types are to be seen, and counted, before they are passed over (RFC 9113, 5.5). */
static int
on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *f, void *user)
{
	(void)session, (void)payload, (void)f, (void)user;
	return NGHTTP2_ERR_CANCEL;
}

/* --- the session ---------------------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *
new_callbacks(void)
{
	nghttp2_session_callbacks *c = NULL;

	if (nghttp2_session_callbacks_new(&c) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
	nghttp2_session_callbacks_set_send_data_callback(c, h2_send_data);
	nghttp2_session_callbacks_set_unpack_extension_callback(c, on_unknown_frame);
	return c;
}

static nghttp2_option *
new_options(bool is_client)
{
	nghttp2_option *o = NULL;

	if (nghttp2_option_new(&o) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		if (type != NGHTTP2_PRIORITY_UPDATE)
			nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
	/* Servers are not to end a value in a space, but do so in "grpc-message": it is taken off, as in HTTP/1.1. */
	nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(o, is_client);
	/* What the library finds too large it leaves out, and the peer waits in vain: heads have been bounded as they came. */
	nghttp2_option_set_max_send_header_block_length(o, SECTION_MAX);
	return o;
}

/* --- its memory ------------------------------------------------------------------------------------------------ */

enum { LARGE = 16 * 1024 };

static void *
new_bytes(size_t n, void *user)
{
	(void)user;
	return malloc(n);
}

/*
 * The last block is given back with the next: where there is no memory to queue a DATA item, the library (1.52) frees it and
 * leaves a stream pointing to it, which frees it again with the session. The block that was freed last when it gave up is
 * kept until then.
 */
static void
free_bytes(void *p, void *user)
{
	struct h2 *s = user;

	if (p == NULL)
		return;
	if (p == s->kept_freed)
		s->kept_freed = NULL;
	free(s->freed);
	s->freed = p;
}

static void
keep_freed(struct h2 *s)
{
	s->broken = true;
	s->kept_freed = s->freed;
	s->freed = NULL;
}

static void
free_freed(struct h2 *s)
{
	free(s->freed);
	free(s->kept_freed);
	s->freed = s->kept_freed = NULL;
}

static void *
new_zeros(size_t n, size_t size, void *user)
{
	(void)user;
	return calloc(n, size);
}

/* The room for a frame, 16 KiB of each connection, of which small heads use little: that is half of what an idle one takes. */
static void *
resize(void *p, size_t n, void *user)
{
	(void)user;
	return p == NULL && n >= LARGE ? pages_malloc(n) : realloc(p, n);
}

static bool
introduce(struct h2 *s)
{
	const nghttp2_settings_entry to_client[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, s->limits.streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h2_first_window(s)},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->limits.head_bytes},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 */
	};
	const nghttp2_settings_entry to_server[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h2_first_window(s)},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->limits.head_bytes},
	};
	const nghttp2_settings_entry *settings = s->is_client ? to_server : to_client;
	size_t n = s->is_client ? COUNTOF(to_server) : COUNTOF(to_client);

	return nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, settings, n) == 0 &&
	    nghttp2_session_set_local_window_size(s->session, NGHTTP2_FLAG_NONE, 0, (int32_t)s->limits.connection_window) == 0;
}

static bool
begin(struct h2 *s, const struct h2_events *events, const struct h2_limits *limits, struct h2_block **spare, bool is_client)
{
	int (*make)(nghttp2_session **, const nghttp2_session_callbacks *, void *, const nghttp2_option *, nghttp2_mem *) =
	    is_client ? nghttp2_session_client_new3 : nghttp2_session_server_new3;
	nghttp2_mem memory = {.mem_user_data = s, .malloc = new_bytes, .free = free_bytes, .calloc = new_zeros, .realloc = resize};
	nghttp2_session_callbacks *c = new_callbacks();
	nghttp2_option *o = new_options(is_client);

	*s = (struct h2){.events = events, .limits = *limits, .spare = spare, .calm = (int)limits->calm, .is_client = is_client,
	    .last = INT32_MAX, .section_max = UINT32_MAX};
	bool ok = c != NULL && o != NULL && make(&s->session, c, s, o, &memory) == 0;
	nghttp2_session_callbacks_del(c);
	nghttp2_option_del(o);
	if (ok && introduce(s))
		return true;
	h2_close(s);
	return false;
}

bool
h2_open(struct h2 *s, const struct h2_events *events, const struct h2_limits *limits, struct h2_block **spare)
{
	return begin(s, events, limits, spare, false);
}

bool
h2_open_client(struct h2 *s, const struct h2_events *events, const struct h2_limits *limits, struct h2_block **spare)
{
	struct h2_limits of_server = *limits;

	of_server.calm = SERVER_CALM;
	of_server.calm_per_second = SERVER_CALM_PER_SECOND;
	return begin(s, events, &of_server, spare, true);
}

void
h2_close(struct h2 *s)
{
	if (s->block != NULL)
		give_back_block(s);
	nghttp2_session_del(s->session);
	s->session = NULL;
	free_freed(s);
}

/* Where the library itself gives up it leaves the last word to us; besides these there are its bounds on floods. */
static enum h2_error
fatal_error(int error)
{
	switch (error) {
	case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
		return H2_PROTOCOL_ERROR;
	case NGHTTP2_ERR_NOMEM:
	case NGHTTP2_ERR_CALLBACK_FAILURE:
		return H2_INTERNAL_ERROR;
	default:
		return H2_ENHANCE_YOUR_CALM;
	}
}

bool
h2_receive(struct h2 *s, struct sv bytes, uint64_t now)
{
	if (s->broken)
		return false;
	h2_calm_down(s, now);
	ssize_t n = nghttp2_session_mem_recv(s->session, (const uint8_t *)bytes.p, bytes.n);
	if (n < 0)
		(void)h2_fail(s, nghttp2_strerror((int)n), fatal_error((int)n));
	return s->fault == NULL;
}

bool
h2_send(struct h2 *s)
{
	const uint8_t *p;
	ssize_t n;

	if (s->broken)
		return false;
	while ((n = nghttp2_session_mem_send(s->session, &p)) > 0)
		s->events->put(s, sv_of((const char *)p, (size_t)n));
	if (n < 0) {
		set_fault(s, "out of memory", H2_INTERNAL_ERROR);
		keep_freed(s);
	}
	return n == 0;
}

bool
h2_wants_to_send(const struct h2 *s)
{
	return nghttp2_session_want_write(s->session) != 0;
}

bool
h2_is_over(const struct h2 *s)
{
	return !nghttp2_session_want_read(s->session) && !nghttp2_session_want_write(s->session);
}

const char *
h2_error_text(uint32_t error)
{
	return nghttp2_http2_strerror(error);
}

bool
h2_takes_requests(const struct h2 *s)
{
	return s->fault == NULL && nghttp2_session_check_request_allowed(s->session) != 0;
}

uint32_t
h2_granted(const struct h2 *s)
{
	uint32_t granted = nghttp2_session_get_remote_settings(s->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return MIN_OF(granted, s->limits.streams);
}

bool
h2_has_room(const struct h2 *s)
{
	return h2_takes_requests(s) && s->n_streams < h2_granted(s);
}

void
h2_go_away(struct h2 *s, bool final)
{
	s->goes_away = true;
	if (final) {
		s->last = MIN_OF(s->last, nghttp2_session_get_last_proc_stream_id(s->session));
		(void)nghttp2_submit_goaway(s->session, NGHTTP2_FLAG_NONE, s->last, H2_NO_ERROR, NULL, 0);
	} else {
		(void)nghttp2_submit_shutdown_notice(s->session);
	}
}
