#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervisor/allow.h"
#include "scratch.h"

TestSuite(allow);

static struct conf_bundle bundles[] = {
	{.name = "pair", .certificate = "/c/cert.pem", .key = "/c/key.pem", .chain = "/c/chain.pem"},
	{.name = "p12", .pkcs12 = "/c/b.p12", .password_file = "/c/b.pass"},
	{.name = "all", .combined = "/c/all.pem"},
	{.name = "*", .directory = "/d/bundles/"},
};
static struct conf_pin pins[] = {{.ca = "/p/ca.pem"}};
static const char *crls[] = {"/p/one.crl", "/p/two.crl"};
static struct conf_site sites[] = {{.client = {.pins = pins, .n_pins = 1, .crls = {crls, 2}}}};
static struct conf_upstream upstreams[] = {{.tls.ca = "/u/ca.pem"}};
static struct conf_listener listeners[] = {{.address = "*:443", .backlog = 77}};
static struct conf conf = {
	.bundles = bundles,
	.n_bundles = COUNTOF(bundles),
	.sites = sites,
	.n_sites = COUNTOF(sites),
	.upstreams = upstreams,
	.n_upstreams = COUNTOF(upstreams),
	.listeners = listeners,
	.n_listeners = COUNTOF(listeners),
	.log = {.error = "/l/error.log", .access = "/l/access.log"},
	.admin_socket = "/r/admin.sock",
};

static struct allow *
made(void)
{
	struct allow *a = allow_new();

	cr_assert_not_null(a);
	cr_assert(allow_what_is_named(a, &conf));
	return a;
}

Test(allow, every_path_of_the_config_may_be_read)
{
	static const char *const paths[] = {"/c/cert.pem", "/c/key.pem", "/c/chain.pem", "/c/b.p12", "/c/b.pass", "/c/all.pem", "/p/ca.pem",
		"/p/one.crl", "/p/two.crl", "/u/ca.pem"};
	struct allow *a = made();

	for (size_t i = 0; i < COUNTOF(paths); i++) {
		cr_expect(allow_read(a, paths[i]), "%s", paths[i]);
		cr_expect(!allow_append(a, paths[i]), "%s", paths[i]);
		cr_expect(!allow_list(a, paths[i]), "%s", paths[i]);
	}
	allow_free(a);
}

Test(allow, nothing_else_may_be_read)
{
	static const char *const paths[] = {"", "/", "/c", "/c/", "/c/cert.pem.bak", "/c/cert", "cert.pem", "/c/../c/cert.pem", "/etc/shadow",
		"/l/error.log", "/r/admin.sock", "*:443"};
	struct allow *a = made();

	for (size_t i = 0; i < COUNTOF(paths); i++)
		cr_expect(!allow_read(a, paths[i]), "%s", paths[i]);
	cr_expect(!allow_read(NULL, "/c/cert.pem"));
	allow_free(a);
}

Test(allow, a_directory_stands_for_all_below_it_and_no_more)
{
	struct allow *a = made();

	cr_expect(allow_list(a, "/d/bundles"));
	cr_expect(allow_list(a, "/d/bundles/"));
	cr_expect(allow_list(a, "/d/bundles/shop"));
	cr_expect(allow_read(a, "/d/bundles/shop/key.pem"));
	cr_expect(allow_read(a, "/d/bundles/..data/key.pem"));
	cr_expect(!allow_read(a, "/d/bundles-old/key.pem"));
	cr_expect(!allow_read(a, "/d"));
	cr_expect(!allow_list(a, "/d"));
	cr_expect(!allow_append(a, "/d/bundles/key.pem"));
	allow_free(a);
}

Test(allow, no_way_leads_up)
{
	static const char *const paths[] = {"/d/bundles/../key.pem", "/d/bundles/..", "/d/bundles/../", "/d/bundles/a/../../../etc/shadow",
		"/d/bundles/a/..", "/d/bundles//../x"};
	struct allow *a = made();

	for (size_t i = 0; i < COUNTOF(paths); i++) {
		cr_expect(!allow_read(a, paths[i]), "%s", paths[i]);
		cr_expect(!allow_list(a, paths[i]), "%s", paths[i]);
	}
	allow_free(a);
}

Test(allow, logs_and_addresses)
{
	struct allow *a = made();
	struct allow_socket how = {0};

	cr_expect(allow_append(a, "/l/error.log"));
	cr_expect(allow_append(a, "/l/access.log"));
	cr_expect(!allow_append(a, "/l/other.log"));
	cr_expect(allow_listen(a, "*:443", &how));
	cr_expect_eq(how.backlog, 77);
	cr_expect(allow_listen(a, "unix:/r/admin.sock", &how));
	cr_expect_eq(how.mode, 0600);
	cr_expect(!allow_listen(a, "*:80", &how));
	cr_expect(!allow_listen(a, "/c/cert.pem", &how));
	cr_expect(!allow_listen(a, "/r/admin.sock", &how));
	allow_free(a);
}

Test(allow, what_was_read_with_it, .init = scratch_make, .fini = scratch_remove)
{
	struct allow *a = allow_new();
	struct files *f = allow_what_is_read(a);
	struct file_entry *entries = NULL;
	size_t n = 0;
	const char *path = scratch_write("bascule.json", "{}");
	struct err err;

	cr_expect(!allow_read(a, path));
	int fd = f->open_read(f, path, &err);
	cr_assert_geq(fd, 0);
	close(fd);
	cr_expect(allow_read(a, path));
	cr_expect(!allow_list(a, scratch));
	cr_assert(files_list(f, scratch, &entries, &n, &err));
	cr_expect_eq(n, 1);
	free(entries);
	cr_expect(allow_list(a, scratch));
	cr_expect(!allow_read(a, scratch_path("other")), "a list is not the right to what is in it");
	allow_free(a);
}
