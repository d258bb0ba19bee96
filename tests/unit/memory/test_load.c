/* test_load.c: what loads a config and certificates, with each of its allocations failing in turn. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../certs/pki.h"
#include "conf/reference.h"
#include "each_fails.h"
#include "failing.h"
#include "proxy/snapshot.h"
#include "proxy/thread.h"
#include "rotation/registry.h"

static struct {
	char *dir;
	struct tls_thread *thread;
	struct server_registry *registry;
	struct secret secret;
	struct snap_conf *conf;
	struct snapshot *before; /* in service; NULL: none */
	struct rotation_registry *rotations;
	struct px_thread *px;
	const char *config, *touched[5]; /* paths, so that nothing is allocated for them in between */
} world;

#define IN_DIR(name) pki_path(world.dir, "%s", name)

static const char config[] =
    "{ 'listeners': [ { 'address': '127.0.0.1:1', 'tls': true }, { 'address': '127.0.0.1:2', 'redirect': 'https' } ],\n"
    "  'include': 'more/*.json', 'trusted_proxies': [ '10.0.0.0/8', '::1' ],\n"
    "  'bundles': { 'pem': { 'certificate': 'pem.pem', 'key': 'pem.key' }, 'p12': { 'pkcs12': 'all.p12', 'password_file': 'pass' },\n"
    "               'many': { 'directory': 'many' } },\n"
    "  'upstreams': { 'plain': { 'servers': [ '127.0.0.1:3', { 'address': '127.0.0.1:4', 'weight': 2 } ], 'sticky': {} },\n"
    "                 'tls': { 'servers': [ '127.0.0.1:5' ], 'tls': { 'ca': 'root.pem', 'bundle': 'pem' } } } }\n";

static const char sites[] =
    "{ 'sites': [\n"
    "  { 'names': [ 'a.test', '*.a.test' ], 'bundle': [ 'pem', 'p12' ], 'upstream': 'plain', 'default': true,\n"
    "    'client_certificate': { 'mode': 'required', 'pins': [ { 'ca': '../root.pem' } ], 'crls': '../root.crl' },\n"
    "    'limits': { 'body_bytes': '1m' },\n"
    "    'routes': [ { 'path': '^/api/(.*)', 'methods': [ 'GET' ], 'headers': { 'X-A': '^b$' }, 'upstream': 'tls', 'rewrite': '/$1',\n"
    "                  'request_headers': { 'set': { 'X-Id': '${request_id}' }, 'remove': 'X-B' } } ] },\n"
    "  { 'names': 'm.test', 'upstream': 'tls', 'response_headers': { 'set': { 'X-C': 'd' } } } ] }\n";

static void
write_json(const char *name, const char *text)
{
	char json[4096];
	size_t n = strlen(text);

	cr_assert_lt(n, sizeof(json));
	for (size_t i = 0; i <= n; i++)
		json[i] = text[i] == '\'' ? '"' : text[i];
	pki_write_text(IN_DIR(name), json);
}

static struct conf *
read_config(struct conf_problems *problems)
{
	conf_problems_init(problems);
	return conf_load(files_direct(), world.config, problems);
}

static void
make_files(void)
{
	struct test_cert root = pki_ca("Root"), middle = pki_intermediate("Middle", &root);
	struct test_cert a = pki_leaf("a.test,*.a.test", &middle), b = pki_rsa_leaf("a.test", &root), m = pki_leaf("m.test", &middle);
	const struct test_cert *revoked[] = {&m};
	X509_CRL *crl = pki_crl(&root, revoked, 1, 3600);

	pki_write_certs(IN_DIR("root.pem"), PKI_CERTS(&root));
	pki_write_crls(IN_DIR("root.crl"), &crl, 1, false);
	pki_write_certs(IN_DIR("pem.pem"), PKI_CERTS(&a, &middle));
	pki_write_key(IN_DIR("pem.key"), a.key);
	pki_write_pkcs12(IN_DIR("all.p12"), PKI_CERTS(&b), "secret", false);
	pki_write_text(IN_DIR("pass"), "secret\n");
	cr_assert_eq(mkdir(IN_DIR("many"), 0700), 0);
	cr_assert_eq(mkdir(IN_DIR("more"), 0700), 0);
	pki_write_combined(IN_DIR("many/m.pem"), PKI_CERTS(&m, &middle));
	write_json("config.json", config);
	write_json("more/sites.json", sites);
	static const char *const touched[] = {"pem.pem", "pem.key", "all.p12", "pass", "many/m.pem"};
	for (size_t i = 0; i < COUNTOF(touched); i++)
		world.touched[i] = IN_DIR(touched[i]);
	world.config = IN_DIR("config.json");
	X509_CRL_free(crl);
	struct test_cert *all[] = {&root, &middle, &a, &b, &m};
	for (size_t i = 0; i < COUNTOF(all); i++)
		pki_free(all[i]);
}

static void
setup(void)
{
	struct conf_problems problems;
	struct err err = {""};

	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* thousands of "out of memory" */
	world.dir = pki_dir();
	make_files();
	world.thread = tls_thread_new(0, &err);
	world.registry = server_registry_new();
	world.secret.n = SECRET_MIN;
	struct conf *c = read_config(&problems);
	cr_assert_not_null(c, "%.*s", SV_FMT(buf_view(&problems.text)));
	world.conf = snap_conf_new(c);
	conf_problems_free(&problems);
}

static void
teardown(void)
{
	snapshot_unref(world.before);
	snap_conf_unref(world.conf);
	server_registry_free(world.registry);
	tls_thread_free(world.thread);
	pki_dir_remove(world.dir);
}

TestSuite(memory, .init = setup, .fini = teardown, .timeout = 300);

/* After so many not every one: OpenSSL makes ten thousand to find the decoder of a key. */
/* --- the config --------------------------------------------------------------------------------------------- */

static bool
load_config(void)
{
	struct conf_problems problems;
	struct conf *c = read_config(&problems);
	bool ok = c != NULL;

	failing->most = 0;
	if (ok)
		cr_assert(c->n_listeners == 2 && c->n_bundles == 3 && c->n_sites == 2 && c->n_upstreams == 2 &&
		              c->sites[0].n_routes == 1 && problems.errors == 0,
		    "a config that is not whole is taken for one");
	else
		cr_assert_gt(problems.errors, 0, "refused without a word");
	conf_free(c);
	conf_problems_free(&problems);
	return ok;
}

Test(memory, config)
{
	each_fails_every_way("a config", load_config, 100);
}

static bool
write_schema(void)
{
	struct buf out;

	buf_init(&out, CONF_REFERENCE_MAX);
	bool ok = conf_write_schema(&out);
	buf_clear(&out);
	return ok;
}

Test(memory, schema)
{
	each_fails_every_way("the schema", write_schema, 100);
}

/* --- certificates ------------------------------------------------------------------------------------------- */

static struct tls_store *
store_after(struct tls_store *previous, struct tls_outcomes *outcomes)
{
	struct err err = {""};
	const struct tls_load load = {.conf = world.conf->conf, .files = files_direct(), .thread = world.thread, .previous = previous};
	struct tls_store *s = tls_store_load(&load, outcomes, &err);

	failing->most = 0;
	cr_assert(s != NULL || err.text[0] != '\0', "refused without a word");
	return s;
}

/* A bundle that does not load for want of memory is one that has failed, and is told of. */
static bool
load_store(void)
{
	struct tls_outcomes outcomes = {0};
	struct tls_store *s = store_after(NULL, &outcomes);
	bool whole = s != NULL && outcomes.failed == 0;

	if (whole)
		cr_assert_eq(tls_store_count(s), 3);
	tls_store_unref(s);
	tls_outcomes_free(&outcomes);
	return whole;
}

Test(memory, store)
{
	each_fails_every_way("a store", load_store, 100);
}

/* With all files touched: none of the bundles that were in service may get lost. */
static bool
load_store_again(void)
{
	struct tls_outcomes outcomes = {0};

	for (size_t i = 0; i < COUNTOF(world.touched); i++)
		cr_assert_eq(utimensat(AT_FDCWD, world.touched[i], NULL, 0), 0);
	struct tls_store *s = store_after(world.before->store, &outcomes);
	bool whole = s != NULL && outcomes.failed == 0;

	if (s != NULL)
		cr_assert_eq(tls_store_count(s), 3, "a bundle was lost");
	tls_store_unref(s);
	tls_outcomes_free(&outcomes);
	return whole;
}

/* --- snapshots ---------------------------------------------------------------------------------------------- */

static struct snapshot *
build(void)
{
	struct snapshot_inputs in = {.files = files_direct(), .thread = world.thread, .secret = &world.secret, .registry = world.registry,
	    .previous = world.before};
	struct conf_problems problems;
	struct tls_outcomes outcomes = {0};

	conf_problems_init(&problems);
	struct snapshot *s = snapshot_build(world.conf, &in, &problems, &outcomes);
	failing->most = 0;
	if (s != NULL && outcomes.failed > 0) { /* fewer bundles than it should have, and said so */
		snapshot_unref(s);
		s = NULL;
	}
	if (s != NULL)
		cr_assert_eq(snapshot_site(s, SV("x.a.test")), &s->sites[0]);
	conf_problems_free(&problems);
	tls_outcomes_free(&outcomes);
	return s;
}

static bool
build_snapshot(void)
{
	struct snapshot *s = build();

	snapshot_unref(s);
	server_registry_sweep(world.registry);
	return s != NULL;
}

Test(memory, snapshot)
{
	each_fails_every_way("a snapshot", build_snapshot, 100);
}

Test(memory, snapshot_after_another)
{
	world.before = build();
	cr_assert_not_null(world.before);
	each_fails_every_way("a snapshot after another", build_snapshot, 10);
	each_fails_every_way("a store after another", load_store_again, 100);
}

/* --- into service ------------------------------------------------------------------------------------------- */

static bool
prepare_rotations(void)
{
	bool ok = rotation_registry_prepare(world.rotations, world.conf->conf, world.before->store);

	failing->most = 0;
	rotation_registry_abandon(world.rotations);
	cr_assert_null(rotation_registry_next(world.rotations, NULL), "one is left over");
	return ok;
}

Test(memory, rotations_of_a_load_that_is_refused)
{
	static const unsigned char key[16];

	world.before = build();
	world.rotations = rotation_registry_new(key);
	each_fails_every_way("what rotations need", prepare_rotations, 1);
	rotation_registry_free(world.rotations);
}

static bool
prepare_thread(void)
{
	struct err err = {""};
	int fds[] = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1}, fd = fds[0];

	bool ok = px_thread_prepare(world.px, world.before, &world.secret, fds, &err);
	failing->most = 0;
	cr_assert(ok || err.text[0] != '\0', "refused without a word");
	px_thread_abandon(world.px);
	if (fds[0] >= 0)
		close(fds[0]);
	cr_assert_eq(fcntl(fd, F_GETFD), -1, "the socket is left open");
	cr_assert(LIST_EMPTY(&world.px->listeners) && LIST_EMPTY(&world.px->next_listeners) && world.px->view == NULL);
	return ok;
}

Test(memory, a_thread_with_a_load_that_is_refused)
{
	struct px_shared shared = {.draining = false};
	struct err err = {""};

	world.before = build();
	world.px = px_thread_new(1, 1, &shared, &err);
	cr_assert_not_null(world.px, "%s", err.text);
	each_fails_every_way("what a thread needs", prepare_thread, 10);
	px_thread_free(world.px);
}
