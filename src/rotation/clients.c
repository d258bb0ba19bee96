#include "rotation/clients.h"

#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS_FIRST = 16,
	HAND_RECORDS = 32,   /* looked at for one that may go, before the new one is left out; */
	HAND_BUCKETS = 1024, /* in so many buckets at most */
	LARGE_PART = 256,    /* of a full table this part is each network's own */
};

void
clients_init(struct clients *c, size_t max, size_t network_max)
{
	*c = (struct clients){.max = max, .network_max = network_max};
}

static void
free_record(struct client_record *r)
{
	free(r->name);
	free(r);
}

void
clients_free(struct clients *c)
{
	for (size_t i = 0; i < c->n_buckets; i++)
		for (struct client_record *r = c->buckets[i], *next; r != NULL; r = next) {
			next = r->next;
			free_record(r);
		}
	free(c->buckets);
	networks_free(&c->networks);
	clients_init(c, c->max, c->network_max);
}

/* Keys are keyed hashes already: any bits of them do. The first ones keep the order of keys when there are more buckets. */
static size_t
index_of(const struct clients *c, uint64_t key)
{
	return (size_t)(key >> c->shift);
}

static struct client_record **
bucket_of(const struct clients *c, uint64_t key)
{
	return &c->buckets[index_of(c, key)];
}

struct client_record *
clients_find(const struct clients *c, uint64_t key)
{
	struct client_record *r = c->n_buckets > 0 ? *bucket_of(c, key) : NULL;

	while (r != NULL && r->who.key != key)
		r = r->next;
	return r;
}

static void
insert(struct clients *c, struct client_record *r)
{
	struct client_record **bucket = bucket_of(c, r->who.key);

	r->next = *bucket;
	*bucket = r;
	c->n++;
}

/* False: it stays as it is, for want of memory. */
static bool
grow(struct clients *c)
{
	size_t n_old = c->n_buckets, n = n_old > 0 ? 2 * n_old : BUCKETS_FIRST;
	struct client_record **old = c->buckets, **buckets = calloc(n, sizeof(struct client_record *));

	if (buckets == NULL)
		return false;
	c->buckets = buckets;
	c->n_buckets = n;
	c->shift = 64 - (unsigned)__builtin_ctzll(n);
	c->n = c->hand = 0;
	for (size_t i = 0; i < n_old; i++)
		for (struct client_record *r = old[i], *next; r != NULL; r = next) {
			next = r->next;
			insert(c, r);
		}
	free(old);
	return true;
}

void
clients_count(struct clients *c, const struct client_record *r, int by)
{
	networks_count(&c->networks, r->network, &r->who.ip,
	    (struct client_vote){is_known(r), is_tested(r), r->refuses[SLOT_CURRENT]}, by);
}

/* --- a full table -------------------------------------------------------------------------------------------- */

/* Does it hold so much of the table that others may take from it, and it not from others? */
static bool
is_large(const struct clients *c, const struct network *n)
{
	return n != NULL && n->clients > MAX_OF(c->max / LARGE_PART, (size_t)1);
}

/*
 * What would be lost with it? A client that was never served tells nothing that it will not tell again, and anybody can
 * be thousands of them: it goes first. Then what is too much of one network: who has a few networks, and had himself
 * served from there, shall not fill the table. One that accepted all it was shown is only known for it. One that was
 * served and refuses now is what the table is for: it stays.
 */
enum worth { WORTH_LITTLE, WORTH_TOO_MANY, WORTH_SOME, WORTH_KEEPING };

static enum worth
worth_of(const struct clients *c, const struct client_record *r)
{
	if (r->by[SLOT_PREVIOUS].accepted + r->by[SLOT_CURRENT].accepted == 0)
		return WORTH_LITTLE;
	if (is_large(c, r->network))
		return WORTH_TOO_MANY;
	return r->refuses[SLOT_PREVIOUS] || r->refuses[SLOT_CURRENT] ? WORTH_KEEPING : WORTH_SOME;
}

static void
drop(struct clients *c, struct client_record *gone)
{
	struct client_record **at = bucket_of(c, gone->who.key);

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	clients_count(c, gone, -1);
	networks_leave(&c->networks, gone->network);
	c->n--;
	if (gone->open == 0) {
		free_record(gone);
		return;
	}
	gone->network = NULL;
	gone->dropped = true;
	c->left_out += gone->by[SLOT_PREVIOUS].accepted + gone->by[SLOT_CURRENT].accepted > 0;
}

void
client_leave(struct client_record *r, int64_t now)
{
	r->open--;
	r->last_seen = now;
	if (r->dropped && r->open == 0)
		free_record(r);
}

/* By what they are worth, then by when they were there. */
static bool
goes_before(const struct client_record *r, enum worth worth, const struct client_record *found, enum worth least)
{
	return worth < least || (worth == least && found != NULL && client_seen(r, INT64_MAX) < client_seen(found, INT64_MAX));
}

/*
 * Among the next few, so that a new client never costs a walk over the table. So many records, not buckets: all are looked at
 * equally often, and no part of the table is emptied of those that may go until only others are left there.
 */
static bool
make_room(struct clients *c, enum worth least)
{
	struct client_record *found = NULL;

	for (unsigned i = 0, records = 0; i < HAND_BUCKETS && i < c->n_buckets && records < HAND_RECORDS; i++) {
		c->hand = (c->hand + 1) & (c->n_buckets - 1);
		for (struct client_record *r = c->buckets[c->hand]; r != NULL; r = r->next, records++) {
			enum worth worth = worth_of(c, r);
			if (goes_before(r, worth, found, least)) {
				found = r;
				least = worth;
			}
		}
	}
	if (found != NULL)
		drop(c, found);
	return found != NULL;
}

/* Too few of them are better than none. */
static bool
has_buckets(struct clients *c)
{
	return c->n < c->n_buckets || grow(c) || c->n_buckets > 0;
}

static bool
has_room(struct clients *c, const struct client_identity *who)
{
	const struct network *n = networks_find(&c->networks, who->network);

	if (!has_buckets(c) || (n != NULL && n->clients >= c->network_max))
		return false;
	return c->n < c->max || make_room(c, is_large(c, n) ? WORTH_SOME : WORTH_KEEPING);
}

/* NULL: no memory. */
static struct client_record *
add(struct clients *c, const struct client_identity *who)
{
	struct client_record *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->who = *who;
	r->network = networks_enter(&c->networks, who->network);
	if (r->network == NULL) {
		free(r);
		return NULL;
	}
	insert(c, r);
	return r;
}

struct client_record *
clients_note(struct clients *c, const struct client_identity *who, int64_t now)
{
	struct client_record *r = clients_find(c, who->key);

	if (r == NULL && has_room(c, who) && (r = add(c, who)) != NULL)
		r->first_seen = now;
	if (r == NULL) {
		c->left_out++;
		return NULL;
	}
	r->last_seen = now;
	return r;
}

bool
clients_restore(struct clients *c, const struct client_record *from, struct sv name)
{
	struct client_record *r = NULL;

	if (clients_find(c, from->who.key) == NULL && has_buckets(c))
		r = add(c, &from->who);
	if (r == NULL)
		return false;
	struct client_record *next = r->next;
	struct network *network = r->network;
	*r = *from;
	r->next = next;
	r->network = network;
	r->name = NULL;
	client_set_name(r, name);
	clients_count(c, r, 1);
	return true;
}

static struct client_record *
first_from(const struct clients *c, size_t bucket)
{
	while (bucket < c->n_buckets && c->buckets[bucket] == NULL)
		bucket++;
	return bucket < c->n_buckets ? c->buckets[bucket] : NULL;
}

struct client_record *
clients_next(const struct clients *c, struct client_record *r)
{
	if (r == NULL)
		return first_from(c, 0);
	return r->next != NULL ? r->next : first_from(c, index_of(c, r->who.key) + 1);
}

void
clients_slice(const struct clients *c, struct clients_walk *w, void (*each)(void *arg, struct client_record *r), void *arg)
{
	size_t i = c->n_buckets > 0 ? index_of(c, w->from) : 0;

	for (unsigned steps = 0; i < c->n_buckets && steps < CLIENTS_SLICE; i++, steps++)
		for (struct client_record *r = c->buckets[i]; r != NULL; r = r->next) {
			each(arg, r);
			steps++;
		}
	w->over = i >= c->n_buckets;
	w->from = w->over ? 0 : (uint64_t)i << c->shift;
}

void
clients_move(struct clients *c, int64_t by, int64_t now)
{
	for (struct client_record *r = clients_next(c, NULL); r != NULL; r = clients_next(c, r))
		r->last_seen = MIN_OF(r->last_seen + by, now);
}

void
client_set_name(struct client_record *r, struct sv name)
{
	char *copy;

	if (name.n == 0 || sv_eq(name, sv_cstr(r->name)))
		return;
	if (name.n > CLIENT_NAME_MAX)
		for (name.n = CLIENT_NAME_MAX; name.n > 0 && ((unsigned char)name.p[name.n] & 0xc0) == 0x80;)
			name.n--; /* not in the middle of a character */
	if ((copy = strndup(name.p, name.n)) == NULL)
		return;
	free(r->name);
	r->name = copy;
}
