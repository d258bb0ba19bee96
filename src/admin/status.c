#include <config.h>

#include "admin/admin.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/json.h"
#include "base/clock.h"
#include "certs/shown.h"

enum { CHAIN_MAX = 16 * 1024 * 1024 }; /* bytes of PEM; what was loaded is smaller */

void
json_add(json_t *array, json_t *v)
{
	if (v != NULL)
		(void)json_array_append_new(array, v);
}

void
json_put(json_t *object, const char *key, json_t *v)
{
	if (v != NULL)
		(void)json_object_set_new(object, key, v);
}

json_t *
json_wall_time(uint64_t us)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(us, text);
	return json_string(text);
}

char *
json_text(json_t *o)
{
	char *text = o != NULL ? json_dumps(o, JSON_INDENT(2)) : NULL;

	json_decref(o);
	return text;
}

json_t *
json_seconds(int64_t at)
{
	return at > 0 ? json_wall_time((uint64_t)at * 1000000) : json_null();
}

static json_t *
strings(const char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_add(a, json_string(v[i]));
	return a;
}

static json_t *
findings(const struct tls_outcome *o)
{
	json_t *a = json_array();

	for (size_t i = 0; i < o->n_findings; i++) {
		const struct tls_finding *f = &o->findings[i];
		json_add(a, json_pack("{s:s, s:s, s:b, s:b}", "kind", f->kind, "text", f->text, "lossy", f->lossy, "accepted", f->accepted));
	}
	return a;
}

static json_t *
outcomes(const struct tls_outcomes *o)
{
	json_t *a = json_array();

	for (size_t i = 0; i < o->n; i++)
		json_add(a, json_pack("{s:s, s:s, s:s?, s:o?}", o->v[i].of, o->v[i].name, "outcome", tls_outcome_word(o->v[i].kind), "text",
		    o->v[i].text, "findings", findings(&o->v[i])));
	return a;
}

static json_t *
load(const struct admin *a)
{
	const struct admin_load *l = &a->load;
	struct sv text = buf_view(&l->problems.text);
	json_t *o = json_object();

	json_put(o, "ok", json_boolean(l->ok));
	json_put(o, "at", l->at_us != 0 ? json_wall_time(l->at_us) : json_null());
	json_put(o, "generation", json_integer(a->snapshot != NULL ? (json_int_t)a->snapshot->generation : 0));
	json_put(o, "errors", json_integer(l->problems.errors));
	json_put(o, "warnings", json_integer(l->problems.warnings));
	json_put(o, "problems", json_stringn(text.n > 0 ? text.p : "", text.n));
	json_put(o, "outcomes", outcomes(&l->outcomes));
	return o;
}

/* Where the last load was refused: what the one that is in service had to tell. */
static json_t *
taken(const struct admin_load *l)
{
	if (l->ok || l->taken_us == 0)
		return json_null();
	return json_pack("{s:o, s:o}", "at", json_wall_time(l->taken_us), "outcomes", outcomes(&l->taken));
}

static json_t *
states(const struct admin_states *s)
{
	json_t *o = json_object();

	json_put(o, "directory", s->directory[0] != '\0' ? json_string(s->directory) : json_null());
	json_put(o, "problems",
	    json_stringn(s->problems.data != NULL ? s->problems.data + s->problems.head : "", buf_len(&s->problems)));
	json_put(o, "unwritten", s->unwritten.text[0] != '\0' ? json_string(s->unwritten.text) : json_null());
	return o;
}

static json_t *
listeners(const struct conf *c)
{
	json_t *a = json_array();

	for (size_t i = 0; i < c->n_listeners; i++)
		json_add(a, json_pack("{s:s, s:b, s:b}", "address", c->listeners[i].address, "tls", c->listeners[i].tls, "redirect",
		    c->listeners[i].redirect == CONF_REDIRECT_HTTPS));
	return a;
}

static json_t *
sites(const struct snapshot *s)
{
	static const char *const modes[] = {"none", "optional", "required"};
	json_t *a = json_array();

	for (size_t i = 0; i < s->conf->n_sites; i++) {
		const struct conf_site *c = &s->conf->sites[i];
		json_t *o = json_object();
		json_put(o, "names", strings(c->names.v, c->names.n));
		json_put(o, "default", json_boolean(c->is_default));
		json_put(o, "bundles", strings(c->bundles.v, c->bundles.n));
		json_put(o, "client_certificate", json_string(modes[c->client.mode]));
		json_add(a, o);
	}
	return a;
}

json_t *
json_bundle(const struct tls_bundle *b)
{
	const struct tls_der *leaf = b->chain[0]; /* people compare its digest with that of the file */
	char fingerprint[sizeof(leaf->sha256) * 2 + 1];
	int64_t left = (b->facts.not_after - (int64_t)time(NULL)) / 86400;
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(leaf->sha256); i++)
		(void)snprintf(fingerprint + 2 * i, 3, "%02x", leaf->sha256[i]);
	json_put(o, "name", json_string(b->name));
	json_put(o, "generation", json_integer((json_int_t)b->generation));
	json_put(o, "names", strings(b->facts.names, b->facts.n_names));
	json_put(o, "not_after", json_wall_time((uint64_t)b->facts.not_after * 1000000));
	json_put(o, "days_left", json_integer(left));
	json_put(o, "issuer", json_string(b->facts.issuer));
	json_put(o, "serial", json_string(b->facts.serial));
	json_put(o, "fingerprint", json_string(fingerprint));
	json_put(o, "from", json_string(b->where));
	return o;
}

static json_t *
bundles(const struct tls_store *store)
{
	json_t *a = json_array();

	for (size_t i = 0; i < tls_store_count(store); i++) {
		const struct tls_bundle *b = tls_store_at(store, i);
		struct rotation *r = __atomic_load_n(&b->rotation, __ATOMIC_ACQUIRE);
		json_t *o = json_bundle(b);
		json_put(o, "rotation", r != NULL && rotation_is_active(r) ? json_string(rotation_phase_word(rotation_phase(r))) : json_null());
		json_add(a, o);
	}
	return a;
}

static json_t *
server(const struct upstream_server *s)
{
	const char *state = s->n_addresses == 0 ? "unresolved" : server_usable(s->state, clock_mono_ms()) ? "up" : "left out";

	return json_pack("{s:s, s:s, s:s?, s:I, s:I, s:I, s:I}", "address", s->conf->address, "state", state, "protocol",
	    __atomic_load_n(&s->state->version, __ATOMIC_RELAXED), "weight",
	    (json_int_t)s->conf->weight, "in_flight", (json_int_t)__atomic_load_n(&s->state->in_flight, __ATOMIC_RELAXED), "requests",
	    (json_int_t)counter_read(&s->state->requests), "errors", (json_int_t)counter_read(&s->state->errors));
}

static json_t *
upstreams(const struct snapshot *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < s->conf->n_upstreams; i++) {
		const struct conf_upstream *c = &s->conf->upstreams[i];
		const struct upstream *u = s->upstreams[i].balance;
		json_t *o = json_object(), *servers = json_array(), *warnings = json_array();
		for (unsigned k = 0; k < upstream_count(u); k++)
			json_add(servers, server(upstream_at(u, k)));
		if (c->tls.present && !c->tls.verify)
			json_add(warnings, json_string("certificates are not verified: anybody on the way can pose as a server"));
		json_put(o, "name", json_string(c->name));
		json_put(o, "tls", json_boolean(c->tls.present));
		if (c->tls.present)
			json_put(o, "verify", json_boolean(c->tls.verify));
		json_put(o, "warnings", warnings);
		json_put(o, "servers", servers);
		json_add(a, o);
	}
	return a;
}

static json_t *
counters(const struct admin *a)
{
	json_t *o = json_object();

#define X(name, kind, help) json_put(o, #name, json_integer((json_int_t)admin_sum(a, offsetof(struct counters, name))));
	COUNTER_ROWS(X)
#undef X
	return o;
}

static json_t *
closed(const struct admin *a)
{
	json_t *o = json_object();

	for (enum close_reason r = 0; r < CLOSE_REASONS_N; r++)
		json_put(o, close_reason_name(r), json_integer((json_int_t)admin_closed(a, r)));
	return o;
}

/* Those of the admin socket do not count: nobody waits for them. */
static json_t *
drain(const struct admin *a)
{
	uint64_t now = clock_wall_us(), until = a->drain_until_us;
	json_t *o = json_object();

	json_put(o, "connections", json_integer((json_int_t)admin_sum(a, offsetof(struct counters, connections_open))));
	json_put(o, "until", json_wall_time(until));
	json_put(o, "seconds_left", json_integer((json_int_t)(until > now ? (until - now) / 1000000 : 0)));
	return o;
}

static json_t *
notices(const struct admin_notices *n)
{
	json_t *o = json_object();

	json_put(o, "delivered", json_integer((json_int_t)n->delivered));
	json_put(o, "waiting", json_integer((json_int_t)n->waiting));
	json_put(o, "tries_failed", json_integer((json_int_t)n->tries_failed));
	json_put(o, "failed", json_integer((json_int_t)n->failed));
	json_put(o, "failed_at", n->failed_at_us != 0 ? json_wall_time(n->failed_at_us) : json_null());
	json_put(o, "failure", n->failed_at_us != 0 ? json_string(n->failure.text) : json_null());
	return o;
}

char *
admin_status_json(const struct admin *a)
{
	const struct snapshot *s = a->snapshot;
	json_t *o = json_object();

	json_put(o, "version", json_string(PACKAGE_VERSION));
	json_put(o, "pid", json_integer(getpid()));
	json_put(o, "uptime_seconds", json_integer((json_int_t)((clock_mono_ms() - a->started_ms) / 1000)));
	json_put(o, "threads", json_integer(a->n_threads));
	json_put(o, "draining", json_boolean(a->drain_until_us != 0));
	if (a->drain_until_us != 0)
		json_put(o, "drain", drain(a));
	json_put(o, "generation", json_integer((json_int_t)s->generation));
	json_put(o, "last_reload", load(a));
	json_put(o, "last_taken", taken(&a->load));
	json_put(o, "config_refused", a->load.refused_us != 0 ? json_wall_time(a->load.refused_us) : json_null());
	json_put(o, "state", states(a->states));
	json_put(o, "notices", notices(a->notices));
	json_put(o, "listeners", listeners(s->conf));
	json_put(o, "sites", sites(s));
	json_put(o, "bundles", bundles(s->store));
	json_put(o, "upstreams", upstreams(s));
	json_put(o, "counters", counters(a));
	json_put(o, "connections_closed", closed(a));
	return json_text(o);
}

char *
admin_load_json(const struct admin *a)
{
	return json_text(load(a));
}

/* What clients are shown, and nothing that they are not. */
static json_t *
chain(const struct tls_bundle *b)
{
	struct buf pem;
	json_t *o = NULL;

	buf_init(&pem, CHAIN_MAX);
	if (tls_shown_pem(b, &pem))
		o = json_pack("{s:s, s:I, s:s%}", "name", b->name, "generation", (json_int_t)b->generation, "pem", buf_view(&pem).p,
		    buf_view(&pem).n);
	buf_clear(&pem);
	return o;
}

static void
add_rolled_back(const struct admin *a, const char *name, json_t *list)
{
	struct rotation *r = rotation_registry_find(a->rotations, name);
	struct tls_bundle *b = r != NULL ? rotation_rolled_back_to(r) : NULL;

	if (b != NULL)
		json_add(list, chain(b));
	tls_bundle_unref(b);
}

char *
admin_chains_json(const struct admin *a)
{
	const struct tls_store *store = a->snapshot->store;
	json_t *list = json_array(), *back = json_array(), *o = json_object();

	for (size_t i = 0; i < tls_store_count(store); i++) {
		json_add(list, chain(tls_store_at(store, i)));
		add_rolled_back(a, tls_store_at(store, i)->name, back);
	}
	json_put(o, "bundles", list);
	json_put(o, "rolled_back_to", back);
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}
