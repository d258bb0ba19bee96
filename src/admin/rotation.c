/* rotation.c: the part of the admin API that is about rotations. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/json.h"
#include "base/clock.h"

/* --- clients ------------------------------------------------------------------------------------------------- */

static json_t *
address(const struct net_ip *ip)
{
	char text[NET_IP_TEXT];

	net_ip_text(ip, text);
	return json_string(text);
}

static const char *
alert_word(const struct evidence *e)
{
	const char *name = rotation_alert_word(e->alert);

	return e->rejected == 0 ? "closed without a word" : name != NULL ? name : "unknown alert";
}

static json_t *
client(const struct report_client *c)
{
	const struct client_record *r = &c->record;
	const struct evidence *e = &r->by[SLOT_CURRENT];
	char print[9];
	json_t *o = json_object();

	(void)snprintf(print, sizeof(print), "%08x", r->who.fingerprint);
	json_put(o, "address", address(&r->who.ip));
	json_put(o, "fingerprint", json_string(print));
	json_put(o, "name", c->name[0] != '\0' ? json_string(c->name) : json_null());
	json_put(o, "last_seen", json_seconds(r->last_seen));
	json_put(o, "connections", json_integer(r->open));
	json_put(o, "accepted_previous", json_integer(r->by[SLOT_PREVIOUS].accepted));
	if (r->refuses[SLOT_CURRENT]) {
		json_put(o, "refusals", json_integer(e->rejected + e->silent));
		json_put(o, "evidence", json_string(alert_word(e)));
		json_put(o, "suspected", json_boolean(r->suspected));
		json_put(o, "mixed", json_boolean(r->refuses[SLOT_PREVIOUS]));
	}
	json_put(o, "last_resumed", json_seconds(r->last_resumed));
	return o;
}

static json_t *
clients(const struct report_client *v, size_t n, size_t most)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n && i < most; i++)
		json_add(a, client(&v[i]));
	return a;
}

/* --- generations --------------------------------------------------------------------------------------------- */

static json_t *
counts(const struct generation_counts *c)
{
	json_t *o = json_object(), *alerts = json_object();

	for (unsigned i = 0; rotation_alert_name(i) != NULL; i++)
		if (c->by_alert[i] > 0)
			json_put(alerts, rotation_alert_name(i), json_integer((json_int_t)c->by_alert[i]));
	json_put(o, "accepted", json_integer((json_int_t)c->accepted));
	json_put(o, "rejected", json_integer((json_int_t)c->rejected));
	json_put(o, "silent", json_integer((json_int_t)c->silent));
	json_put(o, "clients", json_integer((json_int_t)c->clients));
	json_put(o, "alerts", alerts);
	return o;
}

static json_t *
generation(const struct tls_bundle *b, const struct generation_counts *c)
{
	if (b == NULL)
		return json_null();
	json_t *o = json_bundle(b);
	json_put(o, "handshakes", counts(c));
	return o;
}

static json_t *
reasons(const struct rotation_report *r)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < r->n_reasons; i++)
		json_add(a, json_pack("{s:b, s:s}", "blocks", r->reasons[i].blocks, "text", r->reasons[i].text));
	return a;
}

static json_t *
summary(const struct rotation_report *r)
{
	json_t *o = json_object();

	json_put(o, "bundle", json_string(r->name));
	json_put(o, "phase", json_string(rotation_phase_word(r->phase)));
	json_put(o, "share_percent", json_real((double)r->share * 100 / SHARE_ALL));
	json_put(o, "begun", json_seconds(r->begun));
	json_put(o, "orphans", json_integer((json_int_t)r->n_orphans));
	json_put(o, "untested", json_integer((json_int_t)r->n_untested));
	json_put(o, "may_retire", json_boolean(r->may_retire));
	return o;
}

/* With at most so many clients on each list; how many there are is said in any case. */
static json_t *
whole(const struct rotation_report *r, size_t most)
{
	json_t *o = summary(r);

	json_put(o, "stage", json_integer(r->n_stages > 0 ? (json_int_t)r->stage + 1 : 0));
	json_put(o, "stages", json_integer(r->n_stages));
	json_put(o, "stage_left_seconds", json_integer((json_int_t)(r->stage_left_ms / 1000)));
	json_put(o, "previous_ends_by", json_seconds(r->ended_by));
	json_put(o, "current", generation(r->bundles[SLOT_CURRENT], &r->counts[SLOT_CURRENT]));
	json_put(o, "previous", generation(r->bundles[SLOT_PREVIOUS], &r->counts[SLOT_PREVIOUS]));
	json_put(o, "resumed", json_integer((json_int_t)r->resumed));
	json_put(o, "tickets_end", json_seconds(r->begun > 0 ? r->tickets_end : 0));
	json_put(o, "not_tracked", json_integer((json_int_t)r->left_out));
	json_put(o, "reasons", reasons(r));
	json_put(o, "orphan_list", clients(r->orphans, r->n_orphans, most));
	json_put(o, "untested_list", clients(r->untested, r->n_untested, most));
	return o;
}

char *
admin_rotation_json(struct rotation *r)
{
	struct rotation_report report;

	if (!rotation_report(r, true, moment_now(), &report))
		return NULL;
	char *text = json_text(whole(&report, SIZE_MAX));
	rotation_report_free(&report);
	return text;
}

char *
admin_rotations_json(const struct admin *a)
{
	json_t *list = json_array();
	struct rotation_report report;

	for (struct rotation *r = rotation_registry_next(a->rotations, NULL); r != NULL; r = rotation_registry_next(a->rotations, r)) {
		if (!rotation_is_active(r) || !rotation_report(r, false, moment_now(), &report))
			continue;
		json_add(list, summary(&report));
		rotation_report_free(&report);
	}
	return json_text(json_pack("{s:o}", "rotations", list));
}

/* --- what people are told ------------------------------------------------------------------------------------ */

enum { LISTED = 50, ID_BYTES = 16 };

/* The same however often it is sent, and no other event's. NULL: the system has no random numbers. */
static json_t *
new_id(void)
{
	unsigned char bytes[ID_BYTES];
	char text[2 * ID_BYTES + 1];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return NULL;
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return json_string(text);
}

char *
admin_event_json(const struct admin_event *e)
{
	struct rotation_report r;
	json_t *o = json_object();
	char host[HOST_NAME_MAX + 1] = "";

	(void)gethostname(host, sizeof(host) - 1);
	json_put(o, "id", new_id());
	json_put(o, "event", json_string(e->word));
	json_put(o, "at", json_wall_time(clock_wall_us()));
	json_put(o, "host", json_string(host));
	json_put(o, "bundle", json_string(e->bundle));
	json_put(o, "why", e->why != NULL ? json_string(e->why) : json_null());
	if (e->rotation == NULL)
		return json_text(o);
	if (!rotation_report(e->rotation, true, moment_now(), &r)) {
		json_decref(o);
		return NULL;
	}
	json_t *how = whole(&r, LISTED);
	json_put(o, "generation", json_integer((json_int_t)r.bundles[SLOT_CURRENT]->generation));
	if (json_object_update_missing(o, how) != 0) {
		json_decref(o);
		o = NULL;
	}
	json_decref(how);
	rotation_report_free(&r);
	return json_text(o);
}

/* --- what an administrator says ------------------------------------------------------------------------------ */

/* What stands behind the question mark. */
struct asked {
	uint64_t to; /* 0: not said */
	enum rotation_will will;
	unsigned accept;
	struct admin *admin;
};

enum { TAKES_FORCE = 1, TAKES_TO = 2, TAKES_COMPROMISED = 4, TAKES_ACCEPT = 8 };

static bool
take_one(struct sv one, unsigned takes, struct asked *a)
{
	if ((takes & TAKES_FORCE) != 0 && sv_eq(one, SV("force=1"))) {
		a->will = ROTATION_FORCED;
		return true;
	}
	if ((takes & TAKES_COMPROMISED) != 0 && sv_eq(one, SV("compromised=1"))) {
		a->will = ROTATION_COMPROMISED;
		return true;
	}
	struct sv key = sv_cut(&one, '=');
	if ((takes & TAKES_ACCEPT) != 0 && sv_eq(key, SV("accept")))
		return a->accept == 0 && conf_losses(one, &a->accept, NULL);
	return (takes & TAKES_TO) != 0 && a->to == 0 && sv_eq(key, SV("to")) && sv_u64(one, &a->to) && a->to > 0;
}

/* Nothing that is not understood is passed over: a retired key might go on being kept by a slip of the pen. */
static bool
take(struct sv query, unsigned takes, struct asked *a, struct err *err)
{
	const struct sv all = query;
	bool ok = true;

	a->will = ROTATION_SAFELY;
	while (ok && query.p != NULL)
		ok = take_one(sv_cut(&query, '&'), takes, a);
	return ok || err_set(err, "\"%.*s\": this takes%s%s%s%s%s", SV_FMT(all), takes == 0 ? " no query" : " no other query than",
	    (takes & TAKES_ACCEPT) != 0 ? " accept=WORD,WORD" : "",
	    (takes & TAKES_TO) != 0 ? " to=GENERATION" : "", (takes & TAKES_COMPROMISED) != 0 ? " compromised=1" : "",
	    (takes & TAKES_FORCE) != 0 ? " force=1" : "");
}

static bool
start(struct rotation *r, const struct asked *a, struct err *err)
{
	return a->admin->start(a->admin, r, a->accept, a->will, err);
}

static bool
hold(struct rotation *r, const struct asked *a, struct err *err)
{
	(void)a;
	return rotation_hold(r, moment_now(), err);
}

static bool
resume(struct rotation *r, const struct asked *a, struct err *err)
{
	return rotation_resume(r, a->will, moment_now(), err);
}

static bool
commit(struct rotation *r, const struct asked *a, struct err *err)
{
	return rotation_commit(r, a->will, moment_now(), err);
}

static bool
rollback(struct rotation *r, const struct asked *a, struct err *err)
{
	return rotation_rollback(r, a->to, a->will, moment_now(), err);
}

static bool
retire(struct rotation *r, const struct asked *a, struct err *err)
{
	return rotation_retire(r, a->will, moment_now(), err);
}

static const struct {
	const char *word;
	unsigned takes;
	bool (*fn)(struct rotation *r, const struct asked *a, struct err *err);
} commands[] = {
	{"start", TAKES_FORCE | TAKES_ACCEPT, start},
	{"hold", 0, hold},
	{"resume", TAKES_FORCE, resume},
	{"commit", TAKES_FORCE, commit},
	{"rollback", TAKES_FORCE | TAKES_TO, rollback},
	{"retire", TAKES_FORCE | TAKES_COMPROMISED, retire},
};

static bool
obey(struct rotation *r, bool (*fn)(struct rotation *r, const struct asked *a, struct err *err),
    const struct asked *a, struct err *err)
{
	enum rotation_phase before = rotation_phase(r);

	if (!fn(r, a, err))
		return false;
	if (fn != start)
		a->admin->obeyed(a->admin, r, before);
	return true;
}

bool
admin_rotation_command(struct admin *admin, struct rotation *r, struct sv word, struct sv query, struct err *err)
{
	struct asked a = {.admin = admin};

	for (size_t i = 0; i < COUNTOF(commands); i++)
		if (sv_eq(word, sv_cstr(commands[i].word)))
			return take(query, commands[i].takes, &a, err) && obey(r, commands[i].fn, &a, err);
	return err_set(err, "\"%.*s\" is nothing that a rotation can be told", SV_FMT(word));
}
