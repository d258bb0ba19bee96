#include "worker/client_ca_states.h"

#include "base/clock.h"
#include "base/log.h"

enum {
	VERSION = 2, /* of the content */
	NEWS_MS = 2000,             /* and as many times as long as it takes to keep it: */
	COST_FACTOR = 200,
	SEEN_MS = 10 * 60 * 1000,
	WATCHED_MS = 60 * 60 * 1000, /* nobody came: that counts as well */
};

enum { CAS_ROOM = 8 << 20 }; /* for names of CAs */
_Static_assert(CLIENT_CAS_PACKED_MAX + CAS_ROOM <= STATE_CONTENT_MAX, "what is noted can be kept");

static const struct frame_kind kind = {"bascule clientca", VERSION, "state of client CAs",
    "lower \"remember\" of the site's \"client_certificate\""};

bool
client_ca_state_unframe(struct sv bytes, const struct tls_thread *thread, struct unpack *u, struct err *err)
{
	return frame_open(&kind, bytes, thread, u, err);
}

/* --- taking back ---------------------------------------------------------------------------------------------- */

/* What these bytes hold, when it is of the site that the name stands for. */
static struct client_cas *
open_state(struct states *s, const char *name, struct sv bytes, struct err *err)
{
	char own[STATE_NAME_MAX + 1];
	struct unpack u;

	if (!client_ca_state_unframe(bytes, s->thread, &u, err))
		return NULL;
	struct client_cas *cas = client_cas_unpack(&u, moment_now(), err);
	if (cas == NULL)
		return NULL;
	state_site_name(client_cas_site(cas), own);
	if (strcmp(own, name) == 0)
		return cas;
	err_set(err, "it is the state of site \"%s\", whose file is called %s", client_cas_site(cas), own);
	client_cas_unref(cas);
	return NULL;
}

void
client_ca_states_take_back(struct states *s, const char *name)
{
	struct err err = {""};
	size_t n = 0;
	unsigned char *bytes = states_fetch(s, name, &n, &err);
	struct client_cas *cas = bytes != NULL ? open_state(s, name, sv_of((const char *)bytes, n), &err) : NULL;

	secret_wipe(bytes, n);
	if (cas == NULL) {
		states_refuse(s, name, "which client certificates come to this site begins to be noted anew", &err);
		return;
	}
	*client_cas_saved(cas) = (struct client_cas_saved){.stamp = client_cas_stamp(cas), .at_ms = clock_mono_ms()};
	if (!client_ca_registry_adopt(s->client_cas, cas))
		log_error("%s: out of memory", name);
}

/* --- keeping -------------------------------------------------------------------------------------------------- */

static bool
is_due(const struct client_cas_saved *saved, const struct client_cas_stamp *stamp, enum states_when when, uint64_t now)
{
	uint64_t age = now - saved->at_ms, pause = MAX_OF((uint64_t)NEWS_MS, saved->cost_ms * COST_FACTOR);

	if (saved->at_ms == 0 || when == STATES_LAST)
		return true;
	if (saved->unwritten || stamp->news != saved->stamp.news)
		return age >= pause;
	return age >= MAX_OF(pause, (uint64_t)(stamp->sightings != saved->stamp.sightings ? SEEN_MS : WATCHED_MS));
}

static void
pack_cas(void *cas, struct pack *p)
{
	client_cas_pack(cas, moment_now(), p);
}

static void
keep_one(struct states *s, struct client_cas *cas, const char *name, const struct client_cas_stamp *stamp)
{
	uint64_t now = clock_mono_ms();
	struct err err = {""};
	int fd = frame_seal(&kind, pack_cas, cas, s->thread, &err);
	bool ok = states_put(s, &(struct states_owner){"site", client_cas_site(cas), "client CAs"}, name, fd, &err);

	*client_cas_saved(cas) = (struct client_cas_saved){.stamp = *stamp, .at_ms = now, .cost_ms = clock_mono_ms() - now,
	    .unwritten = !ok};
}

void
client_ca_states_keep(struct states *s, enum states_when when, uint64_t end)
{
	char name[STATE_NAME_MAX + 1];
	uint64_t now = clock_mono_ms();

	for (struct client_cas *cas = client_ca_registry_next(s->client_cas, NULL); cas != NULL && now < end;
	     cas = client_ca_registry_next(s->client_cas, cas)) {
		struct client_cas_stamp stamp = client_cas_stamp(cas);
		if (!is_due(client_cas_saved(cas), &stamp, when, now))
			continue;
		state_site_name(client_cas_site(cas), name);
		if (!states_is_stuck(s, name))
			keep_one(s, cas, name, &stamp);
		now = clock_mono_ms();
	}
}
