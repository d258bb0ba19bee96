/* h2_flood.c: who sends what brings nothing, and how much of it is put up with. */
#include "http/h2_internal.h"

enum { RESET_COST = 2 }; /* a request brings one token, so that who takes back each has one less with each */

/* --- tokens --------------------------------------------------------------------------------------------------- */

void
h2_soothe(struct h2 *s, uint64_t tokens)
{
	s->calm = (int)MIN_OF((int64_t)s->limits.calm, s->calm + (int64_t)MIN_OF(tokens, (uint64_t)s->limits.calm * 2));
}

void
h2_calm_down(struct h2 *s, uint64_t now)
{
	uint64_t more = s->calm_ms == 0 ? 0 : (now - s->calm_ms) * s->limits.calm_per_second / 1000;

	if (more == 0 && s->calm_ms != 0)
		return;
	s->calm_ms = now;
	h2_soothe(s, more);
}

/*
 * Frames cost us more than the peer, and those below bring nothing. A few are normal, one for each request too, but a
 * request that is taken back was for nothing (CVE-2023-44487).
 */
static int
cost(const nghttp2_frame_hd *f)
{
	bool ends = (f->flags & NGHTTP2_FLAG_END_STREAM) != 0;

	switch (f->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:  /* the library bounds these */
	case NGHTTP2_WINDOW_UPDATE: /* one for each read of a response is normal: see on_frame() */
		return 0;
	case NGHTTP2_DATA:
		return f->length == 0 && !ends;
	case NGHTTP2_RST_STREAM:
		return RESET_COST;
	default:
		return 1;
	}
}

static const char *
flood_text(uint8_t type)
{
	switch (type) {
	case NGHTTP2_DATA:
		return "a flood of DATA without content";
	case NGHTTP2_HEADERS:
		return "a flood of requests that are malformed or one too many";
	case NGHTTP2_PRIORITY:
		return "a flood of PRIORITY";
	case NGHTTP2_RST_STREAM:
		return "a flood of requests that are taken back";
	case NGHTTP2_SETTINGS:
		return "a flood of SETTINGS";
	case NGHTTP2_PING:
		return "a flood of PING";
	case NGHTTP2_WINDOW_UPDATE:
		return "a flood of tiny WINDOW_UPDATEs";
	case NGHTTP2_PRIORITY_UPDATE:
		return "a flood of PRIORITY_UPDATE";
	default:
		return "a flood of frames of other types";
	}
}

/* Below nothing, for what we had to reset, not even a request is welcome. */
static int
charge(struct h2 *s, uint8_t type, int tokens)
{
	if (tokens > s->calm)
		return h2_fail(s, flood_text(type), H2_ENHANCE_YOUR_CALM);
	s->calm -= tokens;
	return 0;
}

int
h2_charge(struct h2 *s, const nghttp2_frame_hd *f)
{
	return charge(s, f->type, cost(f));
}

int
h2_charge_window_update(struct h2 *s, int32_t increment)
{
	return charge(s, NGHTTP2_WINDOW_UPDATE, increment < H2_MEANT_MIN);
}

/* What the owner has refused itself, for an origin that did, is no fault of the client's. */
static bool
is_blame(struct h2 *s, const nghttp2_frame *f)
{
	uint32_t error = f->rst_stream.error_code;
	const struct h2_stream *st = h2_stream_of(s->session, f->hd.stream_id);

	if (error == H2_REFUSED_STREAM)
		return st == NULL || !st->cut;
	return error == H2_PROTOCOL_ERROR || error == H2_FLOW_CONTROL_ERROR || error == H2_STREAM_CLOSED ||
	    error == H2_FRAME_SIZE_ERROR;
}

bool
h2_charge_reset(struct h2 *s, const nghttp2_frame *f)
{
	if (!is_blame(s, f))
		return false;
	s->calm -= RESET_COST;
	return true;
}
