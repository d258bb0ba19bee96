#define PCRE2_CODE_UNIT_WIDTH 8

#include "route/pattern.h"

#include <pcre2.h>
#include <stdlib.h>

enum {
	/*
	 * Of one match, from each place in the subject where it may begin: PCRE2 counts anew there, so a pattern that
	 * is anchored is bounded the best. Honest ones take some dozens of steps, and never more than a few times the
	 * length of the path; a step is a few nanoseconds with JIT code.
	 */
	STEPS_MAX = 10000,
	HEAP_MAX_KB = 1024,
	STACK_MIN = 32 * 1024,
	STACK_MAX = 256 * 1024, /* bytes, for JIT code */
};

struct pattern {
	pcre2_code *code;
};

struct pattern_scratch {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
};

struct pattern *
pattern_new(const char *text, bool ignore_case, struct err *err)
{
	uint32_t options =
	    PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOLLAR_ENDONLY | (ignore_case ? PCRE2_CASELESS : 0);
	int code = 0;
	size_t offset = 0;
	struct pattern *p = malloc(sizeof(*p));

	if (p == NULL) {
		err_no_memory(err);
		return NULL;
	}
	p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
	if (p->code == NULL) {
		char reason[160] = "";
		(void)pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof(reason));
		err_set(err, "pattern \"%s\": %s, at byte %zu", text, reason, offset);
		free(p);
		return NULL;
	}
	/* Where the system allows no code to be made at run time, the interpreter does the same, slower. */
	(void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
	return p;
}

void
pattern_free(struct pattern *p)
{
	if (p == NULL)
		return;
	pcre2_code_free(p->code);
	free(p);
}

int
pattern_group(const struct pattern *p, struct sv name, struct err *err)
{
	char text[33]; /* names of groups have at most 32 bytes in PCRE2 */
	uint32_t count = 0;
	uint64_t number;

	(void)pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &count);
	if (!sv_u64(name, &number)) {
		int found = -1;
		if (sv_copy(name, text, sizeof(text)))
			found = pcre2_substring_number_from_name(p->code, (PCRE2_SPTR)text);
		number = found < 0 ? UINT64_MAX : (uint64_t)found; /* a name that several groups have is none, too */
	}
	if (number <= count && number < PATTERN_GROUPS)
		return (int)number;
	err_set(err, "the pattern has no group \"%.*s\"; it has %u, of which at most %d can be used", SV_FMT(name),
	    count, PATTERN_GROUPS - 1);
	return -1;
}

struct pattern_scratch *
pattern_scratch_new(void)
{
	struct pattern_scratch *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->data = pcre2_match_data_create(PATTERN_GROUPS, NULL);
	s->context = pcre2_match_context_create(NULL);
	s->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
	if (s->data == NULL || s->context == NULL || s->stack == NULL) {
		pattern_scratch_free(s);
		return NULL;
	}
	(void)pcre2_set_match_limit(s->context, STEPS_MAX);
	(void)pcre2_set_heap_limit(s->context, HEAP_MAX_KB);
	pcre2_jit_stack_assign(s->context, NULL, s->stack);
	return s;
}

void
pattern_scratch_free(struct pattern_scratch *s)
{
	if (s == NULL)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	free(s);
}

/* `found` groups take part; 0 stands for more than there are places. */
static void
copy_groups(const struct pattern_scratch *s, struct sv subject, int found, struct sv *groups)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->data);
	int n = found == 0 ? PATTERN_GROUPS : found;

	for (int i = 0; i < PATTERN_GROUPS; i++) {
		bool takes_part = i < n && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];
		groups[i] = takes_part ? sv_of(subject.p + at[2 * i], at[2 * i + 1] - at[2 * i]) : SV_NONE;
	}
}

enum pattern_result
pattern_match(const struct pattern *p, struct pattern_scratch *s, struct sv subject, struct sv *groups)
{
	PCRE2_SPTR bytes = (PCRE2_SPTR)(subject.n > 0 ? subject.p : "");
	int found = pcre2_match(p->code, bytes, subject.n, 0, 0, s->data, s->context);

	if (found == PCRE2_ERROR_NOMATCH)
		return PATTERN_DIFFERS;
	if (found < 0)
		return PATTERN_GAVE_UP;
	if (groups != NULL)
		copy_groups(s, subject, found, groups);
	return PATTERN_MATCHES;
}
