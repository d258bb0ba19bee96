#include "conf/value.h"

#include <stdio.h>

#include "base/clock.h"

static const struct unit {
	const char *suffix;
	uint64_t factor;
	const char *words[3]; /* what people write in its place, or begin to */
} duration_units[] = {{"d", DAY, {"days"}}, {"h", HOUR, {"hours", "hrs", "hr"}}, {"m", MINUTE, {"minutes", "mins"}},
    {"s", SECOND, {"seconds", "secs"}}, {"ms", 1, {"milliseconds", "msecs"}}},
  size_units[] = {{"g", GIB, {"gb", "gib"}}, {"m", MIB, {"mb", "mib"}}, {"k", KIB, {"kb", "kib"}}};

static bool
parse_units(struct sv s, const struct unit *units, size_t n_units, uint64_t *out)
{
	struct sv digits = {s.p, 0};
	uint64_t v;

	while (digits.n < s.n && s.p[digits.n] >= '0' && s.p[digits.n] <= '9')
		digits.n++;
	struct sv suffix = sv_of(s.p + digits.n, s.n - digits.n);
	if (!sv_u64(digits, &v))
		return false;
	for (size_t i = 0; i < n_units; i++)
		if (sv_eq(suffix, sv_cstr(units[i].suffix)))
			return !__builtin_mul_overflow(v, units[i].factor, out);
	return false;
}

bool
value_number(const struct key *k, const json_t *v, uint64_t *out)
{
	struct sv s = sv_of(json_string_value(v), json_string_length(v));

	if (json_is_integer(v) && json_integer_value(v) >= 0 && (k->type != KEY_DURATION || json_integer_value(v) == 0))
		*out = (uint64_t)json_integer_value(v);
	else if (k->type == KEY_DURATION && json_is_string(v)) {
		if (!parse_units(s, duration_units, COUNTOF(duration_units), out))
			return false;
	} else if (k->type == KEY_SIZE && json_is_string(v)) {
		if (!parse_units(s, size_units, COUNTOF(size_units), out))
			return false;
	} else {
		return false;
	}
	return (*out == 0 && k->zero != NULL) || (*out >= k->min && *out <= k->max);
}

/* Two letters may be the beginning of several. */
static bool
is_called(const struct unit *u, struct sv suffix)
{
	if (sv_ieq(suffix, sv_cstr(u->suffix)))
		return true;
	for (size_t i = 0; i < COUNTOF(u->words) && u->words[i] != NULL; i++) {
		size_t n = strlen(u->words[i]);
		bool may_be = suffix.n == n || (suffix.n > 2 && suffix.n < n);
		if (may_be && sv_ieq(suffix, sv_of(u->words[i], suffix.n)))
			return true;
	}
	return false;
}

bool
value_read_loosely(enum key_type type, struct sv s, uint64_t *out)
{
	const struct unit *units = type == KEY_DURATION ? duration_units : size_units;
	size_t n_units = type == KEY_DURATION ? COUNTOF(duration_units) : COUNTOF(size_units), n = 0;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	if (!sv_u64(sv_of(s.p, n), out))
		return false;
	while (n < s.n && s.p[n] == ' ')
		n++;
	struct sv suffix = sv_of(s.p + n, s.n - n);
	for (size_t i = 0; i < n_units; i++)
		if (is_called(&units[i], suffix))
			return !__builtin_mul_overflow(*out, units[i].factor, out);
	return false;
}

void
value_number_text(enum key_type type, uint64_t v, char out[VALUE_NUMBER_TEXT])
{
	char duration[CLOCK_DURATION_SIZE];

	if (v > 0 && type == KEY_DURATION) {
		(void)snprintf(out, VALUE_NUMBER_TEXT, "\"%s\"", clock_duration(v, duration));
		return;
	}
	for (size_t i = 0; v > 0 && type == KEY_SIZE && i < COUNTOF(size_units); i++) {
		if (v % size_units[i].factor == 0) {
			(void)snprintf(out, VALUE_NUMBER_TEXT, "\"%llu%s\"",
			    (unsigned long long)(v / size_units[i].factor), size_units[i].suffix);
			return;
		}
	}
	(void)snprintf(out, VALUE_NUMBER_TEXT, "%llu", (unsigned long long)v);
}

int
value_word(const struct key *k, const char *word)
{
	for (int i = 0; k->words[i] != NULL; i++)
		if (strcmp(k->words[i], word) == 0)
			return i;
	return -1;
}

bool
value_has_form(const struct key *k, const json_t *v)
{
	uint64_t number;

	switch (k->type) {
	case KEY_BOOL:
		return json_is_boolean(v);
	case KEY_NUMBER:
	case KEY_DURATION:
	case KEY_SIZE:
		return value_number(k, v, &number);
	case KEY_WORD:
	case KEY_STRING:
	case KEY_PATH:
		return json_is_string(v) && (k->words == NULL || value_word(k, json_string_value(v)) >= 0);
	case KEY_WORDS:
	case KEY_STRINGS:
	case KEY_PATHS:
		return json_is_string(v) || json_is_array(v);
	case KEY_LIST:
		return json_is_array(v);
	default:
		return json_is_object(v);
	}
}

void
value_preset(const struct key *k, char out[VALUE_NUMBER_TEXT])
{
	out[0] = '\0';
	if (k->type == KEY_BOOL)
		(void)snprintf(out, VALUE_NUMBER_TEXT, "%s", k->preset != 0 ? "true" : "false");
	else if (k->type == KEY_NUMBER || k->type == KEY_DURATION || k->type == KEY_SIZE)
		value_number_text(k->type, k->preset, out);
	else if (k->type == KEY_WORD)
		(void)snprintf(out, VALUE_NUMBER_TEXT, "\"%s\"", k->words[k->preset]);
	else if (k->text != NULL)
		(void)snprintf(out, VALUE_NUMBER_TEXT, "\"%s\"", k->text);
}

static size_t
put(char *out, size_t at, const char *prefix, const char *text, const char *suffix)
{
	if (at >= VALUE_EXPECTED_TEXT)
		return at;
	return at + (size_t)snprintf(out + at, VALUE_EXPECTED_TEXT - at, "%s%s%s", prefix, text, suffix);
}

static void
expected_words(const struct key *k, char *out)
{
	const char *which = k->type == KEY_WORDS ? "a list of any of " : k->words[1] != NULL ? "one of " : "";
	size_t n = put(out, 0, which, "", "");

	for (size_t i = 0; k->words[i] != NULL; i++)
		n = put(out, n, i > 0 ? ", \"" : "\"", k->words[i], "\"");
}

static void
expected_number(const struct key *k, char *out)
{
	char min[VALUE_NUMBER_TEXT], max[VALUE_NUMBER_TEXT];
	const char *kind = k->type == KEY_NUMBER ? "a whole number" : k->type == KEY_SIZE ? "a size" : "a duration";
	size_t n = put(out, 0, kind, "", "");

	value_number_text(k->type, k->min, min);
	value_number_text(k->type, k->max, max);
	if (k->max < KEY_NO_MAX) {
		n = put(out, n, " from ", min, "");
		n = put(out, n, " to ", max, "");
	}
	if (k->zero != NULL)
		put(out, n, ", or 0 (", k->zero, ")");
}

void
value_expected(const struct key *k, char out[VALUE_EXPECTED_TEXT])
{
	static const char *const kinds[] = {
		[KEY_BOOL] = "true or false",
		[KEY_STRING] = "a string",
		[KEY_PATH] = "a path",
		[KEY_STRINGS] = "a string or a list of strings",
		[KEY_PATHS] = "a path or a list of paths",
		[KEY_PAIRS] = "an object of strings",
		[KEY_OBJECT] = "an object",
		[KEY_LIST] = "a list of objects",
		[KEY_MAP] = "an object of objects",
	};

	if (k->words != NULL)
		expected_words(k, out);
	else if (k->type == KEY_NUMBER || k->type == KEY_DURATION || k->type == KEY_SIZE)
		expected_number(k, out);
	else
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "%s", kinds[k->type]);
}

void
value_example(const struct key *k, char out[VALUE_EXPECTED_TEXT])
{
	char preset[VALUE_NUMBER_TEXT];

	value_preset(k, preset);
	bool obvious = k->words != NULL || k->type == KEY_BOOL || k->type == KEY_NUMBER;
	(void)snprintf(out, VALUE_EXPECTED_TEXT, "%s", obvious ? "" : k->example != NULL ? k->example : preset);
}
