#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *
pages_malloc(size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	char *p = malloc(n);
	uintptr_t before = p != NULL ? (page - (uintptr_t)p % page) % page : 0;

	/* Only the pages that are all of this piece. */
	if (p != NULL && n >= before + page)
		(void)madvise(p + before, (n - before) / page * page, MADV_DONTNEED);
	return p;
}
