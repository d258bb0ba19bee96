#include "proxy/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/snapshot.h"

enum { TEXT_MAX = 512 };

struct job {
	struct credentials *out;
	const struct conf *conf;
	const struct snapshot_inputs *in;
	const struct snapshot *held; /* the snapshot in service, where it has the same config; else NULL */
	struct record *notes;        /* of what is being read */
	struct conf_problems *problems;
	struct tls_outcomes *outcomes;
};

/* --- notes ---------------------------------------------------------------------------------------------------- */

/* What is refused is not noted: a copy stays of what goes on in its place. */
static struct files *
begin_notes(struct job *job)
{
	job->notes = job->in->record != NULL ? record_new() : NULL;
	return job->notes != NULL ? record_note(job->notes, job->in->files, job->in->before) : job->in->files;
}

static void
end_notes(struct job *job, bool accepted)
{
	if (accepted && job->in->record != NULL)
		record_add(job->in->record, job->notes);
	record_free(job->notes);
	job->notes = NULL;
}

/* --- whom sites trust --------------------------------------------------------------------------------------- */

/* The same site in the snapshot before: the one that has the first name of this one. */
static struct tls_policy *
previous_policy(const struct snapshot *previous, const struct conf_site *c)
{
	if (previous == NULL)
		return NULL;
	for (size_t i = 0; i < previous->conf->n_sites; i++) {
		const struct conf_site *old = &previous->conf->sites[i];
		bool same = c->names.n > 0 ? old->names.n > 0 && strcmp(old->names.v[0], c->names.v[0]) == 0 : old->is_default && c->is_default;
		if (same)
			return previous->sites[i].policy;
	}
	return NULL;
}

static struct tls_policy *
policy_before(const struct job *job, size_t i)
{
	const struct conf_site *c = &job->conf->sites[i];

	if (job->held != NULL)
		return job->held->sites[i].policy;
	/* Most sites ask for no certificate; only those that do are worth a search among ten thousand. */
	if (c->client.mode != CONF_CLIENT_NONE)
		return previous_policy(job->in->previous, c);
	return i > 0 && job->conf->sites[0].client.mode == CONF_CLIENT_NONE ? job->out->policies[0] : NULL;
}

static bool
same_pin(const struct conf_pin *a, const struct conf_pin *b)
{
	return strcmp(a->ca, b->ca) == 0 && conf_pin_from(a) == conf_pin_from(b) && conf_pin_until(a) == conf_pin_until(b);
}

static bool
same_rule(const struct conf_client_certificate *a, const struct conf_client_certificate *b)
{
	if (a->mode != b->mode || a->crl_check != b->crl_check || a->depth != b->depth || a->n_pins != b->n_pins ||
	    a->crls.n != b->crls.n)
		return false;
	for (size_t i = 0; i < a->n_pins; i++)
		if (!same_pin(&a->pins[i], &b->pins[i]))
			return false;
	for (size_t i = 0; i < a->crls.n; i++)
		if (strcmp(a->crls.v[i], b->crls.v[i]) != 0)
			return false;
	return true;
}

static bool
note_policy(struct job *job, size_t i, const struct tls_policy *new)
{
	char text[TEXT_MAX];

	tls_policy_text(new, text, sizeof(text));
	return tls_outcomes_add(job->outcomes, TLS_LOADED, "site", conf_site_name(&job->conf->sites[i]), text);
}

static struct tls_policy *
read_policy(struct job *job, const struct conf_site *c, struct tls_policy *before, struct conf_problems *problems)
{
	struct tls_policy *p = tls_policy_load(&c->client, before, begin_notes(job), job->in->thread, problems);

	end_notes(job, p != NULL);
	return p;
}

/* What refuses it is then an outcome, told by its first line; what it warns of is a problem all the same. */
static struct tls_policy *
read_or_hold(struct job *job, const struct conf_site *c, struct tls_policy *before)
{
	struct conf_problems problems;
	struct conf_problem first = {.after = SV_NONE};
	char text[TEXT_MAX];

	conf_problems_init(&problems);
	struct tls_policy *p = read_policy(job, c, before, &problems);
	struct sv rest = buf_view(&problems.text);
	while (conf_problems_next(&rest, &first) && p == NULL && first.is_warning)
		;
	(void)snprintf(text, sizeof(text), "%.*s", SV_FMT(first.after));
	if (p != NULL)
		conf_problems_add(job->problems, &problems);
	else if (tls_outcomes_add(job->outcomes, TLS_HELD, "site", conf_site_name(c), text))
		p = tls_policy_ref(before);
	conf_problems_free(&problems);
	return p;
}

/* Neighbours mostly have one rule: it is read once, and what is wrong with it said once. */
static bool
load_policy(struct job *job, size_t i)
{
	const struct conf_site *c = &job->conf->sites[i];
	struct tls_policy **out = &job->out->policies[i];

	if (i > 0 && same_rule(&c->client, &c[-1].client)) {
		*out = out[-1] != NULL ? tls_policy_ref(out[-1]) : NULL;
		return *out != NULL;
	}
	struct tls_policy *before = policy_before(job, i);
	if (job->in->only != NULL) {
		*out = tls_policy_ref(before);
		return true;
	}
	*out = job->held != NULL ? read_or_hold(job, c, before) : read_policy(job, c, before, job->problems);
	return *out != NULL && (before == NULL || before == *out || note_policy(job, i, *out));
}

/* --- whom upstreams trust ----------------------------------------------------------------------------------- */

static struct tls_client *
client_before(const struct job *job, const char *upstream)
{
	const struct snapshot *previous = job->in->previous;
	const struct conf_upstream *c = previous != NULL ? conf_upstream(previous->conf, upstream) : NULL;

	return c != NULL ? previous->upstreams[c - previous->conf->upstreams].tls : NULL;
}

static struct tls_client *
new_client(struct job *job, const struct conf_upstream *c, struct tls_client *before, struct conf_where *at, struct err *err)
{
	struct tls_bundle *shown = c->tls.bundle != NULL ? tls_store_bundle(job->out->store, c->tls.bundle) : NULL;

	*at = conf_place(&c->tls.at, c->tls.bundle != NULL && shown == NULL ? &c->tls.bundle : &c->tls.ca);
	if (c->tls.bundle != NULL && shown == NULL) {
		err_set(err, "the bundle \"%s\" could not be loaded; see its own message", c->tls.bundle);
		return NULL;
	}
	struct tls_client *new = tls_client_load(&c->tls, shown, before, begin_notes(job), err);
	end_notes(job, new != NULL);
	return new;
}

/* A new certificate to show is told of as a bundle. */
static bool
load_client(struct job *job, size_t i)
{
	const struct conf_upstream *c = &job->conf->upstreams[i];
	struct tls_client **out = &job->out->clients[i], *before = client_before(job, c->name);
	struct conf_where at;
	struct err err = {""};

	if (!c->tls.present)
		return true;
	if (job->in->only != NULL && (c->tls.bundle == NULL || strcmp(c->tls.bundle, job->in->only) != 0)) {
		*out = before != NULL ? tls_client_ref(before) : NULL;
		return *out != NULL;
	}
	*out = new_client(job, c, before, &at, &err);
	if (*out == NULL && job->held != NULL) {
		*out = tls_client_ref(before);
		return tls_outcomes_add(job->outcomes, TLS_HELD, "upstream", c->name, err.text);
	}
	if (*out == NULL) {
		conf_error(job->problems, &at, "tls", "%s", err.text);
		return false;
	}
	if (before == NULL || tls_client_trusts_same(before, *out))
		return true;
	return tls_outcomes_add(job->outcomes, TLS_LOADED, "upstream", c->name, "servers are verified by new CAs or pins");
}

/* --- all ---------------------------------------------------------------------------------------------------- */

static struct tls_store *
load_store(const struct conf *conf, const struct snapshot_inputs *in, struct conf_problems *problems,
    struct tls_outcomes *outcomes)
{
	struct tls_store *before = in->previous != NULL ? in->previous->store : in->kept;
	const struct tls_load load = {.conf = conf, .files = in->files, .thread = in->thread, .previous = before,
	    .accept = in->accept, .rolled_back_to = in->rolled_back_to, .arg = in->rotations, .changes = in->changes,
	    .left = in->left};
	struct err err = {""};

	if (in->only != NULL) {
		struct tls_store *s = tls_store_load_one(&load, in->only, outcomes, &err);
		if (s == NULL)
			conf_error(problems, NULL, NULL, "%s", err.text);
		return s;
	}
	if (!in->only_kept) /* can fail for want of memory only */
		return tls_store_load(&load, outcomes, &err);
	if (in->left != NULL)
		tls_changes_forget(in->left);
	*outcomes = (struct tls_outcomes){.arena = ARENA_EMPTY};
	return tls_store_ref(in->kept);
}

bool
credentials_held_back(const struct conf *conf, bool first, const struct tls_outcomes *outcomes)
{
	if (outcomes->failed == 0 || conf->reload.policy != CONF_RELOAD_ALL_OR_NOTHING)
		return false;
	for (size_t i = 0; i < outcomes->n; i++)
		if (!first || outcomes->v[i].kind == TLS_MISSING)
			return true;
	return false;
}

bool
credentials_load(struct credentials *out, const struct conf *conf, const struct snapshot_inputs *in,
    struct conf_problems *problems, struct tls_outcomes *outcomes)
{
	struct job job = {.out = out, .conf = conf, .in = in, .problems = problems, .outcomes = outcomes};
	bool ok = true;

	if (in->previous != NULL && in->previous->conf == conf)
		job.held = in->previous;
	*out = (struct credentials){
		.store = load_store(conf, in, problems, outcomes),
		.policies = calloc(conf->n_sites + 1, sizeof(struct tls_policy *)),
		.clients = calloc(conf->n_upstreams + 1, sizeof(struct tls_client *)),
		.n_policies = conf->n_sites,
		.n_clients = conf->n_upstreams,
	};
	if (out->store == NULL || out->policies == NULL || out->clients == NULL) {
		if (problems->errors == 0)
			conf_error(problems, NULL, NULL, "out of memory while certificates were loaded");
		credentials_free(out);
		return false;
	}
	for (size_t i = 0; i < conf->n_upstreams; i++)
		ok &= load_client(&job, i);
	for (size_t i = 0; i < conf->n_sites; i++)
		ok &= load_policy(&job, i);
	return ok;
}

void
credentials_free(struct credentials *c)
{
	for (size_t i = 0; c->policies != NULL && i < c->n_policies; i++)
		tls_policy_unref(c->policies[i]);
	for (size_t i = 0; c->clients != NULL && i < c->n_clients; i++)
		tls_client_unref(c->clients[i]);
	tls_store_unref(c->store);
	free(c->policies);
	free(c->clients);
	*c = (struct credentials){.store = NULL};
}
