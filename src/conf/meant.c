/*
 * meant.c: what was probably meant by a value that a row does not take.
 *
 * Only what is plain: the same value in another form, or the end of the range
 * that it lies beyond. To guess more would teach what is wrong.
 */
#include <stdio.h>

#include "conf/value.h"

static bool
is_allowed(const struct key *k, uint64_t v)
{
	return (v == 0 && k->zero != NULL) || (v >= k->min && v <= k->max);
}

static void
write_number(const struct key *k, uint64_t v, char *out)
{
	char text[VALUE_NUMBER_TEXT];
	bool ok = is_allowed(k, v);

	value_number_text(k->type, ok ? v : v < k->min ? k->min : k->max, text);
	(void)snprintf(out, VALUE_EXPECTED_TEXT, "%s%s", ok ? "write " : "the nearest is ", text);
}

static void
meant_bool(const char *word, char *out)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

	for (size_t i = 0; i < COUNTOF(words); i++)
		if (sv_ieq(sv_cstr(word), sv_cstr(words[i])))
			(void)snprintf(out, VALUE_EXPECTED_TEXT, "write %s", i % 2 == 1 ? "true" : "false");
}

/* A number without its unit may be of seconds or of milliseconds. Who wants more seconds than there may be is told the most. */
static void
meant_bare_duration(const struct key *k, uint64_t v, char *out)
{
	char most[VALUE_NUMBER_TEXT];
	uint64_t ms;
	bool as_ms = is_allowed(k, v);
	bool as_s = !__builtin_mul_overflow(v, SECOND, &ms) && is_allowed(k, ms);
	unsigned long long n = v;

	if (as_s && as_ms) {
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "write \"%llus\" or \"%llums\", with its unit", n, n);
	} else if (as_s) {
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "write \"%llus\", with its unit", n);
	} else if (as_ms) {
		value_number_text(k->type, k->max, most);
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "the most is %s; if milliseconds are meant, write \"%llums\"", most, n);
	} else {
		write_number(k, v, out);
	}
}

/* `bare`: it has no unit. False: it is no such number. */
static bool
read_number(const struct key *k, const json_t *v, uint64_t *out, bool *bare)
{
	struct sv s = sv_of(json_string_value(v), json_string_length(v));
	double real = json_real_value(v); /* 0 of what is none */

	*bare = true;
	if (json_is_string(v) && sv_u64(s, out))
		return true;
	if (json_is_integer(v) || (json_is_real(v) && real >= 0 && real <= UINT32_MAX && real == (double)(uint64_t)real)) {
		*out = json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)real;
		return true;
	}
	*bare = false;
	return json_is_string(v) && k->type != KEY_NUMBER && value_read_loosely(k->type, s, out);
}

static void
meant_number(const struct key *k, const json_t *v, char *out)
{
	char least[VALUE_NUMBER_TEXT];
	uint64_t number;
	bool bare;

	if (json_is_integer(v) && json_integer_value(v) < 0) {
		value_number_text(k->type, k->zero != NULL ? 0 : k->min, least);
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "the nearest is %s", least);
	} else if (!read_number(k, v, &number, &bare)) {
		return;
	} else if (k->type == KEY_DURATION && bare && number > 0) {
		meant_bare_duration(k, number, out);
	} else if (bare && json_is_string(v) && is_allowed(k, number)) {
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "write %llu without quotes", (unsigned long long)number);
	} else {
		write_number(k, number, out);
	}
}

/* A number that should have stood in quotes. */
static void
meant_text(const struct key *k, const json_t *v, const char *raw, char *out)
{
	struct err ignored;

	if (!json_is_number(v) || (k->flags & KEY_NOT_STORED) || (k->words != NULL && value_word(k, raw) < 0) ||
	    (k->check != NULL && !k->check(raw, &ignored)))
		return;
	(void)snprintf(out, VALUE_EXPECTED_TEXT, "write \"%s\"", raw);
}

/* One element, without the list around it. */
static void
meant_list(const struct key_object *o, const json_t *v, const char *raw, char *out)
{
	const struct key *k = o->shorthand != NULL ? key_find(o, o->shorthand) : NULL;
	struct err ignored;

	if (json_is_object(v))
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "write it in brackets: [ { … } ]");
	else if (k != NULL && json_is_string(v) && (k->check == NULL || k->check(json_string_value(v), &ignored)))
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "write [ %s ]", raw);
}

/* "sticky": true, where it is enough that the object is there. */
static void
meant_object(const struct key_object *o, const json_t *v, char *out)
{
	bool needs_some = o == NULL || o->present == KEY_NO_FIELD;

	for (size_t i = 0; !needs_some && i < o->n_keys; i++)
		needs_some = (o->keys[i].flags & KEY_REQUIRED) != 0;
	if (json_is_true(v) && !needs_some)
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "write {}");
}

void
value_meant(const struct key *k, const json_t *v, const char *raw, char out[VALUE_EXPECTED_TEXT])
{
	out[0] = '\0';
	switch (k->type) {
	case KEY_BOOL:
		meant_bool(json_is_string(v) ? json_string_value(v) : raw, out);
		break;
	case KEY_NUMBER:
	case KEY_DURATION:
	case KEY_SIZE:
		meant_number(k, v, out);
		break;
	case KEY_WORD:
	case KEY_STRING:
	case KEY_STRINGS:
		meant_text(k, v, raw, out);
		break;
	case KEY_LIST:
		meant_list(k->object, v, raw, out);
		break;
	case KEY_OBJECT:
		meant_object(k->object, v, out);
		break;
	default:
		break;
	}
}
