#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/outbox.h"

enum { TEXT = 512 * 1024, BODY = 256 * 1024 };

static struct net_loop *loop;
static struct outbox o;
static char *body; /* what pieces point to */
static struct buf expected;

static void
begin(void)
{
	loop = net_loop_new(NULL);
	cr_assert_not_null(loop);
	cr_assert(outbox_init(&o, TEXT));
	body = malloc(BODY);
	cr_assert_not_null(body);
	for (size_t i = 0; i < BODY; i++)
		body[i] = (char)('a' + i % 23);
	buf_init(&expected, 64 * 1024 * 1024);
}

static void
end(void)
{
	outbox_free(&o);
	buf_clear(&expected);
	free(body);
	net_loop_free(loop);
}

TestSuite(outbox, .init = begin, .fini = end);

static void
nothing(struct net_stream *s)
{
	(void)s;
}

static void
nothing_failed(struct net_stream *s, int error)
{
	(void)s, (void)error;
}

static const struct net_stream_events events = {nothing, nothing, nothing, nothing, nothing_failed};

/* Flush to a stream and hold what arrives, and what waits in it, against what is expected. */
static bool
flushed_well(bool last)
{
	struct net_stream s;
	struct buf got;
	char bytes[65536];
	int fds[2];
	ssize_t n;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	net_stream_init(&s, loop, fds[0], &events, 16 * 1024 * 1024);
	cr_assert(net_stream_start(&s));
	bool ok = outbox_flush(&o, &s, last);
	buf_init(&got, SIZE_MAX / 4);
	while ((n = recv(fds[1], bytes, sizeof(bytes), 0)) > 0)
		cr_assert(buf_append(&got, bytes, (size_t)n));
	cr_assert(buf_append(&got, buf_view(&s.out).p, net_stream_pending(&s)));
	bool same = sv_eq(buf_view(&got), ok ? buf_view(&expected) : SV_NONE);
	cr_expect(same, "%zu bytes came, %zu were expected", buf_len(&got), buf_len(&expected));
	cr_expect_eq(s.finish, ok && last);
	net_stream_close(&s, false);
	close(fds[1]);
	buf_clear(&got);
	buf_clear(&expected);
	cr_expect(outbox_is_empty(&o));
	cr_expect_not(o.overflow);
	cr_expect_eq(buf_len(&o.text), 0);
	return ok && same;
}

static void
expect(struct sv data)
{
	cr_assert(buf_append(&expected, data.p, data.n));
}

static void
add(size_t from, size_t n)
{
	outbox_add(&o, sv_of(body + from, n));
	expect(sv_of(body + from, n));
}

static void
copy(struct sv data)
{
	outbox_copy(&o, data);
	expect(data);
}

static void
write_text(struct sv data)
{
	size_t from = buf_len(&o.text);

	if (!buf_append(&o.text, data.p, data.n))
		return; /* as a head that does not fit: nothing is added */
	outbox_add_text(&o, from);
	expect(data);
}

Test(outbox, an_empty_one_sends_nothing)
{
	cr_expect(outbox_is_empty(&o));
	cr_expect(flushed_well(false));
	cr_expect(flushed_well(true), "but the end, when it is the last");
}

Test(outbox, texts_in_a_row_are_one_piece)
{
	write_text(SV("HTTP/1.1 200 OK\r\n"));
	copy(SV("\r\n"));
	copy(SV(""));
	write_text(SV(""));
	copy(SV("5\r\n"));
	cr_expect_eq(o.n, 1);
	cr_expect(flushed_well(false));
}

Test(outbox, small_data_is_copied_and_large_data_pointed_to)
{
	char small[256];

	memset(small, 's', sizeof(small));
	outbox_add(&o, sv_of(small, sizeof(small)));
	expect(sv_of(small, sizeof(small)));
	memset(small, 'x', sizeof(small));
	cr_expect_eq(buf_len(&o.text), 256);
	add(0, 257);
	cr_expect_eq(buf_len(&o.text), 256, "not copied");
	cr_expect_eq(o.n, 2);
	cr_expect(flushed_well(false));
}

Test(outbox, data_that_lies_in_a_row_is_one_piece)
{
	add(0, 1000);
	add(1000, 1000);
	add(2000, 5000);
	cr_expect_eq(o.n, 1);
	add(0, 1000);
	cr_expect_eq(o.n, 2);
	cr_expect(flushed_well(true));
}

Test(outbox, more_pieces_than_there_are_keep_their_order)
{
	/* Chunks with gaps between them, as a chunked body is read. */
	for (size_t i = 0; i < 5 * OUTBOX_PIECES; i++) {
		copy(SV("12c\r\n"));
		add(i * 307, 300);
		copy(SV("\r\n"));
	}
	cr_expect_leq(o.n, OUTBOX_PIECES);
	cr_expect_not(o.overflow);
	cr_expect(flushed_well(false));
}

Test(outbox, pieces_run_out_just_before_a_text)
{
	for (size_t i = 0; i < OUTBOX_PIECES; i++)
		add(i * 1001, 1000);
	cr_assert_eq(o.n, OUTBOX_PIECES);
	write_text(SV("0\r\n\r\n"));
	cr_expect_eq(o.n, 2);
	cr_expect(flushed_well(false));
}

Test(outbox, one_read_of_the_least_convenient_chunks_fits)
{
	/* 64 KiB in chunks of just more than what is copied. */
	write_text(sv_of(body, 8192));
	for (size_t at = 0; at + 264 <= NET_SCRATCH_SIZE; at += 264) {
		copy(SV("101\r\n"));
		add(at + 5, 257);
		copy(SV("\r\n"));
	}
	cr_expect_not(o.overflow);
	cr_expect(flushed_well(false));
	/* And in the smallest of all. */
	for (size_t at = 0; at + 6 <= NET_SCRATCH_SIZE; at += 6) {
		copy(SV("1\r\n"));
		add(at + 3, 1);
		copy(SV("\r\n"));
	}
	cr_expect_not(o.overflow);
	cr_expect(flushed_well(false));
}

Test(outbox, what_does_not_fit_breaks_the_flush_and_only_that)
{
	struct outbox small;

	cr_assert(outbox_init(&small, 16));
	outbox_free(&o);
	o = small;
	copy(SV("0123456789"));
	outbox_copy(&o, SV("abcdefg"));
	cr_expect(o.overflow);
	cr_expect_not(flushed_well(false), "nothing is sent rather than half of it");
	copy(SV("0123456789abcdef"));
	cr_expect(flushed_well(false));
	for (size_t i = 0; i < OUTBOX_PIECES; i++)
		add(i * 1001, 1000);
	outbox_add(&o, sv_of(body, 1000));
	cr_expect(o.overflow, "there is no room to flatten into");
	cr_expect_not(flushed_well(true));
}

Test(outbox, what_is_discarded_is_not_sent)
{
	outbox_copy(&o, SV("never mind"));
	outbox_add(&o, sv_of(body, 1000));
	outbox_discard(&o);
	cr_expect(outbox_is_empty(&o));
	copy(SV("after"));
	cr_expect(flushed_well(false));
}

Test(outbox, any_order_of_calls_gives_the_bytes_in_order)
{
	unsigned seed = 7;

	for (unsigned round = 0; round < 400; round++) {
		unsigned n = (unsigned)rand_r(&seed) % 150;
		size_t at = 0;
		for (unsigned i = 0; i < n && at < BODY - 4096; i++) {
			size_t size = (unsigned)rand_r(&seed) % (rand_r(&seed) % 4 == 0 ? 2000 : 40);
			switch (rand_r(&seed) % 4) {
			case 0:
				copy(sv_of(body + size, size));
				break;
			case 1:
				write_text(sv_of(body + size, size));
				break;
			case 2: /* behind the last, so that they merge */
				add(at, size + 257);
				at += size + 257;
				break;
			case 3: /* with a gap, or once more */
				add(at + 1, size + 200);
				break;
			}
		}
		cr_assert_not(o.overflow);
		cr_assert(flushed_well(round % 2), "round %u", round);
	}
}
