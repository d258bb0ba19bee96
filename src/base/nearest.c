#include "base/nearest.h"

#include "base/sv.h"

enum { WORD_MAX = 32 };

/*
 * How many letters must be changed, left out, put in, or swapped with their neighbour (optimal string alignment).
 * Rows of the table: two before (for swaps), before, and this one.
 */
static size_t
distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3];
		const size_t *before = rows[(i + 2) % 3], *before_that = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			bool same = ascii_lower(a[i - 1]) == ascii_lower(b[j - 1]);
			size_t best = before[j - 1] + (same ? 0 : 1);
			best = MIN_OF(best, before[j] + 1);
			best = MIN_OF(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN_OF(best, before_that[j - 2] + 1);
			row[j] = best;
		}
	}
	return rows[na % 3][nb];
}

/* "warn" for "warning": cut off, or too long. */
static bool
begins_alike(const char *a, size_t na, const char *b, size_t nb)
{
	size_t n = MIN_OF(na, nb);

	return n >= 3 && sv_ieq(sv_of(a, n), sv_of(b, n));
}

const char *
nearest_word(const char *word, const char *const *candidates, size_t n)
{
	size_t length = strlen(word), nearest = SIZE_MAX;
	const char *found = NULL;

	if (length > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(candidates[i]), longer = MAX_OF(length, other);
		if (longer > WORD_MAX)
			continue;
		size_t d = distance(word, length, candidates[i], other);
		/* A third of the letters may differ, of a short word one; but not all. */
		bool alike = (d <= MAX_OF(longer / 3, (size_t)1) && d < longer) ||
		    begins_alike(word, length, candidates[i], other);
		if (alike && d < nearest) {
			nearest = d;
			found = candidates[i];
		}
	}
	return found;
}
