#include "certs/outcomes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TEXT_MAX = 1024, NAMES_TOLD = 4 };

bool
tls_outcomes_add(struct tls_outcomes *o, enum tls_outcome_kind kind, const char *of, const char *name, const char *text)
{
	if (o->n == o->capacity) {
		size_t more = o->capacity == 0 ? 16 : o->capacity * 2;
		struct tls_outcome *grown = reallocarray(o->v, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		o->v = grown;
		o->capacity = more;
	}
	struct tls_outcome *new = &o->v[o->n];
	*new = (struct tls_outcome){.kind = kind, .of = of, .name = arena_copy(&o->arena, sv_cstr(name)),
	    .text = arena_copy(&o->arena, sv_cstr(text))};
	if (new->name == NULL || new->text == NULL)
		return false;
	o->n++;
	o->failed += kind == TLS_HELD || kind == TLS_MISSING;
	o->waiting += kind == TLS_WAITING;
	return true;
}

bool
outcomes_add(struct tls_outcomes *o, enum tls_outcome_kind kind, const char *bundle, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return tls_outcomes_add(o, kind, "bundle", bundle, text);
}

/* "a.b.c, *.b.c and 3 more" */
static void
names_text(const struct tls_facts *f, char *out, size_t size)
{
	size_t told = MIN_OF(f->n_names, (size_t)NAMES_TOLD), used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < told && used < size - 1; i++) {
		int n = snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", f->names[i]);
		used = MIN_OF(used + (size_t)MAX_OF(n, 0), size - 1);
	}
	if (f->n_names > told)
		(void)snprintf(out + used, size - used, " and %zu more", f->n_names - told);
	else if (told == 0)
		(void)snprintf(out, size, "no host name");
}

bool
outcomes_add_loaded(struct tls_outcomes *o, const struct tls_bundle *b)
{
	time_t until = (time_t)b->facts.not_after;
	char names[400], date[16] = "", print[17];
	struct tm tm;

	names_text(&b->facts, names, sizeof(names));
	if (gmtime_r(&until, &tm) != NULL && strftime(date, sizeof(date), "%Y-%m-%d", &tm) == 0)
		date[0] = '\0';
	for (size_t i = 0; i < 8; i++)
		(void)snprintf(print + 2 * i, 3, "%02x", b->chain[0]->sha256[i]);
	return outcomes_add(o, TLS_LOADED, b->name, "generation %" PRIu64 ": %s; valid until %s; serial %s; SHA-256 %s",
	    b->generation, names, date, b->facts.serial, print);
}

bool
outcomes_add_findings(struct tls_outcomes *o, const struct guard_findings *f)
{
	struct tls_outcome *last = &o->v[o->n - 1];
	struct tls_finding *v = arena_alloc(&o->arena, MAX_OF(f->n, (size_t)1) * sizeof(*v));

	if (v == NULL)
		return false;
	for (size_t i = 0; i < f->n; i++) {
		v[i] = (struct tls_finding){f->v[i].kind, arena_copy(&o->arena, sv_cstr(f->v[i].text)), f->v[i].lossy,
		    f->v[i].accepted};
		if (v[i].text == NULL)
			return false;
	}
	last->findings = v;
	last->n_findings = f->n;
	return true;
}

bool
tls_outcomes_copy(struct tls_outcomes *o, const struct tls_outcome *from)
{
	struct tls_finding *v = arena_alloc(&o->arena, MAX_OF(from->n_findings, (size_t)1) * sizeof(*v));

	if (v == NULL || !tls_outcomes_add(o, from->kind, from->of, from->name, from->text))
		return false;
	for (size_t i = 0; i < from->n_findings; i++) {
		v[i] = from->findings[i]; /* its word is a constant */
		if ((v[i].text = arena_copy(&o->arena, sv_cstr(from->findings[i].text))) == NULL)
			return false;
	}
	o->v[o->n - 1].findings = v;
	o->v[o->n - 1].n_findings = from->n_findings;
	return true;
}

void
tls_outcomes_free(struct tls_outcomes *o)
{
	free(o->v);
	arena_free(&o->arena);
	*o = (struct tls_outcomes){.arena = ARENA_EMPTY};
}

const char *
tls_outcome_word(enum tls_outcome_kind k)
{
	static const char *const words[] = {
		[TLS_UNCHANGED] = "unchanged", [TLS_LOADED] = "loaded", [TLS_GONE] = "gone",
		[TLS_WAITING] = "waiting",
		[TLS_HELD] = "held", [TLS_MISSING] = "missing",
	};

	return words[k];
}
