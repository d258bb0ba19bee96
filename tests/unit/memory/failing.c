#include "failing.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct failing own;
struct failing *failing = &own;

/* What lies behind: the sanitizer's, or the C library's. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BEHIND(name) __interceptor_##name
#define UNCHECKED __attribute__((no_sanitize("address", "thread", "undefined"))) /* called before the sanitizer is ready */
#else
#define BEHIND(name) __libc_##name
#define UNCHECKED
#endif
extern void *BEHIND(malloc)(size_t n);
extern void *BEHIND(calloc)(size_t n, size_t size);
extern void *BEHIND(realloc)(void *p, size_t n);
extern void BEHIND(free)(void *p);

/* From where to where the program's own code lies; the linker knows. */
extern const char __executable_start[], etext[];

UNCHECKED static bool
fails(const char *caller)
{
	if (atomic_load_explicit(&failing->ours, memory_order_relaxed) != 0 && (caller < __executable_start || caller >= etext))
		return false;
	atomic_fetch_add_explicit(&failing->seen, 1, memory_order_relaxed);
	if (atomic_load_explicit(&failing->most, memory_order_relaxed) == 0)
		return false;
	long left = atomic_fetch_sub_explicit(&failing->until, 1, memory_order_relaxed);
	if (left > 0 || left <= -atomic_load_explicit(&failing->most, memory_order_relaxed))
		return false;
	atomic_fetch_add_explicit(&failing->failed, 1, memory_order_relaxed);
	errno = ENOMEM;
	return true;
}

UNCHECKED static void *
counted(void *p)
{
	if (p != NULL)
		atomic_fetch_add_explicit(&failing->blocks, 1, memory_order_relaxed);
	return p;
}

UNCHECKED void *
malloc(size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : counted(BEHIND(malloc)(n));
}

UNCHECKED void *
calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : counted(BEHIND(calloc)(n, size));
}

UNCHECKED void
free(void *p)
{
	if (p != NULL)
		atomic_fetch_sub_explicit(&failing->blocks, 1, memory_order_relaxed);
	BEHIND(free)(p);
}

UNCHECKED void *
realloc(void *p, size_t n)
{
	if (p != NULL && n == 0) {
		free(p);
		return NULL;
	}
	if (fails(__builtin_return_address(0)))
		return NULL;
	return p == NULL ? counted(BEHIND(malloc)(n)) : BEHIND(realloc)(p, n);
}

/*
 * jansson's lexer aborts when the text of a token has no room to grow, instead of refusing the input. That text grows by
 * powers of two: such sizes always succeed when jansson asks for them.
 */
static void *
malloc_for_jansson(size_t n)
{
	bool grows = n >= 32 && (n & (n - 1)) == 0;

	return !grows && fails(__builtin_return_address(0)) ? NULL : counted(BEHIND(malloc)(n));
}

/* A worker has another user than its supervisor, but the same memory here. */
__attribute__((constructor)) static void
share(void)
{
	const char *path = getenv("FAILING");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	json_set_alloc_funcs(malloc_for_jansson, free);
	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED)
		failing = p;
	else if (path != NULL)
		abort();
}
