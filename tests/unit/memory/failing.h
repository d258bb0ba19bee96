/*
 * failing.h: an allocator in place of the C library's, of which one can have a chosen allocation fail.
 *
 * Linked into a program it serves everything in it, shared libraries as well. It also counts the blocks that are in use,
 * by which a leak shows at once, and with which failure it began. Under AddressSanitizer it stands before the sanitizer's
 * own allocator.
 */
#ifndef BASCULE_TEST_FAILING_H
#define BASCULE_TEST_FAILING_H

#include <stdatomic.h>

struct failing {
	atomic_long until; /* allocations that still succeed; those after it do not, as many as `most` says */
	atomic_long most;  /* 0: none fails */
	atomic_long ours;  /* 1: only those count, and fail, that the program itself makes, not those of libraries */
	atomic_long seen;  /* allocations so far that count */
	atomic_long failed; /* of those */
	atomic_long blocks; /* in use: allocated and not freed */
};

/* Of this process; or, when the environment names a file in FAILING, of all that have it, the file's content. */
extern struct failing *failing;

#endif
