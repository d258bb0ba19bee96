#include "app/load_report.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void
load_report_reset(struct admin_load *r)
{
	conf_problems_free(&r->problems);
	conf_problems_init(&r->problems);
	tls_outcomes_free(&r->outcomes);
	r->outcomes = (struct tls_outcomes){.n = 0};
	r->at_us = clock_wall_us();
	r->ok = false;
}

void
load_report_log_problems(const struct conf_problems *problems)
{
	struct sv rest = buf_view(&problems->text);
	struct conf_problem p;

	while (conf_problems_next(&rest, &p))
		log_line(p.is_warning ? LOG_WARNING : LOG_ERROR, "%.*s%.*s", SV_FMT(p.before), SV_FMT(p.after));
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
		bool bad = v->kind == TLS_HELD || v->kind == TLS_MISSING;
		log_line(bad ? LOG_ERROR : LOG_NOTICE, "%s \"%s\": %s: %s", v->of, v->name, tls_outcome_word(v->kind), v->text != NULL ? v->text : "");
		log_findings(v);
	}
}

bool
load_report_same(const struct tls_outcomes *a, const struct tls_outcomes *b, bool taken_over)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct tls_outcome *x = &a->v[i], *y = &b->v[i];
		bool news = taken_over && (x->kind == TLS_LOADED || x->kind == TLS_GONE);
		if (news || x->kind != y->kind || strcmp(x->of, y->of) != 0 || strcmp(x->name, y->name) != 0 || strcmp(x->text, y->text) != 0)
			return false;
	}
	return true;
}
