#include "worker/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/siphash.h"
#include "worker/client_ca_states.h"

enum {
	VERSION = 1, /* of the content */
	EVIDENCE_MS = 2000,            /* of a rotation that goes on, and as many times as long as it takes to keep it: */
	COST_FACTOR = 200,
	QUIET_MS = 10 * 60 * 1000,     /* of one that does not go on; and deadlines come nearer */
	CONNECTED_MS = 60 * 60 * 1000, /* of one to whose clients nothing happens but that they are there */
	COMPLAIN_MS = 10 * 60 * 1000,
	BUDGET_MS = 100,
	LAST_BUDGET_MS = 3000, /* the supervisor waits for longer than that (supervisor.c) */
	LAST_QUIET_BUDGET_MS = 1000,
	PROBLEMS_MAX = 64 * 1024,
};

enum { GENERATIONS_ROOM = 32 << 20 }; /* for chains and keys */
_Static_assert((uint64_t)CONF_ROTATION_CLIENTS_MAX * ROTATION_PACKED_CLIENT_MAX + GENERATIONS_ROOM <= STATE_CONTENT_MAX,
    "what the config allows can be kept");

struct stuck {
	struct stuck *next;
	char name[STATE_NAME_MAX + 1];
};

/* --- the frame ------------------------------------------------------------------------------------------------ */

static const struct frame_kind kind = {"bascule rotation", VERSION, "state of a rotation", "lower the rotation's \"clients\""};

static void
pack_rotation(void *rotation, struct pack *p)
{
	rotation_pack(rotation, moment_now(), p);
}

int
state_seal(struct rotation *r, const struct tls_thread *thread, struct err *err)
{
	return frame_seal(&kind, pack_rotation, r, thread, err);
}

bool
state_unframe(struct sv bytes, const struct tls_thread *thread, struct unpack *u, struct err *err)
{
	return frame_open(&kind, bytes, thread, u, err);
}

/* --- taking back ---------------------------------------------------------------------------------------------- */

static void
stick(struct states *s, const char *name)
{
	struct stuck *e = arena_alloc(&s->arena, sizeof(*e));

	if (e == NULL || !sv_copy(sv_cstr(name), e->name, sizeof(e->name)))
		return;
	e->next = s->stuck;
	s->stuck = e;
}

bool
states_is_stuck(const struct states *s, const char *name)
{
	const struct stuck *e = s->stuck;

	while (e != NULL && strcmp(e->name, name) != 0)
		e = e->next;
	return e != NULL;
}

static bool
is_stuck(const struct states *s, const char *bundle)
{
	char name[STATE_NAME_MAX + 1];

	if (s->stuck == NULL)
		return false;
	state_name(bundle, name);
	return states_is_stuck(s, name);
}

void
states_refuse(struct states *s, const char *name, const char *anew, const struct err *why)
{
	struct err err = {""};
	char to[4096], text[5120];

	bool moved = control_state_refuse(s->control, name, to, sizeof(to), &err);
	if (moved)
		(void)snprintf(text, sizeof(text),
		    "%s/%s: %s; %s. It lies in %s now: to go on from it stop bascule, put a "
		    "good one back under the old name (a newer one's with the newer bascule) and start; else remove it",
		    s->told.directory, name, why->text, anew, to);
	else
		(void)snprintf(text, sizeof(text),
		    "%s/%s: %s; %s, and is not kept, since the file can not be moved out of "
		    "the way (%s): move or mend it and restart",
		    s->told.directory, name, why->text, anew, err.text);
	if (!moved)
		stick(s, name);
	log_error("%s", text);
	if (!buf_printf(&s->told.problems, "%s\n", text))
		log_error("more refused states than the report has room for");
}

/* The rotation that these bytes hold, and no other's. */
static struct rotation *
open_state(struct states *s, const char *name, struct sv bytes, struct err *err)
{
	char own[STATE_NAME_MAX + 1];
	struct unpack u;
	size_t strangers = 0;

	if (!state_unframe(bytes, s->thread, &u, err))
		return NULL;
	struct rotation *r = rotation_unpack(&u, s->key, s->thread, moment_now(), &strangers, err);
	if (r == NULL)
		return NULL;
	state_name(rotation_name(r), own);
	if (strcmp(own, name) != 0) {
		err_set(err, "it is the state of bundle \"%s\", whose file is called %s", rotation_name(r), own);
		rotation_free(r);
		return NULL;
	}
	if (strangers > 0)
		log_warning("bundle \"%s\": its %zu clients were told apart by another secret and are not known any more; who is served what "
		            "goes on", rotation_name(r), strangers);
	return r;
}

unsigned char *
states_fetch(struct states *s, const char *name, size_t *n, struct err *err)
{
	int fd = control_state_get(s->control, name, err);

	if (fd < 0)
		return NULL;
	unsigned char *bytes = frame_read(fd, n, err);
	close(fd);
	return bytes;
}

static struct rotation *
fetch(struct states *s, const char *name, struct err *err)
{
	size_t n = 0;
	unsigned char *bytes = states_fetch(s, name, &n, err);
	struct rotation *r = bytes != NULL ? open_state(s, name, sv_of((const char *)bytes, n), err) : NULL;

	secret_wipe(bytes, n);
	return r;
}

static void
take_back(struct states *s, const char *name)
{
	struct err err = {""};
	struct rotation *r = fetch(s, name, &err);

	if (r == NULL) {
		states_refuse(s, name, "its rotation begins anew, by what is on the disk", &err);
		return;
	}
	*rotation_saved(r) = (struct rotation_saved){.stamp = rotation_stamp(r), .at_ms = clock_mono_ms()};
	const char *bundle = rotation_name(r);
	if (rotation_is_active(r))
		log_notice("bundle \"%s\": its rotation goes on where it was", bundle);
	if (!rotation_registry_adopt(s->registry, r))
		log_error("%s: out of memory", name);
}

void
states_init(struct states *s, struct control *control, const struct tls_thread *thread, struct rotation_registry *registry,
    struct client_ca_registry *client_cas, const unsigned char key[16])
{
	*s = (struct states){.control = control, .thread = thread, .registry = registry, .client_cas = client_cas};
	memcpy(s->key, key, sizeof(s->key));
	buf_init(&s->told.problems, PROBLEMS_MAX);
}

void
states_begin(struct states *s)
{
	struct file_entry *entries;
	struct err err = {""};
	size_t n;

	s->unread = !control_state_list(s->control, &entries, &n, s->told.directory, sizeof(s->told.directory), &err);
	if (s->unread) {
		err_prefix(&err, "state_dir");
		log_error("%s; rotations begin anew, and what they become does not survive a restart: make the directory, with mode 0700, or "
		          "mend it, and restart", err.text);
		if (!buf_printf(&s->told.problems, "%s\n", err.text))
			log_error("out of memory");
		return;
	}
	for (size_t i = 0; entries != NULL && i < n; i++)
		if (sv_ends(sv_cstr(entries[i].name), SV(STATE_CLIENT_CAS)))
			client_ca_states_take_back(s, entries[i].name);
		else
			take_back(s, entries[i].name);
	free(entries);
}

void
states_end(struct states *s)
{
	buf_clear(&s->told.problems);
	arena_free(&s->arena);
	explicit_bzero(s->key, sizeof(s->key));
}

struct tls_store *
states_store(const struct states *s, const struct conf *conf)
{
	struct tls_kept *v = NULL;
	size_t n = 0, room = 0;

	for (struct rotation *r = rotation_registry_next(s->registry, NULL); r != NULL; r = rotation_registry_next(s->registry, r))
		room++;
	if (room == 0 || (v = calloc(room, sizeof(*v))) == NULL)
		return NULL;
	for (struct rotation *r = rotation_registry_next(s->registry, NULL); r != NULL; r = rotation_registry_next(s->registry, r)) {
		/* Also where the config has another way to it now: its numbers must go on, or two generations had the same. */
		const struct conf_bundle *c = conf_bundle(conf, rotation_origin(r));
		struct tls_bundle *b = rotation_current(r);
		if (b != NULL)
			v[n++] = (struct tls_kept){b, rotation_origin(r), c != NULL && c->directory != NULL};
	}
	struct tls_store *store = tls_store_of(v, n);
	for (size_t i = 0; i < n; i++)
		tls_bundle_unref(v[i].bundle);
	free(v);
	return store;
}

/* --- keeping -------------------------------------------------------------------------------------------------- */

static bool
is_due(const struct states *s, struct rotation *r, const struct rotation_stamp *stamp, enum states_when when, uint64_t now)
{
	const struct rotation_saved *saved = rotation_saved(r);
	bool active = rotation_is_active(r);
	uint64_t age = now - saved->at_ms, pause = MAX_OF(EVIDENCE_MS, saved->cost_ms * COST_FACTOR);

	if (is_stuck(s, rotation_name(r)) || (s->told.directory[0] == '\0' && !s->unread && !rotation_has_past(r)))
		return false;
	if (saved->at_ms == 0 || stamp->plan != saved->stamp.plan)
		return true;
	if (when == STATES_LAST)
		return active || saved->unwritten || stamp->connected || stamp->evidence != saved->stamp.evidence;
	if (saved->unwritten && age >= pause)
		return true;
	return (stamp->evidence != saved->stamp.evidence && age >= (active ? pause : MAX_OF(pause, QUIET_MS))) ||
	       (active && age >= QUIET_MS) || (stamp->connected && age >= MAX_OF(pause, (uint64_t)CONNECTED_MS));
}

/* Once in a while, since it is tried again and again. */
static void
complain(struct states *s, const struct states_owner *o, const struct err *why, uint64_t now)
{
	s->told.unwritten = *why;
	if (s->complained_ms != 0 && now - s->complained_ms < COMPLAIN_MS)
		return;
	s->complained_ms = now;
	log_error("%s \"%s\": the state of its %s can not be kept: %s; it is tried again every few seconds, and until then does "
	          "not survive %s", o->kind, o->name, o->what, why->text,
	    s->told.directory[0] != '\0' || s->unread ? "a restart" : "the worker");
}

bool
states_put(struct states *s, const struct states_owner *o, const char *file, int fd, struct err *err)
{
	bool ok = fd >= 0 && control_state_put(s->control, file, fd, err);

	if (fd >= 0)
		close(fd);
	if (!ok) {
		complain(s, o, err, clock_mono_ms());
	} else if (s->told.unwritten.text[0] != '\0') {
		s->told.unwritten.text[0] = '\0';
		s->complained_ms = 0;
		log_notice("states are kept again");
	}
	return ok;
}

static void
keep_one(struct states *s, struct rotation *r, const struct rotation_stamp *stamp, uint64_t now)
{
	struct rotation_saved *saved = rotation_saved(r);
	struct err err = {""};
	char name[STATE_NAME_MAX + 1];

	state_name(rotation_name(r), name);
	int fd = state_seal(r, s->thread, &err);
	bool ok = states_put(s, &(struct states_owner){"bundle", rotation_name(r), "rotation"}, name, fd, &err);
	*saved = (struct rotation_saved){.stamp = *stamp, .at_ms = now, .cost_ms = clock_mono_ms() - now, .unwritten = !ok};
}

/* Those that go on, or the others; until the time is over. */
static void
keep_some(struct states *s, enum states_when when, bool active, uint64_t end)
{
	uint64_t now = clock_mono_ms();

	for (struct rotation *r = rotation_registry_next(s->registry, NULL); r != NULL && now < end;
	     r = rotation_registry_next(s->registry, r)) {
		if (rotation_is_active(r) != active)
			continue;
		struct rotation_stamp stamp = rotation_stamp(r);
		if (!is_due(s, r, &stamp, when, now))
			continue;
		keep_one(s, r, &stamp, now);
		now = clock_mono_ms();
	}
}

void
states_keep_plan(struct states *s, struct rotation *r)
{
	struct rotation_stamp stamp = rotation_stamp(r);
	uint64_t now = clock_mono_ms();

	if (stamp.plan != rotation_saved(r)->stamp.plan && is_due(s, r, &stamp, STATES_DUE, now))
		keep_one(s, r, &stamp, now);
}

void
states_keep(struct states *s, enum states_when when)
{
	uint64_t now = clock_mono_ms();

	keep_some(s, when, true, now + (when == STATES_LAST ? LAST_BUDGET_MS : BUDGET_MS));
	keep_some(s, when, false, now + (when == STATES_LAST ? LAST_QUIET_BUDGET_MS : BUDGET_MS));
	client_ca_states_keep(s, when, now + (when == STATES_LAST ? LAST_QUIET_BUDGET_MS : BUDGET_MS));
}
