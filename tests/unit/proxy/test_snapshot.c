/* test_snapshot.c: from a config to what serves, and back to nothing: under a sanitizer each of these also shows that nothing leaks. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "rig.h"

TestSuite(snapshot, .init = rig_setup, .fini = rig_teardown);

static const char site[] = "{"
	" 'trusted_proxies': ['10.0.0.0/8', '::1'],"
	" 'limits': { 'head_bytes': '16k', 'fields': 50 },"
	" 'sites': ["
	"  { 'names': ['a.test', '*.b.test'], 'upstream': 'nodes', 'limits': { 'head_bytes': '64k' },"
	"    'response_headers': { 'remove': ['Server'] },"
	"    'routes': [ { 'path': '^/api/', 'upstream': 'api', 'limits': { 'fields': 99 },"
	"                  'request_headers': { 'set': { 'X-Who': '${client_address}' } } },"
	"                { 'path': '^/none/' } ] },"
	"  { 'names': ['c.test'], 'routes': [ { 'path': '^/x', 'upstream': 'api' } ] } ],"
	" 'upstreams': { 'nodes': { 'servers': ['$0', '$1'], 'sticky': {} }, 'api': { 'servers': ['$2'] } } }";

static void
expect_problem(const char *part)
{
	struct sv text = buf_view(&rig.problems.text);

	cr_expect_gt(rig.problems.errors, 0);
	cr_expect_not_null(memmem(text.p, text.n, part, strlen(part)), "\"%s\" is not in: %.*s", part, SV_FMT(text));
}

Test(snapshot, sites_are_found_by_their_names)
{
	struct snapshot *s = rig_build(site);

	cr_assert_not_null(s, "%.*s", SV_FMT(buf_view(&rig.problems.text)));
	cr_expect_eq(snapshot_site(s, SV("a.test")), &s->sites[0]);
	cr_expect_eq(snapshot_site(s, SV("x.y.b.test")), &s->sites[0]);
	cr_expect_eq(snapshot_site(s, SV("c.test")), &s->sites[1]);
	cr_expect_null(snapshot_site(s, SV("b.test")));
	cr_expect_null(snapshot_site(s, SV("d.test")));
	cr_expect_null(snapshot_site(s, SV("")));
	snapshot_unref(s);
}

Test(snapshot, a_route_says_what_it_differs_in)
{
	struct snapshot *s = rig_build(site);

	cr_assert_not_null(s);
	const struct snap_action *a = s->sites[0].actions;
	cr_expect_str_eq(upstream_conf(a[0].upstream->balance)->name, "api");
	cr_expect_str_eq(upstream_conf(a[1].upstream->balance)->name, "nodes", "the site's");
	cr_expect_eq(a[2].upstream, a[1].upstream);
	cr_expect_null(s->sites[1].actions[1].upstream, "the site has none");
	cr_expect_eq(a[0].limits->fields, 99);
	cr_expect_eq(a[2].limits->fields, 50);
	cr_expect_eq(a[0].limits->head_bytes, 64 * 1024, "from the site");
	cr_expect_not_null(a[0].request_edits);
	cr_expect_null(a[0].response_edits);
	cr_expect_not_null(a[2].response_edits);
	cr_expect_eq(s->head_bytes, 64 * 1024, "the largest of all");
	cr_expect_eq(s->fields, 99);
	cr_expect_eq(s->trusted.n, 2);
	for (size_t i = 0; i < 2; i++)
		cr_expect_not_null(s->sites[i].policy);
	snapshot_unref(s);
}

Test(snapshot, the_live_state_of_a_server_outlives_it)
{
	struct snapshot *first = rig_build(site), *second;

	cr_assert_not_null(first);
	struct server_state *state = upstream_at(first->sites[0].actions[2].upstream->balance, 1)->state;
	rig.snapshot = first;
	second = rig_build(site);
	rig.snapshot = NULL;
	cr_assert_not_null(second);
	snapshot_unref(first);
	cr_expect_eq(upstream_at(second->sites[0].actions[2].upstream->balance, 1)->state, state);
	cr_expect_eq(second->sites[0].policy, second->sites[1].policy, "those who ask for no certificate share one");
	snapshot_unref(second);
}

Test(snapshot, a_config_is_shared_by_the_snapshots_of_it)
{
	struct snap_conf *shared = snap_conf_new(rig_conf(site));
	struct snapshot_inputs in = {.files = files_direct(), .thread = rig.loader, .secret = &rig.secret, .registry = rig.registry,
	    .previous = NULL};
	struct tls_outcomes outcomes;
	struct snapshot *first = snapshot_build(shared, &in, &rig.problems, &outcomes), *second;

	cr_assert_not_null(first);
	tls_outcomes_free(&outcomes);
	in.previous = first;
	second = snapshot_build(shared, &in, &rig.problems, &outcomes);
	cr_assert_not_null(second);
	tls_outcomes_free(&outcomes);
	cr_expect_eq(first->conf, second->conf);
	snap_conf_unref(shared);
	snapshot_unref(snapshot_ref(first));
	snapshot_unref(first);
	cr_expect_str_eq(second->conf->sites[0].names.v[0], "a.test", "it lives as long as one of them");
	snapshot_unref(second);
	snapshot_unref(NULL);
	snap_conf_unref(NULL);
}

Test(snapshot, what_can_not_be_used_is_said_with_its_place)
{
	cr_expect_null(rig_build("{ 'sites': [ { 'names': ['a.test'], 'upstream': 'nodes', 'routes': [ { 'path': '^/(' } ] } ],"
		" 'upstreams': { 'nodes': { 'servers': ['$0'] } } }"));
	expect_problem("conf.json:1:");
	expect_problem("path");
}

Test(snapshot, all_that_is_wrong_is_said_at_once)
{
	cr_expect_null(rig_build("{ 'sites': ["
		" { 'names': ['a.test'], 'upstream': 'nodes', 'routes': [ { 'host': '*' } ] },"
		" { 'names': ['b.test'], 'upstream': 'nodes', 'request_headers': { 'set': { 'X-A': '${nothing}' } } } ],"
		" 'upstreams': { 'nodes': { 'servers': ['$0'], 'tls': { 'ca': 'missing-ca.pem' } } } }"));
	cr_expect_geq(rig.problems.errors, 3);
	expect_problem("missing-ca.pem");
	expect_problem("nothing");
	expect_problem("host");
}

Test(snapshot, a_network_that_is_none)
{
	struct conf *c = rig_conf(site);
	struct tls_outcomes outcomes;
	struct snapshot_inputs in = {.files = files_direct(), .thread = rig.loader, .secret = &rig.secret, .registry = rig.registry,
	    .previous = NULL};
	const char *bad = "10.0.0.0/64";

	c->trusted_proxies.v[1] = bad;
	struct snap_conf *shared = snap_conf_new(c);
	cr_expect_null(snapshot_build(shared, &in, &rig.problems, &outcomes));
	tls_outcomes_free(&outcomes);
	expect_problem(bad);
	snap_conf_unref(shared);
}

#define WITH_MISSING_BUNDLE(top)                                                                                \
	"{" top " 'bundles': { 'gone': { 'certificate': 'no.pem', 'key': 'no.key' } },"                          \
	" 'sites': [ { 'names': ['a.test'], 'bundle': 'gone', 'upstream': 'nodes' },"                             \
	"            { 'names': ['b.test'], 'upstream': 'nodes' } ],"                                             \
	" 'upstreams': { 'nodes': { 'servers': ['$0'] } } }"

Test(snapshot, a_bundle_that_is_missing_costs_its_site_only)
{
	struct snapshot *s = rig_build(WITH_MISSING_BUNDLE(""));

	cr_assert_not_null(s, "%.*s", SV_FMT(buf_view(&rig.problems.text)));
	cr_expect_eq(s->sites[0].n_bundles, 0);
	cr_expect_eq(rig.outcomes.failed, 1);
	cr_expect_eq(rig.outcomes.v[0].kind, TLS_MISSING);
	snapshot_unref(s);
}

Test(snapshot, all_or_nothing_is_nothing_then)
{
	cr_expect_null(rig_build(WITH_MISSING_BUNDLE("'reload': { 'policy': 'all_or_nothing' },")));
	cr_expect_eq(rig.outcomes.failed, 1);
}

Test(snapshot, an_upstream_with_a_bundle_that_is_missing)
{
	cr_expect_null(rig_build("{ 'bundles': { 'gone': { 'certificate': 'no.pem', 'key': 'no.key' } },"
		" 'sites': [ { 'names': ['a.test'], 'upstream': 'nodes' } ],"
		" 'upstreams': { 'nodes': { 'servers': ['$0'], 'tls': { 'verify': false, 'bundle': 'gone' } } } }"));
	expect_problem("gone");
}

Test(snapshot, the_emptiest_of_all)
{
	struct snapshot *s = rig_build("{}");

	cr_assert_not_null(s, "%.*s", SV_FMT(buf_view(&rig.problems.text)));
	cr_expect_null(snapshot_site(s, SV("a.test")));
	cr_expect_gt(s->head_bytes, 0);
	snapshot_unref(s);
}
