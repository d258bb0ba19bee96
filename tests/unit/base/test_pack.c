#include <criterion/criterion.h>

#include "base/pack.h"

static void
pack_some(struct pack *p)
{
	pack_u8(p, 200);
	pack_u32(p, 0xdeadbeef);
	pack_string(p, "");
	pack_u64(p, UINT64_MAX - 1);
	pack_block(p, "a\0b", 3);
	pack_string(p, "text");
	pack_bytes(p, "xyz", 3);
}

static bool
unpack_some(struct unpack *u)
{
	char last[3];
	bool same = unpack_u8(u) == 200;

	same &= unpack_u32(u) == 0xdeadbeef;
	same &= strcmp(unpack_string(u), "") == 0;
	same &= unpack_u64(u) == UINT64_MAX - 1;
	same &= sv_eq(unpack_block(u), SV("a\0b"));
	same &= strcmp(unpack_string(u), "text") == 0;
	unpack_bytes(u, last, sizeof(last));
	return same && memcmp(last, "xyz", 3) == 0;
}

Test(pack, what_is_measured_is_what_it_takes_and_comes_back)
{
	struct pack measured = {.to = NULL};
	unsigned char memory[128];

	pack_some(&measured);
	cr_assert(!measured.failed && measured.n < sizeof(memory));
	struct pack p = {.to = memory, .room = measured.n};
	pack_some(&p);
	cr_expect(!p.failed);
	cr_expect_eq(p.n, measured.n);
	struct unpack u = {.p = memory, .n = p.n};
	cr_expect(unpack_some(&u));
	cr_expect(!u.bad);
	cr_expect_eq(u.n, 0);
}

Test(pack, nothing_is_written_beyond_the_room)
{
	unsigned char memory[128];
	struct pack measured = {.to = NULL};

	pack_some(&measured);
	for (size_t room = 0; room < measured.n; room++) {
		memset(memory, 0x5a, sizeof(memory));
		struct pack p = {.to = memory, .room = room};
		pack_some(&p);
		cr_expect(p.failed);
		for (size_t i = room; i < sizeof(memory); i++)
			cr_assert_eq(memory[i], 0x5a);
	}
}

Test(pack, what_is_cut_off_is_bad_and_reads_as_nothing)
{
	unsigned char memory[128];
	struct pack p = {.to = memory, .room = sizeof(memory)};

	pack_some(&p);
	for (size_t n = 0; n < p.n; n++) {
		struct unpack u = {.p = memory, .n = n};
		cr_expect(!unpack_some(&u) || n == p.n);
		cr_expect(u.bad);
	}
	struct unpack u = {.p = memory, .n = 0};
	cr_expect_eq(unpack_u64(&u), 0);
	cr_expect_str_eq(unpack_string(&u), "");
	cr_expect_eq(unpack_block(&u).n, 0);
}

Test(pack, a_string_ends_where_it_says)
{
	unsigned char memory[32];
	const struct {
		const char *p;
		size_t n;
	} bad[] = {{"", 0}, {"abc", 3}, {"a\0b", 4}, {"ab\0", 4}};

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct pack p = {.to = memory, .room = sizeof(memory)};
		pack_block(&p, bad[i].p, bad[i].n);
		struct unpack u = {.p = memory, .n = p.n};
		cr_expect_str_eq(unpack_string(&u), "");
		cr_expect(u.bad, "%zu", i);
	}
}

Test(pack, no_more_are_counted_than_can_follow)
{
	unsigned char memory[16] = {0};
	struct pack p = {.to = memory, .room = sizeof(memory)};

	pack_u32(&p, 3);
	struct unpack u = {.p = memory, .n = 4 + 12};
	cr_expect_eq(unpack_count(&u, 4), 3);
	cr_expect(!u.bad);
	u = (struct unpack){.p = memory, .n = 4 + 11};
	cr_expect_eq(unpack_count(&u, 4), 0);
	cr_expect(u.bad);
}
