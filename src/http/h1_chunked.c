/* The decoder of the chunked transfer coding (RFC 9112, 7.1). */
#include "http/chars.h"
#include "http/h1_internal.h"

/*
 * Chunk lines longer than this are refused: extensions have no use between a client and a proxy, and must not cost
 * more than the data.
 */
enum { CHUNK_LINE_MAX = 256, SIZE_DIGITS_MAX = 16 };

/* Where the chunked decoder is, named by what it waits for. Every state but DATA and TRAILER takes one byte. */
enum chunk_state {
	CHUNK_SIZE, /* the first digit: also that of a new chunk */
	CHUNK_SIZE_MORE,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_START, /* the first byte of a trailer line, or of the empty line */
	CHUNK_TRAILER,
	CHUNK_END_LF,
	CHUNK_DONE,
};

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of chunk-size, or what follows it (RFC 9112, 7.1). No white space: not every parser skips it. */
static enum h1_fault
size_byte(struct h1_body *b, char c)
{
	int digit = hex_value(c);

	if (b->state == CHUNK_SIZE) {
		b->line = 0;
		b->left = 0;
		b->state = CHUNK_SIZE_MORE;
		if (digit < 0)
			return H1_CHUNK_SIZE;
	}
	if (digit >= 0) {
		if (++b->line > SIZE_DIGITS_MAX || b->left > H1_BODY_MAX >> 4)
			return H1_CHUNK_SIZE;
		b->left = b->left << 4 | (unsigned)digit;
		return H1_OK;
	}
	b->state = c == ';' ? CHUNK_EXT : CHUNK_SIZE_LF;
	return c == ';' || c == '\r' ? H1_OK : c == '\n' ? H1_BARE_LF : H1_CHUNK_SIZE;
}

/* Extensions are passed over: no hop understands another's. Their bytes must be such that no parser ends the line. */
static enum h1_fault
extension_byte(struct h1_body *b, char c)
{
	if (c == '\r') {
		b->state = CHUNK_SIZE_LF;
		return H1_OK;
	}
	if (c == '\n')
		return H1_BARE_LF;
	return http_char_is(c, CHAR_EXT) && ++b->line <= CHUNK_LINE_MAX ? H1_OK : H1_CHUNK_SIZE;
}

/* The one byte that may stand here. */
static enum h1_fault
expect(struct h1_body *b, struct sv *in, char wanted, enum chunk_state next, enum h1_fault otherwise)
{
	b->state = (uint8_t)next;
	return *h1_take(in, 1).p == wanted ? H1_OK : otherwise;
}

static enum h1_fault
end_of_body(struct h1_body *b)
{
	b->state = CHUNK_DONE;
	return h1_check_trailers(b);
}

/* The first byte of a line of the trailer section. */
static enum h1_fault
trailer_start(struct h1_body *b, struct sv *in)
{
	if (*in->p == '\n')
		return H1_BARE_LF;
	if (*in->p != '\r') {
		b->state = CHUNK_TRAILER;
		return H1_OK;
	}
	(void)h1_take(in, 1);
	b->state = CHUNK_END_LF;
	return H1_OK;
}

/* Keep a piece of a trailer line, up to its LF. */
static enum h1_fault
trailer_line(struct h1_body *b, struct sv *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	struct sv piece = h1_take(in, lf != NULL ? (uint64_t)(lf - in->p) + 1 : in->n);

	if (!buf_append(&b->trailers, piece.p, piece.n))
		return buf_len(&b->trailers) + piece.n > b->trailers.max ? H1_TRAILER_TOO_LARGE : H1_NO_MEMORY;
	if (lf == NULL)
		return H1_OK;
	struct sv all = buf_view(&b->trailers);
	b->state = CHUNK_TRAILER_START;
	return all.n >= 2 && all.p[all.n - 2] == '\r' ? H1_OK : H1_BARE_LF;
}

/* Take at least one byte that is not data, or change the state. */
static enum h1_fault
step(struct h1_body *b, struct sv *in)
{
	switch ((enum chunk_state)b->state) {
	case CHUNK_SIZE:
	case CHUNK_SIZE_MORE:
		return size_byte(b, *h1_take(in, 1).p);
	case CHUNK_EXT:
		return extension_byte(b, *h1_take(in, 1).p);
	case CHUNK_SIZE_LF:
		return expect(b, in, '\n', b->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START, H1_BARE_CR);
	case CHUNK_DATA_CR:
		return expect(b, in, '\r', CHUNK_DATA_LF, H1_CHUNK_END);
	case CHUNK_DATA_LF:
		return expect(b, in, '\n', CHUNK_SIZE, H1_CHUNK_END);
	case CHUNK_TRAILER_START:
		return trailer_start(b, in);
	case CHUNK_TRAILER:
		return trailer_line(b, in);
	case CHUNK_END_LF:
		return *h1_take(in, 1).p == '\n' ? end_of_body(b) : H1_BARE_CR;
	case CHUNK_DATA:
	case CHUNK_DONE:
		break;
	}
	return H1_OK;
}

enum h1_status
h1_chunked_next(struct h1_body *b, struct sv *in, struct sv *data, enum h1_fault *fault)
{
	while (in->n > 0 && b->state != CHUNK_DATA && b->state != CHUNK_DONE)
		if ((*fault = step(b, in)) != H1_OK)
			return H1_BAD;
	if (b->state == CHUNK_DONE)
		return H1_DONE;
	if (b->state == CHUNK_DATA) {
		*data = h1_take(in, b->left);
		b->left -= data->n;
		if (b->left == 0)
			b->state = CHUNK_DATA_CR;
	}
	return H1_MORE;
}
