#include "route/template.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * The variable, or the dollar sign, that stands at the front of *rest, right behind a '$'. Moves *rest behind it.
 */
static bool
parse_variable(struct template_piece *piece, struct sv *rest, template_lookup *lookup, const void *context,
    struct err *err)
{
	struct sv name;
	size_t used;

	if (rest->n > 0 && rest->p[0] == '$') {
		*piece = (struct template_piece){sv_of(rest->p, 1), TEMPLATE_TEXT};
		*rest = sv_of(rest->p + 1, rest->n - 1);
		return true;
	}
	if (rest->n > 0 && rest->p[0] == '{') {
		const char *close = memchr(rest->p, '}', rest->n);
		if (close == NULL)
			return err_set(err, "\"${\" without \"}\"");
		name = sv_of(rest->p + 1, (size_t)(close - rest->p) - 1);
		used = name.n + 2;
	} else {
		for (used = 0; used < rest->n && is_digit(rest->p[used]); used++)
			;
		name = sv_of(rest->p, used);
		if (used == 0)
			return err_set(err, "\"$\" that begins no variable; write \"$$\" for a dollar sign");
	}
	int variable = lookup(context, name, err);
	*piece = (struct template_piece){SV_NONE, variable};
	*rest = sv_of(rest->p + used, rest->n - used);
	return variable >= 0;
}

bool
template_parse(struct template *t, struct arena *arena, const char *text, template_lookup *lookup, const void *context,
    struct err *err)
{
	size_t dollars = 0;

	for (const char *c = text; *c != '\0'; c++)
		dollars += *c == '$';
	char *copy = arena_copy(arena, sv_cstr(text));
	*t = (struct template){arena_alloc(arena, (2 * dollars + 1) * sizeof(*t->pieces)), 0};
	if (copy == NULL || t->pieces == NULL)
		return err_no_memory(err);
	for (struct sv rest = sv_cstr(copy);;) {
		struct sv plain = sv_cut(&rest, '$');
		if (plain.n > 0)
			t->pieces[t->n++] = (struct template_piece){plain, TEMPLATE_TEXT};
		if (rest.p == NULL)
			return true;
		if (!parse_variable(&t->pieces[t->n++], &rest, lookup, context, err))
			return false;
	}
}

bool
template_varies(const struct template *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->pieces[i].variable != TEMPLATE_TEXT)
			return true;
	return false;
}

static struct sv
piece_text(const struct template_piece *piece, const struct sv *values)
{
	return piece->variable == TEMPLATE_TEXT ? piece->text : values[piece->variable];
}

size_t
template_length(const struct template *t, const struct sv *values)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += piece_text(&t->pieces[i], values).n;
	return n;
}

char *
template_write(const struct template *t, const struct sv *values, char *out)
{
	for (size_t i = 0; i < t->n; i++) {
		struct sv text = piece_text(&t->pieces[i], values);
		if (text.n > 0)
			memcpy(out, text.p, text.n);
		out += text.n;
	}
	return out;
}
