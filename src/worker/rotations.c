#include "worker/rotations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "base/log.h"
#include "worker/load_report.h"

enum {
	TICK_MS = 1000,
	VERDICT_TICKS = 30, /* a verdict is a walk over all clients of a bundle */
};

/* What an administrator is told as the reason of what he did himself. */
#define TOLD_TO "an administrator told it to"

/* --- telling people ------------------------------------------------------------------------------------------- */

static void
tell_whom(struct rotations *rs, const char *origin, const struct admin_event *e)
{
	const struct conf_bundle *c = conf_bundle(rs->snapshot->conf, origin);

	if (c == NULL || (c->rotation.notify.command.n == 0 && c->rotation.notify.url == NULL))
		return;
	char *json = admin_event_json(e);
	if (json != NULL)
		notify_tell(&rs->notify, &c->rotation.notify, &(struct notify_event){e->word, e->bundle, sv_cstr(json)});
	else
		notices_fail(&rs->notify.told, "\"%s\" of bundle \"%s\" is not told: out of memory", e->word, e->bundle);
	free(json);
}

static void
notify(struct rotations *rs, struct rotation *r, const char *event, const char *why)
{
	tell_whom(rs, rotation_origin(r), &(struct admin_event){event, rotation_name(r), r, why});
}

static void
log_news(const struct rotation *r, const struct rotation_news *n)
{
	const char *name = rotation_name(r);

	if (n->rolled_back)
		log_error("bundle \"%s\": rolled back: %u of %u clients that had accepted the previous generation refuse the new one, from %u "
		          "networks; `bascule rotation status %s` lists them, `bascule rotation resume %s` begins anew",
		    name, n->refusing, n->tested, n->networks, name, name);
	if (n->next_stage)
		log_notice("bundle \"%s\": the next stage: %u.%02u %% of the clients get the new generation", name,
		    n->share / 100, n->share % 100);
	if (n->completed)
		log_notice("bundle \"%s\": all clients get the new generation, but for those that refuse it", name);
	if (n->expired)
		log_notice("bundle \"%s\": the previous generation has had its time: nobody is rescued by it any more", name);
}

static void
notify_news(struct rotations *rs, struct rotation *r, const struct rotation_news *n)
{
	char why[128];

	(void)snprintf(why, sizeof(why), "%u of %u clients that had accepted the previous generation refuse the new one",
	    n->refusing, n->tested);
	if (n->orphan)
		notify(rs, r, "orphan", "a client that had accepted the previous generation refuses the new one");
	if (n->rolled_back)
		notify(rs, r, "rolled_back", why);
	if (n->next_stage)
		notify(rs, r, "next_stage", NULL);
	if (n->completed)
		notify(rs, r, "completed", NULL);
	if (n->expired)
		notify(rs, r, "ended", "the previous generation has had its time");
}

/* Once, when it has become so. */
static void
look_whether_it_may_retire(struct rotations *rs, struct rotation *r, struct moment now)
{
	struct rotation_report report;

	if (!rotation_report(r, false, now, &report))
		return;
	if (rotation_note_verdict(r, report.may_retire)) {
		log_notice("bundle \"%s\": the previous generation may go: `bascule rotation retire %s`", report.name, report.name);
		notify(rs, r, "may_retire", NULL);
	}
	rotation_report_free(&report);
}

/* Once, too, when others have moved away from a CA and nobody is left. */
static void
look_whether_pins_may_go(const struct rotations *rs, struct moment now)
{
	struct client_cas_report report;
	struct client_cas *c = NULL;

	while ((c = client_ca_registry_next(rs->client_cas, c)) != NULL) {
		bool ok = client_cas_report(c, false, now, &report);
		for (size_t i = 0; ok && i < report.n_cas; i++)
			if (client_cas_note_verdict(c, &report.cas[i]))
				log_notice("site \"%s\": the pin of the client CA \"%s\" may be dropped: nobody comes with a certificate of it alone",
				    report.site, report.cas[i].name);
		client_cas_report_free(&report);
	}
}

void
rotations_obeyed(struct rotations *rs, struct rotation *which, enum rotation_phase before)
{
	enum rotation_phase now = rotation_phase(which);

	states_keep_plan(&rs->states, which);
	if (now == before || now == ROTATION_HELD || (before == ROTATION_HELD && now == ROTATION_STAGED))
		return;
	if (now == ROTATION_BACK)
		notify(rs, which, "rolled_back", TOLD_TO);
	else if (now == ROTATION_SETTLED)
		notify(rs, which, "ended", TOLD_TO);
	else
		notify(rs, which, before == ROTATION_BACK ? "began" : "completed", TOLD_TO);
}

static void
on_tick(struct net_timer *t)
{
	struct rotations *rs = CONTAINER_OF(t, struct rotations, tick);
	struct moment now = moment_now();
	struct rotation_news news;
	bool verdict = ++rs->ticks % VERDICT_TICKS == 0;

	for (struct rotation *r = rotation_registry_next(rs->registry, NULL); r != NULL; r = rotation_registry_next(rs->registry, r)) {
		if (!rotation_is_active(r))
			continue;
		if (rotation_tick(r, now, &news)) {
			log_news(r, &news);
			notify_news(rs, r, &news);
		}
		if (verdict && rotation_is_active(r))
			look_whether_it_may_retire(rs, r, now);
	}
	if (verdict) {
		look_whether_pins_may_go(rs, now);
		client_ca_registry_sweep(rs->client_cas, now);
	}
	states_keep(&rs->states, STATES_DUE);
	net_timer_set(t, TICK_MS);
}

bool
rotations_init(struct rotations *r, struct net_loop *loop, struct control *control, const struct tls_thread *thread,
    const struct secret *secret, unsigned char key[16], struct err *err)
{
	if (!secret_derive(secret, "bascule rotation", SV_NONE, key, 16))
		return err_set(err, "can not derive the key of clients' identities: OpenSSL failed");
	r->registry = rotation_registry_new(key);
	r->client_cas = client_ca_registry_new();
	if (r->registry == NULL || r->client_cas == NULL) {
		rotation_registry_free(r->registry);
		client_ca_registry_free(r->client_cas);
		r->registry = NULL;
		return err_no_memory(err);
	}
	states_init(&r->states, control, thread, r->registry, r->client_cas, key);
	notify_init(&r->notify, loop, control_files(control));
	net_timer_init(&r->tick, loop, on_tick);
	net_timer_set(&r->tick, TICK_MS);
	return true;
}

void
rotations_free(struct rotations *r)
{
	if (r->registry == NULL)
		return;
	net_timer_cancel(&r->tick);
	if (r->snapshot != NULL)
		states_keep(&r->states, STATES_LAST);
	states_end(&r->states);
	notify_end(&r->notify);
	held_free(&r->held);
	rotation_registry_free(r->registry);
	client_ca_registry_free(r->client_cas);
	r->registry = NULL;
}

static void
began(void *arg, struct rotation *r, const struct tls_bundle *b)
{
	struct rotation_report report;

	if (!rotation_report(r, false, moment_now(), &report))
		return;
	if (report.phase == ROTATION_STAGED)
		log_notice("bundle \"%s\": a rotation begins: generation %llu for %u.%02u %% of the clients at first", b->name,
		    (unsigned long long)b->generation, report.share / 100, report.share % 100);
	else
		log_notice("bundle \"%s\": a rotation begins: generation %llu for all clients; who refuses it is served the one before",
		    b->name,
		    (unsigned long long)b->generation);
	rotation_report_free(&report);
	notify(arg, r, "began", NULL);
}

bool
rotations_prepare(struct rotations *r, const struct snapshot *s, struct err *err)
{
	return rotation_registry_prepare(r->registry, s->conf, s->store) || err_no_memory(err);
}

static void
sync_client_cas(struct rotations *r, struct snapshot *s)
{
	struct moment now = moment_now();

	for (size_t i = 0; i < s->conf->n_sites; i++) {
		struct snap_site *site = &s->sites[i];
		site->client_cas = client_cas_ref(client_ca_registry_sync(r->client_cas, site->conf, site->policy, now));
		if (site->client_cas == NULL && site->policy->mode != CONF_CLIENT_NONE)
			log_error("site \"%s\": who comes with a client certificate is not noted: out of memory, or another site has its name",
			    conf_site_name(site->conf));
	}
	client_ca_registry_synced(r->client_cas, now);
}

void
rotations_commit(struct rotations *r, struct snapshot *s)
{
	r->snapshot = s;
	sync_client_cas(r, s);
	rotation_registry_commit(r->registry, moment_now(), began, r);
}

void
rotations_abandon(struct rotations *r)
{
	rotation_registry_abandon(r->registry);
}

struct tls_bundle *
rotations_rolled_back_to(const void *rotations, const char *bundle)
{
	const struct rotations *rs = rotations;
	struct rotation *r = rotation_registry_find(rs->registry, bundle);

	return r != NULL ? rotation_rolled_back_to(r) : NULL;
}

void
rotations_told(struct rotations *rs, const struct tls_outcomes *outcomes, bool whole)
{
	for (size_t i = 0; i < outcomes->n; i++) {
		const struct tls_outcome *o = &outcomes->v[i];
		if (strcmp(o->of, "bundle") != 0 || !load_report_stands(o) || !held_note(&rs->held, o->name, o->text))
			continue;
		struct rotation *r = rotation_registry_find(rs->registry, o->name);
		tell_whom(rs, r != NULL ? rotation_origin(r) : o->name,
		    &(struct admin_event){o->kind == TLS_WAITING ? "waiting" : "held", o->name, r, o->text});
	}
	if (whole)
		held_end_round(&rs->held);
}
