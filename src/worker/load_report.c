#include "worker/load_report.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void
load_report_reset(struct admin_load *r)
{
	conf_problems_free(&r->problems);
	conf_problems_init(&r->problems);
	if (r->ok) {
		tls_outcomes_free(&r->taken);
		r->taken = r->outcomes;
		r->taken_us = r->at_us;
	} else {
		tls_outcomes_free(&r->outcomes);
	}
	r->outcomes = (struct tls_outcomes){.n = 0};
	r->at_us = clock_wall_us();
	r->ok = false;
}

void
load_report_free(struct admin_load *r)
{
	tls_outcomes_free(&r->outcomes);
	tls_outcomes_free(&r->taken);
	conf_problems_free(&r->problems);
}

void
load_report_log_problems(const struct conf_problems *problems)
{
	struct sv rest = buf_view(&problems->text);
	struct conf_problem p;

	while (conf_problems_next(&rest, &p))
		log_line(p.is_warning ? LOG_WARNING : LOG_ERROR, "%.*s%.*s", SV_FMT(p.before), SV_FMT(p.after));
}

bool
load_report_stands(const struct tls_outcome *o)
{
	return o->kind == TLS_HELD || o->kind == TLS_MISSING || o->kind == TLS_WAITING;
}

/* What it was held back for stands in its text. */
static void
log_findings(const struct tls_outcome *o)
{
	for (size_t i = 0; i < o->n_findings; i++) {
		const struct tls_finding *f = &o->findings[i];
		if (!f->lossy || f->accepted)
			log_line(f->lossy ? LOG_WARNING : LOG_INFO, "bundle \"%s\": %s%s: %s", o->name, f->lossy ? "accepted: " : "",
			    f->kind, f->text);
	}
}

void
load_report_log(const struct admin_load *r)
{
	const struct tls_outcomes *o = &r->outcomes;

	load_report_log_problems(&r->problems);
	for (size_t i = 0; i < o->n; i++) {
		const struct tls_outcome *v = &o->v[i];
		log_line(load_report_stands(v) && v->kind != TLS_WAITING ? LOG_ERROR : LOG_NOTICE, "%s \"%s\": %s: %s", v->of, v->name,
		    tls_outcome_word(v->kind), v->text != NULL ? v->text : "");
		log_findings(v);
	}
}

void
load_report_keep_others(struct tls_outcomes *o, const struct tls_outcomes *before, const char *bundle)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct tls_outcome *v = &before->v[i];
		bool about_it = strcmp(v->of, "bundle") == 0 && strcmp(v->name, bundle) == 0;
		if (load_report_stands(v) && !about_it && !tls_outcomes_copy(o, v))
			log_error("out of memory: the report of the last load is not whole");
	}
}

void
load_report_mended(struct admin_load *r)
{
	for (size_t i = 0; i < r->outcomes.n; i++) {
		const struct tls_outcome *o = &r->outcomes.v[i];
		if (load_report_stands(o))
			log_notice("%s \"%s\": is as it was before: nothing of it is refused, or waits, any more", o->of, o->name);
	}
	tls_outcomes_free(&r->outcomes);
	r->outcomes = (struct tls_outcomes){.n = 0};
	r->at_us = clock_wall_us();
}

/* The next row from `i` on that still stands as it was told: what was taken over does not. */
static size_t
next_standing(const struct tls_outcomes *o, size_t i, bool taken_over)
{
	while (i < o->n && taken_over && !load_report_stands(&o->v[i]))
		i++;
	return i;
}

bool
load_report_same(const struct tls_outcomes *a, const struct tls_outcomes *b, bool taken_over)
{
	size_t k = next_standing(b, 0, taken_over);

	for (size_t i = 0; i < a->n; i++, k = next_standing(b, k + 1, taken_over)) {
		const struct tls_outcome *x = &a->v[i], *y = k < b->n ? &b->v[k] : NULL;
		bool news = taken_over && !load_report_stands(x);
		if (news || y == NULL || x->kind != y->kind || strcmp(x->of, y->of) != 0 || strcmp(x->name, y->name) != 0 ||
		    strcmp(x->text, y->text) != 0)
			return false;
	}
	return k >= b->n;
}
