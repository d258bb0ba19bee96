#include "pki/compare.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pki/describe.h"
#include "pki/words.h"

/* The names of one side. */
struct names {
	const char *v[NAMES_SHOWN];
	size_t n;
};

static bool
has(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (sv_ieq(sv_cstr(names->v[i]), sv_cstr(name)))
			return true;
	return false;
}

/* Does a site that names the bundle serve this name? */
static bool
is_served(const struct conf *conf, const char *bundle, const char *name)
{
	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_site *s = &conf->sites[i];
		bool ours = s->bundles.n == 0;
		for (size_t k = 0; k < s->bundles.n; k++)
			ours = ours || strcmp(s->bundles.v[k], bundle) == 0;
		for (size_t k = 0; ours && k < s->names.n; k++)
			if (sv_ieq(sv_cstr(s->names.v[k]), sv_cstr(name)))
				return true;
	}
	return false;
}

static void
print_line(const char *label, const char *mark, const char *text, const char *more)
{
	(void)printf("  %-10s %s", label, mark);
	show_safe(stdout, text);
	(void)printf("%s\n", more);
}

static bool
print_names(const struct conf *conf, const char *bundle, const struct names *old, const struct names *new)
{
	const char *label = "names";
	bool loses = false;

	for (size_t i = 0; i < old->n; i++) {
		if (has(new, old->v[i]))
			continue;
		bool served = is_served(conf, bundle, old->v[i]);
		print_line(label, "- ", old->v[i], served ? "   LOST, and a site of the config serves it" : "   lost");
		loses = loses || served;
		label = "";
	}
	for (size_t i = 0; i < new->n; i++) {
		print_line(label, has(old, new->v[i]) ? "  " : "+ ", new->v[i], "");
		label = "";
	}
	return loses;
}

/* "OLD -> NEW", or "NEW" when it stays as it is. */
static void
print_change(const char *label, const char *old, const char *new)
{
	bool changes = old != NULL && strcmp(old, new) != 0;

	(void)printf("  %-10s   ", label);
	if (changes) {
		show_safe(stdout, old);
		(void)fputs(" -> ", stdout);
	}
	show_safe(stdout, new);
	(void)fputs(old != NULL && !changes ? " (as before)\n" : "\n", stdout);
}

static void
print_name(const char *label, const struct asn1 *old, struct asn1 new)
{
	char old_text[NAME_TEXT], new_text[NAME_TEXT];

	if (old != NULL)
		cert_name_text(*old, old_text, sizeof(old_text));
	cert_name_text(new, new_text, sizeof(new_text));
	print_change(label, old != NULL ? old_text : NULL, new_text);
}

static void
print_expiry(const struct cert_view *old, const struct cert_view *new)
{
	char old_text[DATE_TEXT], new_text[DATE_TEXT], left[LEFT_TEXT];

	if (old != NULL)
		date_text(old->not_after, old_text);
	date_text(new->not_after, new_text);
	print_change("expires", old != NULL ? old_text : NULL, new_text);
	left_text(new->not_before, new->not_after, (int64_t)time(NULL), left);
	(void)printf("  %-10s   %s%s\n", "", left,
	    old != NULL && new->not_after < old->not_after ? "   EARLIER than the one in place" : "");
}

static void
print_key(const struct cert_view *old, const struct cert_view *new)
{
	char text[96];
	bool same = old != NULL && asn1_eq(old->algorithm, new->algorithm) && asn1_eq(old->public_key, new->public_key);

	describe_key(new, text, sizeof(text));
	(void)printf("  %-10s   %s%s\n", "key", text, old == NULL ? "" : same ? " (the one in place)" : " (another one)");
}

bool
compare_print(struct pki *p, const struct conf *conf, const char *bundle, const struct peek *old,
    const struct chain *chain)
{
	const struct cert_view *new = &chain->order[0]->view, *before = old->chain.n > 0 ? &old->chain.order[0]->view : NULL;
	struct names old_names = {.n = 0}, new_names = {.n = 0};

	(void)printf("bundle \"%s\": %s\n", bundle,
	    before == NULL ? "there is none in place" : "what changes against the one in place");
	if (before == NULL && old->problem.text[0] != '\0') {
		(void)fputs("  (", stdout);
		show_safe(stdout, old->problem.text);
		(void)fputs(")\n", stdout);
	}
	if (before != NULL)
		old_names.n = describe_names(p, before, old_names.v);
	new_names.n = describe_names(p, new, new_names.v);
	bool loses = print_names(conf, bundle, &old_names, &new_names);
	print_name("subject", before != NULL ? &before->subject : NULL, new->subject);
	print_name("issuer", before != NULL ? &before->issuer : NULL, new->issuer);
	print_expiry(before, new);
	print_key(before, new);
	(void)printf("  %-10s   %u certificate%s\n", "chain", chain->n, chain->n == 1 ? "" : "s");
	return loses;
}
