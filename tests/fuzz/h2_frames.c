/* h2_frames.c: a peer's bytes are changed frame by frame, for hardly any others would be read. */
#include "h2_frames.h"

#include "base/buf.h"
#include "fuzz.h"

enum { FRAMES_MAX = 128, PAYLOAD_MAX = 4096, OUT_MAX = 1 << 20 };

uint32_t
h2_number(const uint8_t *p, size_t n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

bool
h2_next_frame(struct sv *in, struct h2_frame *f)
{
	const uint8_t *p = (const uint8_t *)in->p;
	size_t n = in->n >= H2_FRAME_HEAD ? h2_number(p, 3) : 0;

	if (in->n < H2_FRAME_HEAD + n)
		return false;
	*f = (struct h2_frame){.type = p[3], .flags = p[4], .id = h2_number(p + 5, 4) & INT32_MAX, .payload = p + H2_FRAME_HEAD, .n = n};
	*in = sv_of(in->p + H2_FRAME_HEAD + n, in->n - H2_FRAME_HEAD - n);
	return true;
}

static void
put(struct buf *out, const void *p, size_t n)
{
	FUZZ_CHECK(n == 0 || buf_append(out, p, n));
}

static void
put_frame(struct buf *out, const struct h2_frame *f)
{
	const uint8_t head[H2_FRAME_HEAD] = {(uint8_t)(f->n >> 16), (uint8_t)(f->n >> 8), (uint8_t)f->n, f->type, f->flags,
	    (uint8_t)(f->id >> 24), (uint8_t)(f->id >> 16), (uint8_t)(f->id >> 8), (uint8_t)f->id};

	put(out, head, sizeof(head));
	put(out, f->payload, f->n);
}

/* Its payload, or what it says that it is. `room` holds PAYLOAD_MAX bytes. */
static void
change(struct h2_frame *f, uint8_t *room, unsigned how)
{
	static const uint8_t types[] = {H2_DATA, H2_HEADERS, H2_PRIORITY, H2_RST_STREAM, H2_SETTINGS, H2_PING, H2_GOAWAY,
	    H2_WINDOW_UPDATE, H2_CONTINUATION, H2_PRIORITY_UPDATE};

	switch (how % 8) {
	case 0:
		f->id = how / 8 % 16;
		break;
	case 1:
		f->flags ^= (uint8_t)(1U << how / 8 % 8);
		break;
	case 2:
		f->type = types[how / 8 % COUNTOF(types)];
		break;
	default:
		f->n = MIN_OF(f->n, (size_t)PAYLOAD_MAX);
		memcpy(room, f->payload, f->n);
		f->n = LLVMFuzzerMutate(room, f->n, PAYLOAD_MAX);
		f->payload = room;
		break;
	}
}

/* One frame is left out, written twice, written again at the end on a stream of its own, or changed. */
static void
change_one(struct sv in, size_t chosen, unsigned how, struct buf *out)
{
	uint8_t *room = fuzz_alloc(PAYLOAD_MAX);
	struct h2_frame f, again = {.payload = NULL};
	uint32_t highest = 0;

	for (size_t i = 0; h2_next_frame(&in, &f); i++) {
		highest = MAX_OF(highest, f.id);
		if (i == chosen && how % 8 == 0)
			continue;
		if (i == chosen && how % 8 == 1)
			put_frame(out, &f);
		if (i == chosen && how % 8 == 2)
			again = f;
		if (i == chosen && how % 8 > 2)
			change(&f, room, how / 8);
		put_frame(out, &f);
	}
	if (again.payload != NULL) {
		again.id = again.id != 0 ? highest + 2 : 0;
		put_frame(out, &again);
	}
	put(out, in.p, in.n);
	free(room);
}

static size_t
count_frames(struct sv in)
{
	struct h2_frame f;
	size_t n = 0;

	while (n < FRAMES_MAX && h2_next_frame(&in, &f))
		n++;
	return n;
}

/* What stands before the frames: the preface, or a line for the target. */
static size_t
prefix(struct sv in)
{
	const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;

	return sv_starts(in, H2_MAGIC) ? H2_MAGIC.n : lf != NULL ? (size_t)(lf + 1 - in.p) : in.n;
}

/* Now and then any bytes are. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct sv in = sv_of((const char *)data, size);
	size_t before = prefix(in);
	struct sv frames = sv_of(in.p + before, size - before);
	size_t n_frames = count_frames(frames);
	struct buf out;

	if (n_frames == 0 || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	buf_init(&out, OUT_MAX);
	put(&out, in.p, before);
	change_one(frames, seed / 16 % n_frames, seed / 16 / (unsigned)n_frames, &out);
	size_t n = MIN_OF(buf_len(&out), max_size);
	if (n > 0)
		memcpy(data, buf_view(&out).p, n);
	buf_clear(&out);
	return n;
}
