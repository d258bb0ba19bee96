#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the entry; it does not end the process */
#include "rotation/holders.h"

#include <stdlib.h>
#include <string.h>

struct holder *
holders_find(const struct holders *t, const unsigned char fingerprint[32])
{
	struct holder *h;

	HASH_FIND(hh, t->by_fingerprint, fingerprint, sizeof(h->fingerprint), h);
	return h;
}

static struct device *
find_device(struct holders *t, const char *subject)
{
	size_t n = strlen(subject);
	struct device *d;

	HASH_FIND(hh, t->by_subject, subject, n, d);
	if (d != NULL || (d = calloc(1, sizeof(*d) + n + 1)) == NULL)
		return d;
	memcpy(d->subject, subject, n + 1);
	HASH_ADD_KEYPTR(hh, t->by_subject, d->subject, n, d);
	if (d->hh.tbl != NULL)
		return d;
	free(d);
	return NULL;
}

static void
let_go(struct holders *t, struct device *d)
{
	if (d == NULL || d->holders != NULL)
		return;
	HASH_DEL(t->by_subject, d);
	free(d);
}

struct holder *
holders_add(struct holders *t, struct client_ca *ca, const unsigned char fingerprint[32], const char *subject)
{
	struct device *d = find_device(t, subject);
	struct holder *h = d != NULL ? calloc(1, sizeof(*h)) : NULL;

	if (h != NULL) {
		memcpy(h->fingerprint, fingerprint, sizeof(h->fingerprint));
		HASH_ADD(hh, t->by_fingerprint, fingerprint, sizeof(h->fingerprint), h);
	}
	if (h == NULL || h->hh.tbl == NULL) {
		free(h);
		let_go(t, d);
		return NULL;
	}
	h->device = d;
	h->next = d->holders;
	d->holders = h;
	d->n++;
	t->n++;
	t->subjects += strlen(d->subject);
	h->ca = ca;
	TAILQ_INSERT_TAIL(&ca->holders, h, link);
	ca->n_holders++;
	return h;
}

void
holders_drop(struct holders *t, struct holder *h)
{
	struct holder **at = &h->device->holders;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	h->device->n--;
	t->n--;
	t->subjects -= strlen(h->device->subject);
	let_go(t, h->device);
	TAILQ_REMOVE(&h->ca->holders, h, link);
	h->ca->n_holders--;
	if (t->walked == h)
		t->walked = h->hh.next;
	HASH_DEL(t->by_fingerprint, h);
	free(h);
}

void
holder_touch(struct holder *h, struct client_ca *ca)
{
	TAILQ_REMOVE(&h->ca->holders, h, link);
	h->ca->n_holders--;
	h->ca->open -= h->open;
	h->ca = ca;
	TAILQ_INSERT_TAIL(&ca->holders, h, link);
	ca->n_holders++;
	ca->open += h->open;
}

void
holder_open(struct holder *h, int by)
{
	h->open += (uint32_t)by;
	h->ca->open += (size_t)by;
}

static int
by_last_seen(const struct holder *a, const struct holder *b)
{
	return a->seen_at != b->seen_at ? (a->seen_at < b->seen_at ? -1 : 1) : a->last < b->last ? -1 : a->last > b->last ? 1 : 0;
}

void
holders_order(struct holders *t)
{
	HASH_SRT(hh, t->by_fingerprint, by_last_seen);
	for (struct holder *h = t->by_fingerprint; h != NULL; h = h->hh.next)
		holder_touch(h, h->ca);
}

void
holders_walk(struct holders *t)
{
	t->walked = t->by_fingerprint;
}

/* New ones stand at the end, and being seen moves nobody: what lies behind the place of the walk has been met, and no more. */
bool
holders_slice(struct holders *t, void (*each)(void *arg, const struct holder *h), void *arg)
{
	for (unsigned n = 0; t->walked != NULL && n < HOLDERS_SLICE; n++) {
		each(arg, t->walked);
		t->walked = t->walked->hh.next;
	}
	return t->walked != NULL;
}
