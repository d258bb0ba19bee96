/*
 * sv.h: a view of bytes that somebody else owns.
 *
 * A view is valid as long as what it looks at; the function that returns one
 * says how long that is. It is not NUL-terminated. {NULL, 0} is the empty
 * view and means "absent" where absence matters.
 */
#ifndef BASCULE_BASE_SV_H
#define BASCULE_BASE_SV_H

#include <string.h>

#include "base/defs.h"

struct sv {
	const char *p;
	size_t n; /* bytes */
};

#define SV(literal) ((struct sv){(literal), sizeof(literal) - 1})
#define SV_NONE ((struct sv){NULL, 0})
/* For printf's "%.*s". A view longer than INT_MAX never occurs: every buffer has a smaller limit. */
#define SV_FMT(s) (int)(s).n, (s).p

static inline struct sv
sv_of(const char *p, size_t n)
{
	return (struct sv){p, n};
}

/* NULL gives the empty view. */
static inline struct sv
sv_cstr(const char *s)
{
	return (struct sv){s, s != NULL ? strlen(s) : 0};
}

static inline bool
sv_eq(struct sv a, struct sv b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case folding only: never the locale's. */
static inline char
ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

bool sv_ieq(struct sv a, struct sv b);
bool sv_starts(struct sv s, struct sv prefix);
bool sv_ends(struct sv s, struct sv suffix);

/* Without spaces and tabs at both ends (OWS of RFC 9110, 5.6.3). */
struct sv sv_trim(struct sv s);

/*
 * Cut *rest at the first `sep`: returns what stands before it, *rest becomes what follows.
 * Without a `sep` returns all of it and *rest becomes SV_NONE. Loop: while (rest.p != NULL).
 */
struct sv sv_cut(struct sv *rest, char sep);

/* Strict decimal: one to twenty digits and nothing else. False on anything else or on overflow. */
bool sv_u64(struct sv s, uint64_t *out);

/* Copy into `out` of `size` bytes with a NUL; false, with an empty string, when it does not fit. */
bool sv_copy(struct sv s, char *out, size_t size);

#endif
