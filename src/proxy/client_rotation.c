/* client_rotation.c: a client's handshake in a rotation: what it is shown, and how it takes that. */
#include <stdlib.h>

#include "proxy/client.h"
#include "rotation/rotation.h"

/* What is shown of one bundle, if it is that one that is. */
struct shown {
	struct rotation *rotation; /* NULL: the bundle is not tracked */
	uint64_t generation;
	struct rotation_offer offer; /* without a bundle while there is but one generation */
	struct client_record *known; /* whose connection it is; NULL: nobody's that is known, or the handshake goes on */
};

/*
 * From the ClientHello to the first byte of a request; and to the end of the connection when it stays in the tables of
 * several rotations. Mostly that is one, for which c->stay is enough: idle connections are many.
 */
struct client_rotation {
	struct client_identity who;
	uint64_t opened_ms; /* when the handshake was done */
	int which;          /* index of the one that was shown; -1: not known */
	unsigned n;
	struct shown v[];
};

static struct rotation *
rotation_of(const struct tls_bundle *b)
{
	return __atomic_load_n(&b->rotation, __ATOMIC_ACQUIRE);
}

static bool
trusts(const void *hello, const struct tls_bundle *b)
{
	return tls_hello_trusts(hello, b);
}

static void
offer(struct client_rotation *cr, unsigned i, const struct tls_hello *hello, struct tls_bundle **bundle, struct moment now)
{
	struct shown *s = &cr->v[i];

	s->rotation = rotation_of(*bundle);
	s->generation = (*bundle)->generation;
	if (s->rotation == NULL || !rotation_is_active(s->rotation))
		return;
	const struct rotation_hint hint = {trusts, hello};
	rotation_choose(s->rotation, &cr->who, tls_hello_has_authorities(hello) ? &hint : NULL, now, &s->offer);
	s->generation = s->offer.generation;
	*bundle = s->offer.bundle;
}

void
client_rotation_choose(struct client *c, const struct tls_hello *hello, struct tls_choice *out)
{
	bool tracked = false;

	for (unsigned i = 0; i < out->n_bundles; i++)
		tracked |= rotation_of(out->bundles[i]) != NULL;
	if (LIKELY(!tracked))
		return;
	struct client_rotation *cr = calloc(1, sizeof(*cr) + out->n_bundles * sizeof(cr->v[0]));
	if (cr == NULL)
		return; /* it is shown the newest, and nothing is learned */
	cr->n = out->n_bundles;
	cr->which = -1;
	rotation_identify(c->thread->shared->rotation_key, &c->from, tls_hello_fingerprint(hello), &cr->who);
	struct moment now = moment_now();
	for (unsigned i = 0; i < cr->n; i++)
		offer(cr, i, hello, &out->bundles[i], now);
	c->rotation = cr;
}

/* --- how it takes it, and how long it stays ------------------------------------------------------------------- */

static void
end(struct client *c)
{
	free(c->rotation);
	c->rotation = NULL;
}

/* Nothing more is to be learned. */
static void
told(struct client *c)
{
	struct client_rotation *cr = c->rotation;
	const struct shown *one = NULL;
	unsigned known = 0;

	c->untold = false;
	for (unsigned i = 0; i < cr->n; i++) {
		if (cr->v[i].offer.bundle != NULL)
			rotation_end_offer(&cr->v[i].offer);
		if (cr->v[i].known == NULL)
			continue;
		known++;
		one = &cr->v[i];
	}
	if (known == 1)
		c->stay = (struct client_stay){one->rotation, one->known};
	if (known <= 1)
		end(c);
}

static void
come(struct client_rotation *cr, struct shown *s)
{
	if (s->known == NULL)
		s->known = rotation_came(s->rotation, &cr->who);
}

void
client_rotation_opened(struct client *c, bool resumed)
{
	struct client_rotation *cr = c->rotation;

	if (cr == NULL)
		return;
	cr->opened_ms = net_loop_now(c->thread->loop);
	cr->which = tls_stream_shown(&c->stream);
	for (unsigned i = 0; i < cr->n; i++) {
		struct shown *s = &cr->v[i];
		if (s->rotation == NULL || !(resumed || (int)i == cr->which))
			continue;
		if (resumed)
			rotation_resumed(s->rotation, &cr->who, moment_now());
		come(cr, s);
	}
	c->untold = cr->which >= 0 && cr->v[cr->which].rotation != NULL;
	if (!c->untold)
		told(c);
}

void
client_rotation_spoke(struct client *c)
{
	struct client_rotation *cr = c->rotation;
	const struct tls_peer *peer = NULL;

	if (!c->untold)
		return;
	struct shown *s = &cr->v[cr->which];
	if (!client_peer(c, &peer))
		peer = NULL; /* out of memory: it counts, without its name */
	rotation_accepted(s->rotation, &cr->who, s->generation, peer != NULL ? sv_cstr(peer->subject) : SV_NONE, moment_now());
	come(cr, s);
	told(c);
}

void
client_rotation_failed(struct client *c, const struct tls_failure *f)
{
	struct client_rotation *cr = c->rotation;
	int which = cr != NULL ? tls_stream_shown(&c->stream) : -1;
	unsigned alert = f->peer_alert > 0 ? f->peer_alert - 1 : 0;

	if (which >= 0 && cr->v[which].rotation != NULL) {
		const struct shown *s = &cr->v[which];
		if (f->peer_alert > 0 && rotation_alert_is_rejection(alert))
			rotation_rejected(s->rotation, &cr->who, s->generation, alert, moment_now());
		else if (f->peer_left)
			rotation_silent(s->rotation, &cr->who, s->generation, 0, moment_now());
	}
	if (cr != NULL)
		told(c);
}

void
client_rotation_left(struct client *c, bool by_itself)
{
	struct client_rotation *cr = c->rotation;

	if (c->stay.rotation != NULL)
		rotation_left(c->stay.rotation, c->stay.record, moment_now());
	c->stay.rotation = NULL;
	if (cr == NULL)
		return;
	const struct moment now = moment_now();
	if (c->untold && by_itself) {
		const struct shown *s = &cr->v[cr->which];
		rotation_silent(s->rotation, &cr->who, s->generation, net_loop_now(c->thread->loop) - cr->opened_ms, now);
	}
	for (unsigned i = 0; i < cr->n; i++)
		if (cr->v[i].known != NULL) {
			rotation_left(cr->v[i].rotation, cr->v[i].known, now);
			cr->v[i].known = NULL;
		}
	told(c);
}
