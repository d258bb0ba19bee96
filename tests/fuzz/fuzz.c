#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>

static const char *seeds; /* the directory for them */

_Noreturn void
fuzz_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n");
	abort();
}

void *
fuzz_alloc(size_t n)
{
	void *p = malloc(n);

	FUZZ_CHECK(p != NULL);
	return p;
}

char *
fuzz_copy(struct sv s)
{
	char *p = fuzz_alloc(s.n);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

/* --- seeds --- */

__attribute__((weak)) void
fuzz_seeds(void)
{
}

void
fuzz_seed(const char *name, const void *p, size_t n)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", seeds, name);
	FILE *f = fopen(path, "we");
	FUZZ_CHECK(f != NULL && fwrite(p, 1, n, f) == n && fclose(f) == 0, "%s", path);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0) {
		seeds = (*argv)[2];
		fuzz_seeds();
		exit(0);
	}
	return 0;
}
