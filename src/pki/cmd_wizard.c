/*
 * wizard: all questions first, then all that was asked for.
 *
 * Nothing is written before all is known, and what could be in the way (a file
 * that exists, one that the config names) is found before that. One question
 * comes later: whether the certificate goes live, once it can be compared.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/ask.h"
#include "pki/create.h"
#include "pki/install.h"
#include "pki/key.h"
#include "pki/place.h"
#include "pki/subject.h"
#include "pki/target.h"

enum plan_kind { PLAN_REQUEST, PLAN_OWN_CA, PLAN_SELF_SIGNED, PLAN_INSTALL };

#define NONE "-"

/* What the answers come to. Strings are in the arena. */
struct plan {
	size_t kind; /* enum plan_kind */
	struct subject subject;
	const char *key;
	const char *base; /* of the files */
	const char *ca, *ca_name; /* ca_name: it is made, and called this; NULL: it is there */
	const char *cert, *chain; /* to install */
	const char *bundle;       /* into this; NULL: into none */
};

/* --- answers that will do --- */

static bool
check_base(struct pki *p, const char *answer)
{
	return base_name_check(answer, &p->err);
}

static bool
check_exists(struct pki *p, const char *answer)
{
	return access(answer, R_OK) == 0 || err_set(&p->err, "%s: there is no such file, or it can not be read", answer);
}

static bool
check_optional_file(struct pki *p, const char *answer)
{
	return strcmp(answer, NONE) == 0 || check_exists(p, answer);
}

static bool
check_key(struct pki *p, const char *answer)
{
	return key_kind_check(answer, &p->err);
}

/* The names of an answer, "a, b", in `s`, judged. */
static bool
take_names(struct pki *p, const char *answer, struct subject *s)
{
	struct sv rest = sv_cstr(answer);

	*s = (struct subject){.n_san = 0};
	while (rest.p != NULL) {
		struct sv one = sv_trim(sv_cut(&rest, ','));
		if (one.n == 0)
			continue;
		if (s->n_san == SAN_MAX)
			return err_set(&p->err, "too many names");
		if ((s->san[s->n_san++] = arena_copy(&p->arena, one)) == NULL)
			return err_no_memory(&p->err);
	}
	return subject_complete(p, s);
}

static bool
check_names(struct pki *p, const char *answer)
{
	struct subject s;

	return take_names(p, answer, &s);
}

static bool
check_country(struct pki *p, const char *answer)
{
	return strcmp(answer, NONE) == 0 || strlen(answer) == 2 ||
	    err_set(&p->err, "\"%s\" is no country; it has two letters, such as DE, or is " NONE, answer);
}

/* --- what Enter answers --- */

static const char *
own_name(struct pki *p)
{
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) != 0 || !is_host_name(sv_cstr(host)))
		return "localhost";
	const char *name = arena_copy(&p->arena, sv_cstr(host));
	return name != NULL ? name : "localhost";
}

/* "*.shop.example" as a base name: "wildcard-shop-example" */
static const char *
base_of(struct pki *p, const char *name)
{
	bool wildcard = name[0] == '*';
	char *base = arena_printf(&p->arena, "%s%s", wildcard ? "wildcard" : "", wildcard ? name + 1 : name);

	for (char *c = base; c != NULL && *c != '\0'; c++) {
		char lower = ascii_lower(*c);
		if (!((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == '_'))
			*c = '-';
	}
	return base != NULL && base_name_check(base, NULL) ? base : "certificate";
}

/* The bundle of a site that serves the first name; else one that is called like the files. */
static const char *
likely_bundle(struct pki *p, const struct conf *conf, const struct plan *plan)
{
	const char *name = plan->subject.n_san > 0 ? plan->subject.san[0] : "", *found = NONE;

	for (size_t i = 0; i < conf->n_sites; i++)
		for (size_t k = 0; k < conf->sites[i].names.n && conf->sites[i].bundles.n > 0; k++)
			if (sv_ieq(sv_cstr(conf->sites[i].names.v[k]), sv_cstr(name)))
				found = conf->sites[i].bundles.v[0];
	if (conf_bundle(conf, plan->base) != NULL)
		found = plan->base;
	const char *kept = arena_copy(&p->arena, sv_cstr(found));
	return kept != NULL ? kept : NONE;
}

/* --- questions --- */

static bool
ask_part(struct pki *p, const char *question, const char **part, ask_check check)
{
	if (!ask_text(p, question, NONE, check, part))
		return false;
	if (strcmp(*part, NONE) == 0)
		*part = NULL;
	return true;
}

static bool
ask_subject(struct pki *p, struct plan *plan)
{
	const char *names, *base;

	if (!ask_text(p, "Host names, the first one first, with commas", own_name(p), check_names, &names) ||
	    !take_names(p, names, &plan->subject) || !ask_part(p, "Organisation", &plan->subject.o, NULL) ||
	    !ask_part(p, "Unit in it", &plan->subject.ou, NULL) || !ask_part(p, "Town", &plan->subject.l, NULL) ||
	    !ask_part(p, "State or province", &plan->subject.st, NULL) ||
	    !ask_part(p, "Country, two letters", &plan->subject.c, check_country))
		return false;
	base = base_of(p, plan->subject.san[0]);
	return ask_text(p, "Kind of key (ec, rsa)", "ec", check_key, &plan->key) &&
	    ask_text(p, "Base name of the files", base, check_base, &plan->base);
}

static bool
exists(struct pki *p, const char *name, const char *suffix)
{
	const char *path = place(p, name, suffix);
	struct stat st;

	return path != NULL && lstat(path, &st) == 0;
}

static bool
ask_ca(struct pki *p, struct plan *plan)
{
	if (!ask_text(p, "Base name of the CA's files", "ca", check_base, &plan->ca))
		return false;
	if (exists(p, plan->ca, ".crt") && exists(p, plan->ca, ".key"))
		return true;
	return ask_text(p, "There is none yet. What shall it be called", "Own CA", NULL, &plan->ca_name);
}

/* A config that is not there is no fault; there is then nothing to install into. */
static bool
ask_bundle(struct pki *p, struct plan *plan)
{
	bool absent = false;
	struct conf *conf = place_config(p, &absent);
	const char *answer;

	if (conf == NULL)
		return absent && plan->kind != PLAN_INSTALL
		    ? true
		    : p->err.text[0] != '\0' ? false
		                             : err_set(&p->err, "there is no config to install into; name it with -c");
	bool ok = ask_text(p, "Install it in bundle (" NONE ": in none)", likely_bundle(p, conf, plan), NULL, &answer);
	if (ok && strcmp(answer, NONE) != 0) {
		struct target target;
		plan->bundle = answer;
		ok = target_find(p, conf, answer, true, &target);
		target_wipe(&target);
	}
	conf_free(conf);
	return ok;
}

static bool
ask_files(struct pki *p, struct plan *plan)
{
	const char *chain;

	if (!ask_text(p, "The certificate's file", "certificate.crt", check_exists, &plan->cert) ||
	    !ask_text(p, "A file with its chain (" NONE ": none, or in the same)", NONE, check_optional_file, &chain))
		return false;
	plan->chain = strcmp(chain, NONE) == 0 ? NULL : chain;
	const char *slash = strrchr(plan->cert, '/');
	struct sv rest = sv_cstr(slash != NULL ? slash + 1 : plan->cert), stem = sv_cut(&rest, '.');
	plan->base = arena_copy(&p->arena, stem);
	return plan->base != NULL || err_no_memory(&p->err);
}

static bool
ask_all(struct pki *p, struct plan *plan)
{
	static const char *const kinds[] = {
		"a request for a CA to sign",
		"a certificate from a small CA of my own",
		"a certificate signed by itself",
		"install a certificate that a CA has sent",
	};

	if (!ask_choice(p, "What is wanted", kinds, COUNTOF(kinds), PLAN_REQUEST, &plan->kind))
		return false;
	if (plan->kind == PLAN_INSTALL)
		return ask_files(p, plan) && ask_bundle(p, plan);
	return ask_subject(p, plan) && (plan->kind != PLAN_OWN_CA || ask_ca(p, plan)) &&
	    (plan->kind == PLAN_REQUEST || ask_bundle(p, plan));
}

/* --- before and after the last question --- */

static bool
is_clear(struct pki *p, const char *name, const char *suffix)
{
	const char *path = place(p, name, suffix);

	if (path == NULL || !place_is_free(p, path))
		return false;
	return !exists(p, name, suffix) ||
	    err_set(&p->err, "%s: exists; nothing is overwritten: take another name, or move it away", path);
}

/* The parts of a name have lengths, which OpenSSL knows. */
static bool
subject_fits(struct pki *p, const struct subject *s)
{
	X509_NAME *name = subject_name(s, &p->err);

	X509_NAME_free(name);
	return name != NULL;
}

/* May the CA that is there sign, and has it, or the one to be made, another name than the certificate? */
static bool
ca_fits(struct pki *p, const struct plan *plan)
{
	const char *ca = place(p, plan->ca, "");
	const struct subject own = {.cn = plan->ca_name};
	struct issuer issuer;

	if (plan->ca_name != NULL) {
		return subject_fits(p, &own) &&
		    (plan->subject.cn == NULL || strcmp(plan->ca_name, plan->subject.cn) != 0 ||
		        err_set(&p->err, "\"%s\": the CA and the certificate need two names", plan->ca_name));
	}
	bool ok = ca != NULL && issuer_read(p, ca, &issuer);
	if (ok)
		issuer_free(&issuer);
	return ok;
}

static bool
nothing_in_the_way(struct pki *p, const struct plan *plan)
{
	if (plan->kind == PLAN_INSTALL)
		return true;
	if (!subject_fits(p, &plan->subject) || (plan->ca != NULL && !ca_fits(p, plan)))
		return false;
	if (plan->ca_name != NULL && (!is_clear(p, plan->ca, ".key") || !is_clear(p, plan->ca, ".crt")))
		return false;
	if (plan->ca != NULL && strcmp(plan->ca, plan->base) == 0)
		return err_set(&p->err, "%s: the CA and the certificate need two base names", plan->base);
	return is_clear(p, plan->base, ".key") && (plan->kind == PLAN_SELF_SIGNED || is_clear(p, plan->base, ".csr")) &&
	    (plan->kind == PLAN_REQUEST || is_clear(p, plan->base, ".crt"));
}

static void
print_summary(const struct plan *plan)
{
	(void)puts("\nThis will");
	if (plan->ca_name != NULL)
		(void)printf("  make the CA \"%s\" (%s.key, %s.crt)\n", plan->ca_name, plan->ca, plan->ca);
	if (plan->kind != PLAN_INSTALL)
		(void)printf("  make a key (%s.key) and a %s (%s.%s)\n", plan->base,
		    plan->kind == PLAN_SELF_SIGNED ? "certificate" : "request", plan->base,
		    plan->kind == PLAN_SELF_SIGNED ? "crt" : "csr");
	if (plan->kind == PLAN_OWN_CA)
		(void)printf("  sign it with %s (%s.crt)\n", plan->ca, plan->base);
	if (plan->bundle != NULL)
		(void)printf("  check it, show what changes in bundle \"%s\", and ask before it is put in place\n", plan->bundle);
}

static bool
make_ca(struct pki *p, const struct plan *plan)
{
	p->args.subject = (struct subject){.cn = plan->ca_name, .o = plan->subject.o, .c = plan->subject.c};
	p->args.key = NULL;
	return create(p, CREATE_CA, plan->ca);
}

static bool
make_files(struct pki *p, const struct plan *plan)
{
	if (plan->ca_name != NULL && !make_ca(p, plan))
		return false;
	p->args.subject = plan->subject;
	p->args.key = plan->key;
	if (!create(p, plan->kind == PLAN_SELF_SIGNED ? CREATE_SELF_SIGNED : CREATE_REQUEST, plan->base))
		return false;
	if (plan->kind != PLAN_OWN_CA)
		return true;
	const char *csr = place(p, plan->base, ".csr"), *crt = place(p, plan->base, ".crt"), *ca = place(p, plan->ca, "");
	return csr != NULL && ca != NULL && crt != NULL && create_signed(p, csr, ca, crt);
}

/* Several files, none of which is of use without the others: a signal waits until they are there. */
static bool
make_files_undisturbed(struct pki *p, const struct plan *plan)
{
	sigset_t all, before;

	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	bool ok = make_files(p, plan);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return ok;
}

static bool
agree(struct pki *p, bool loses)
{
	bool go = false;

	return ask_yes(p, "Put it in place", !loses, &go) && go;
}

/* A bundle that is not there yet can only be made in a directory. */
static int
install_it(struct pki *p, const struct plan *plan)
{
	const char *cert = plan->cert != NULL ? plan->cert : place(p, plan->base, ".crt");

	if (cert == NULL)
		return PKI_FAILED;
	p->args.key = NULL;
	p->args.create = true;
	return install(p, plan->bundle, cert, plan->chain, NULL, agree);
}

static int
carry_out(struct pki *p, const struct plan *plan)
{
	if (plan->kind != PLAN_INSTALL && !make_files_undisturbed(p, plan))
		return PKI_FAILED;
	if (plan->kind == PLAN_REQUEST)
		(void)printf("\nSend %s.csr to the CA. When its certificate has come: bascule pki wizard, 4.\n", plan->base);
	return plan->bundle != NULL ? install_it(p, plan) : PKI_OK;
}

static bool
ask_plan(struct pki *p, struct plan *plan, bool *go)
{
	if (!ask_all(p, plan) || !nothing_in_the_way(p, plan))
		return false;
	if (plan->kind == PLAN_INSTALL && plan->bundle == NULL)
		return err_set(&p->err, "there is nothing to do without a bundle");
	print_summary(plan);
	return ask_yes(p, "Go ahead", true, go);
}

int
cmd_wizard(struct pki *p)
{
	struct plan plan = {.kind = PLAN_REQUEST};
	bool go = false;

	(void)puts("Enter takes what stands in [ ]. Nothing is written before you are asked to go ahead; until then\n"
	           "Ctrl-C leaves all as it is.\n");
	bool asked = ask_plan(p, &plan, &go);
	if (asked && go)
		return carry_out(p, &plan);
	(void)puts("Nothing was changed.");
	return asked ? PKI_OK : PKI_FAILED;
}
