/*
 * Damage the bytes of the cases and see that nothing crashes, that it does not matter how they are fed, and that what
 * is accepted can be written and read again. The seed is fixed, so a failure comes again.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "cases.h"

enum { MUTATIONS = 20000, SEEDS_MAX = 1000, MESSAGE_MAX = 1 << 16 };

struct corpus {
	struct message messages[SEEDS_MAX];
	size_t n;
};

static void
keep(const struct test_case *c, void *arg)
{
	struct corpus *corpus = arg;

	cr_assert_lt(corpus->n, (size_t)SEEDS_MAX);
	struct message *m = &corpus->messages[corpus->n++];
	*m = c->message;
	buf_init(&m->bytes, MESSAGE_MAX);
	cr_assert(buf_append(&m->bytes, c->message.bytes.data + c->message.bytes.head, buf_len(&c->message.bytes)));
}

static struct corpus *
load_corpus(void)
{
	struct corpus *corpus = calloc(1, sizeof(*corpus));

	cr_assert_not_null(corpus);
	cr_assert_gt(cases_visit(keep, corpus), 0);
	return corpus;
}

static void
free_corpus(struct corpus *corpus)
{
	for (size_t i = 0; i < corpus->n; i++)
		buf_clear(&corpus->messages[i].bytes);
	free(corpus);
}

/* xorshift64 */
static size_t
random_below(uint64_t *state, size_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (size_t)(*state % n);
}

static struct sv
random_insert(uint64_t *state)
{
	static const struct sv pieces[] = {
	    SV("\r"), SV("\n"), SV("\r\n"), SV("\r\n\r\n"), SV("\0"), SV(" "), SV("\t"), SV(":"), SV(","), SV(";"),
	    SV("0"), SV("1"), SV("\x7f"), SV("\x80"), SV("\xff"), SV("/"), SV("#"), SV("Host: b\r\n"),
	    SV("Content-Length: 3\r\n"), SV("Transfer-Encoding: chunked\r\n"), SV("Connection: close, x\r\n"),
	    SV("HTTP/1.1"), SV("0\r\n"), SV("5\r\nhello\r\n"),
	};

	return pieces[random_below(state, COUNTOF(pieces))];
}

/* Put some bytes in the place of `cut` bytes at `at`. */
static void
splice(struct buf *b, size_t at, size_t cut, struct sv put)
{
	struct buf out;
	struct sv all = buf_view(b);

	buf_init(&out, MESSAGE_MAX * 2);
	cr_assert(buf_append(&out, all.p, at) && buf_append(&out, put.p, put.n));
	cr_assert(buf_append(&out, all.p + at + cut, all.n - at - cut));
	buf_clear(b);
	*b = out;
}

static void
mutate(struct buf *b, uint64_t *state)
{
	size_t n = buf_len(b), at = random_below(state, n);
	char copy[64];

	switch (random_below(state, 5)) {
	case 0:
		b->data[b->head + at] ^= (char)(1u << random_below(state, 8));
		break;
	case 1:
		splice(b, at, 0, random_insert(state));
		break;
	case 2:
		if (n > 1)
			splice(b, at, 1, SV_NONE);
		break;
	case 3: { /* repeat a piece elsewhere */
		size_t len = MIN_OF(random_below(state, sizeof(copy)), n - at);
		memcpy(copy, b->data + b->head + at, len);
		splice(b, random_below(state, n), 0, sv_of(copy, len));
		break;
	}
	default:
		b->data[b->head + at] = *random_insert(state).p;
	}
}

static void
damage(const struct corpus *corpus, uint64_t *state, struct message *out)
{
	const struct message *from = &corpus->messages[random_below(state, corpus->n)];

	*out = *from;
	buf_init(&out->bytes, MESSAGE_MAX * 2);
	cr_assert(buf_append(&out->bytes, from->bytes.data + from->bytes.head, buf_len(&from->bytes)));
	for (size_t i = random_below(state, 4) + 1; i > 0; i--)
		mutate(&out->bytes, state);
}

static bool
parse_whole(const struct message *m, struct http_head *h)
{
	struct h1_scan scan = {0};
	enum h1_fault fault;
	size_t used;

	return h1_parse_request(h, buf_view(&m->bytes), &scan, &m->limits, &used, &fault) == H1_DONE;
}

/* What goes to an origin must be, to a parser as strict as this one, the request that came. */
static void
check_forwarding(const struct message *m)
{
	struct message again;
	struct http_head first, second;
	struct h1_body b1, b2;

	if (m->is_response || !parse_whole(m, &first) || !http_head_strip(&first))
		return;
	again = (struct message){.limits = {.head_bytes = MESSAGE_MAX, .fields = HTTP_FIELDS_MAX}};
	buf_init(&again.bytes, MESSAGE_MAX * 2);
	h1_body_init(&b1, &first);
	if (http_head_get(&first, HTTP_HOST) == NULL)
		cr_assert(http_head_add_id(&first, HTTP_HOST, first.authority.n > 0 ? first.authority : SV("a")));
	struct h1_write w = {.framing = b1.framing, .length = b1.left, .connection = SV("close")};
	cr_assert(h1_write_request(&again.bytes, &first, &w));
	cr_assert(parse_whole(&again, &second), "written, but not readable:\n%.*s", SV_FMT(buf_view(&again.bytes)));
	h1_body_init(&b2, &second);
	cr_assert(sv_eq(first.method, second.method));
	cr_assert(first.path.n == 0 || sv_eq(first.path, second.target));
	cr_assert_eq(b1.framing, b2.framing);
	cr_assert_eq(b1.left, b2.left);
	cr_assert_null(http_head_get(&second, HTTP_UPGRADE));
	buf_clear(&again.bytes);
}

Test(h1, mutations)
{
	struct corpus *corpus = load_corpus();
	uint64_t state = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < MUTATIONS; i++) {
		struct buf whole, bytes;
		struct message m;
		damage(corpus, &state, &m);
		buf_init(&whole, 1 << 20);
		buf_init(&bytes, 1 << 20);
		describe(&m, SIZE_MAX, &whole);
		describe(&m, 1, &bytes);
		cr_assert(sv_eq(buf_view(&whole), buf_view(&bytes)), "mutation %zu: whole\n%.*s\nbyte by byte\n%.*s", i,
		    SV_FMT(buf_view(&whole)), SV_FMT(buf_view(&bytes)));
		check_forwarding(&m);
		buf_clear(&whole);
		buf_clear(&bytes);
		buf_clear(&m.bytes);
	}
	free_corpus(corpus);
}

/* A head that comes byte by byte is looked through once: the place reached never goes back, and lags by nothing. */
Test(h1, no_byte_is_looked_at_twice)
{
	struct corpus *corpus = load_corpus();

	for (size_t i = 0; i < corpus->n; i++) {
		const struct message *m = &corpus->messages[i];
		struct sv all = buf_view(&m->bytes);
		struct h1_scan scan = {0};
		struct http_head h;
		enum h1_fault fault;
		size_t used;
		for (size_t n = 1; n <= all.n; n++) {
			if (h1_parse_request(&h, sv_of(all.p, n), &scan, &m->limits, &used, &fault) != H1_MORE)
				break;
			cr_assert_eq(scan.seen, n);
		}
	}
	free_corpus(corpus);
}
