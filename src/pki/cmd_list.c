/* list: all bundles of a config by their expiry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pki/chains.h"
#include "pki/describe.h"
#include "pki/place.h"
#include "pki/show.h"
#include "pki/words.h"

enum { WARN_DAYS = 30, WARN_DAYS_MAX = 36500, NAMES_IN_LINE = 4 };

/* One bundle. Strings are in the arena. */
struct row {
	const char *name, *where, *subject, *issuer, *problem; /* problem: NULL: none */
	const char **names;
	size_t n_names;
	int64_t not_before, not_after;
	bool known; /* its certificate could be read */
};

/* What can not be read comes first: nobody knows when that expires. */
static int
by_expiry(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->known != y->known)
		return x->known ? 1 : -1;
	if (x->known && x->not_after != y->not_after)
		return x->not_after < y->not_after ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool
keep_names(struct pki *p, const struct cert_view *leaf, struct row *r)
{
	const char *names[NAMES_SHOWN];

	r->n_names = describe_names(p, leaf, names);
	r->names = arena_alloc(&p->arena, MAX_OF(r->n_names, (size_t)1) * sizeof(*r->names));
	if (r->names != NULL && r->n_names > 0)
		memcpy(r->names, names, r->n_names * sizeof(*r->names));
	return r->names != NULL;
}

static bool
fill(struct pki *p, struct source *s, struct row *r)
{
	struct peek k;
	char text[NAME_TEXT];

	*r = (struct row){.name = arena_copy(&p->arena, sv_cstr(s->name)), .where = arena_copy(&p->arena, sv_cstr(s->where))};
	bool ok = r->name != NULL && r->where != NULL;
	peek_source(p, s, files_direct(), &k);
	if (ok && k.problem.text[0] != '\0')
		ok = (r->problem = arena_copy(&p->arena, sv_cstr(k.problem.text))) != NULL;
	if (ok && k.chain.n > 0) {
		const struct cert_view *leaf = &k.chain.order[0]->view;
		r->known = true;
		r->not_before = leaf->not_before;
		r->not_after = leaf->not_after;
		cert_name_text(leaf->subject, text, sizeof(text));
		ok = keep_names(p, leaf, r) && (r->subject = arena_copy(&p->arena, sv_cstr(text))) != NULL;
		cert_name_text(leaf->issuer, text, sizeof(text));
		ok = ok && (r->issuer = arena_copy(&p->arena, sv_cstr(text))) != NULL;
	}
	peek_free(&k);
	return ok || err_no_memory(&p->err);
}

/* --- what is shown --- */

static void
show_json(struct show *s, const struct row *r, int64_t now)
{
	char text[MAX_OF((int)DATE_TEXT, (int)LEFT_TEXT)];

	show_item_begin(s, NULL);
	show_text(s, "bundle", NULL, r->name);
	show_text(s, "where", NULL, r->where);
	if (r->known) {
		show_texts(s, "names", NULL, r->names, r->n_names);
		show_text(s, "subject", NULL, r->subject);
		show_text(s, "issuer", NULL, r->issuer);
		date_text(r->not_after, text);
		show_text(s, "not_after", NULL, text);
		left_text(r->not_before, r->not_after, now, text);
		show_text(s, "validity", NULL, text);
		show_number(s, "days_left", NULL, days_left(r->not_after, now));
	}
	if (r->problem != NULL)
		show_text(s, "problem", NULL, r->problem);
	show_item_end(s);
}

static void
print_padded(const char *text, size_t width)
{
	show_safe(stdout, text);
	for (size_t n = strlen(text); n < width; n++)
		(void)putchar(' ');
	(void)putchar(' ');
}

static void
print_row(const struct row *r, int64_t now)
{
	char date[DATE_TEXT] = "?", left[LEFT_TEXT] = "can not be read";

	if (r->known) {
		date_text(r->not_after, date);
		left_text(r->not_before, r->not_after, now, left);
		date[10] = '\0';
	}
	print_padded(r->name, 20);
	print_padded(date, 10);
	print_padded(left, 24);
	for (size_t i = 0; i < r->n_names && i < NAMES_IN_LINE; i++) {
		(void)fputs(i > 0 ? ", " : "", stdout);
		show_safe(stdout, r->names[i]);
	}
	if (r->n_names > NAMES_IN_LINE)
		(void)printf(" and %zu more", r->n_names - NAMES_IN_LINE);
	(void)putchar('\n');
	if (r->problem != NULL) {
		(void)fputs("  ! ", stdout);
		show_safe(stdout, r->problem);
		(void)putchar('\n');
	}
}

static int
show_all(struct pki *p, const struct row *rows, size_t n, uint64_t warn_days)
{
	int64_t now = (int64_t)time(NULL);
	size_t alarming = 0;
	struct show s;

	show_begin(&s, stdout, p->args.json);
	show_list_begin(&s, "bundles");
	if (!p->args.json && n > 0)
		(void)printf("%-20s %-10s %-24s %s\n", "BUNDLE", "EXPIRES", "VALIDITY", "NAMES");
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		alarming += !r->known || r->problem != NULL || days_left(r->not_after, now) < (int64_t)warn_days;
		if (p->args.json)
			show_json(&s, r, now);
		else
			print_row(r, now);
	}
	show_list_end(&s);
	show_number(&s, "alarming", NULL, (int64_t)alarming);
	show_end(&s);
	if (!p->args.json)
		(void)printf("%s%zu bundle%s, %zu of them expired, expiring within %llu days, or not to be loaded\n",
		    n > 0 ? "\n" : "", n, n == 1 ? "" : "s", alarming, (unsigned long long)warn_days);
	return alarming > 0 ? PKI_BUT : PKI_OK;
}

static int
list(struct pki *p, const struct conf *conf, uint64_t warn_days)
{
	struct sources all;
	int status = PKI_FAILED;
	bool ok = sources_find(&all, conf, files_direct(), &p->err);
	struct row *rows = ok ? calloc(MAX_OF(all.n, (size_t)1), sizeof(*rows)) : NULL;

	if (ok && rows == NULL)
		ok = err_no_memory(&p->err);
	for (size_t i = 0; rows != NULL && ok && i < all.n; i++)
		ok = fill(p, &all.v[i], &rows[i]);
	if (rows != NULL && ok) {
		qsort(rows, all.n, sizeof(*rows), by_expiry);
		status = show_all(p, rows, all.n, warn_days);
	}
	free(rows);
	sources_free(&all);
	return status;
}

int
cmd_list(struct pki *p)
{
	uint64_t warn_days;

	if (!args_number("--warn", p->args.warn, 0, WARN_DAYS_MAX, WARN_DAYS, &warn_days, &p->err))
		return PKI_USAGE;
	struct conf *conf = place_config(p, NULL);
	int status = conf != NULL ? list(p, conf, warn_days) : PKI_FAILED;
	conf_free(conf);
	return status;
}
