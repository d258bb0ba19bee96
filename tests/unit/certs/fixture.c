#include "fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/log.h"

struct fixture fix;

void
fixture_setup(void)
{
	struct err err = {""};

	fix.dir = pki_dir();
	fix.thread = tls_thread_new(0, &err);
	cr_assert_not_null(fix.thread, "%s", err.text);
	fix.root = pki_ca("Test Root");
	fix.intermediate = pki_intermediate("Test Intermediate", &fix.root);
	fix.conf.bundles = fix.bundles;
}

void
fixture_teardown(void)
{
	tls_outcomes_free(&fix.outcomes);
	tls_store_unref(fix.store);
	tls_thread_free(fix.thread);
	pki_free(&fix.intermediate);
	pki_free(&fix.root);
	pki_dir_remove(fix.dir);
}

struct conf_bundle *
fixture_bundle(const char *name)
{
	cr_assert_lt(fix.conf.n_bundles, COUNTOF(fix.bundles));
	struct conf_bundle *b = &fix.bundles[fix.conf.n_bundles++];
	*b = (struct conf_bundle){.name = name};
	return b;
}

struct tls_store *
fixture_load_with(struct files *files, struct tls_outcomes *outcomes)
{
	const struct tls_load load = {.conf = &fix.conf, .files = files, .thread = fix.thread, .previous = fix.store,
	    .accept = fix.accept};
	struct err err = {""};
	struct tls_store *s = tls_store_load(&load, outcomes, &err);

	cr_assert_not_null(s, "%s", err.text);
	return s;
}

void
fixture_load(void)
{
	tls_outcomes_free(&fix.outcomes);
	struct tls_store *new = fixture_load_with(files_direct(), &fix.outcomes);
	tls_store_unref(fix.store);
	fix.store = new;
}

const struct tls_outcome *
fixture_outcome(const char *bundle)
{
	for (size_t i = 0; i < fix.outcomes.n; i++)
		if (strcmp(fix.outcomes.v[i].name, bundle) == 0)
			return &fix.outcomes.v[i];
	return NULL;
}

void
fixture_expect(const char *bundle, enum tls_outcome_kind kind, const char *part)
{
	const struct tls_outcome *o = fixture_outcome(bundle);

	cr_assert_not_null(o, "no outcome for %s", bundle);
	cr_expect_eq(o->kind, kind, "%s: %s: %s", bundle, tls_outcome_word(o->kind), o->text);
	cr_expect_not_null(strstr(o->text, part), "\"%s\" is not in: %s", part, o->text);
	if (kind == TLS_HELD || kind == TLS_MISSING)
		cr_expect_not_null(strchr(o->text, ';'), "says not what to do: %s", o->text);
}

void
fixture_catch_log(void)
{
	int fd = open(IN_DIR("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	log_init("test", LOG_DEBUG);
	log_set_fd(fd);
}

char *
fixture_log(void)
{
	size_t n;

	return pki_read(IN_DIR("log"), &n);
}
