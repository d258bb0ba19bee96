#include "each_fails.h"

#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "failing.h"

enum { EACH_OF = 1000 };

enum { ONE = 1, ALL_FROM_THERE = 1 << 30 };

static void
each_fails(const char *what, bool (*fn)(void), long most, bool ours, long expected)
{
	long n = 0, refused = 0;
	bool met = true, done = false;

	for (int i = 0; i < 2; i++) /* what libraries keep for good is theirs now */
		cr_assert(fn(), "%s fails with all the memory it wants", what);
	for (; met; n += n < EACH_OF ? 1 : n / 100) {
		OPENSSL_thread_stop(); /* errors that OpenSSL remembers for this thread */
		long blocks = failing->blocks;
		failing->failed = 0;
		failing->until = n;
		failing->ours = ours;
		failing->most = most;
		done = fn();
		failing->most = 0;
		met = failing->failed > 0;
		OPENSSL_thread_stop();
		refused += !done;
		cr_assert_leq(failing->blocks, blocks, "%s leaks %ld blocks when allocation %ld fails", what, failing->blocks - blocks, n);
	}
	cr_assert(done, "%s fails of itself", what);
	cr_expect_geq(refused, expected, "%s: %ld allocations, %ld failures noticed", what, n, refused);
	if (getenv("FAILING_VERBOSE") != NULL)
		(void)fprintf(stderr, "%s: %ld allocations, %ld refused\n", what, n, refused);
}

void
each_fails_every_way(const char *what, bool (*fn)(void), long expected)
{
	each_fails(what, fn, ONE, true, 1);
	each_fails(what, fn, ALL_FROM_THERE, true, 1);
	each_fails(what, fn, ONE, false, expected);
	each_fails(what, fn, ALL_FROM_THERE, false, expected);
}
