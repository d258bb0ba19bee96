/*
 * pattern.h: a regular expression over bytes. The only place that knows PCRE2.
 *
 * A pattern is immutable and shared by threads; what a match writes to lies
 * in the thread's scratch. Patterns see bytes, never UTF-8: nothing that a
 * peer sends can be malformed for them.
 */
#ifndef BASCULE_ROUTE_PATTERN_H
#define BASCULE_ROUTE_PATTERN_H

#include "base/err.h"
#include "base/sv.h"

enum { PATTERN_GROUPS = 64 }; /* that a match reports: the whole match, then $1 to $63 */

struct pattern;
struct pattern_scratch;

/* NULL with err set: where in the pattern and what is wrong there. */
struct pattern *pattern_new(const char *text, bool ignore_case, struct err *err);
void pattern_free(struct pattern *p); /* NULL is fine */

/* The number of the group that is called so, or has this number; -1 with err set when there is none. */
int pattern_group(const struct pattern *p, struct sv name, struct err *err);

struct pattern_scratch *pattern_scratch_new(void); /* one a thread; NULL: out of memory */
void pattern_scratch_free(struct pattern_scratch *s); /* NULL is fine */

/* PATTERN_GAVE_UP: the bound on steps, stack or memory was met; it is not known whether it matches. */
enum pattern_result { PATTERN_DIFFERS, PATTERN_MATCHES, PATTERN_GAVE_UP };

/*
 * Search, anywhere in `subject` unless the pattern is anchored. `groups`, when not NULL, has PATTERN_GROUPS places for
 * views into `subject`; a group that took no part is empty.
 */
enum pattern_result pattern_match(const struct pattern *p, struct pattern_scratch *s, struct sv subject,
    struct sv *groups);

#endif
