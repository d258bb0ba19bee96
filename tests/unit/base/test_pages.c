/* test_pages.c: memory that was used before takes no room until it is written to. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/pages.h"

enum { PIECE = 64 * 1024 }; /* below the size that the C library asks the kernel for */

TestSuite(pages, .timeout = 20);

Test(pages, what_was_left_behind_is_gone)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *before = malloc(PIECE), *behind = malloc(1);

	cr_assert(before != NULL && behind != NULL);
	for (size_t i = 0; i < PIECE; i += page)
		((volatile char *)before)[i] = 1; /* memset() before free() would be left out */
	free(before);
	char *p = pages_malloc(PIECE);
	cr_assert_not_null(p);
	for (char *at = p + (page - (uintptr_t)p % page) % page; at + page <= p + PIECE; at += page) {
		unsigned char there = 0;
		cr_assert_eq(mincore(at, page, &there), 0);
		cr_expect_eq(there & 1, 0, "page %p", (void *)at);
	}
	memset(p, 2, PIECE);
	free(p);
	free(behind);
}

Test(pages, small_pieces)
{
	for (size_t n = 1; n < 10000; n += 97) {
		char *p = pages_malloc(n);
		cr_assert_not_null(p);
		memset(p, 1, n);
		free(p);
	}
}
