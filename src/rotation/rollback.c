/* rollback.c: when a rotation is rolled back without asking. */
#include "rotation/private.h"

enum {
	SAMPLE = 100,  /* networks: with fewer tested it is reckoned as if there were as many, or half of all */
	CLIENTS_LEAST = 3, /* of a small fleet */
};

/* Of how many networks the votes are reckoned: those tested, and so many of the others that nobody decides by coming first. */
static uint64_t
electorate(const struct rotation *r)
{
	const struct networks *all = &r->clients.networks;
	uint64_t planned = (uint64_t)all->known * rotation_share(r) / SHARE_ALL;

	return MAX_OF(all->tested, MIN_OF((planned + 1) / 2, (uint64_t)SAMPLE));
}

/* Of SHARE_ALL: how many of them refuse it. */
static uint64_t
share_against(const struct rotation *r)
{
	uint64_t n = electorate(r);

	return n > 0 ? r->clients.networks.against / n : 0;
}

/* And do more than refused the one before? Scanners do so all day. */
static bool
too_many_refuse(const struct rotation *r)
{
	return share_against(r) >= r->settings.rollback.share && share_against(r) >= 2 * (uint64_t)r->before;
}

/* Are they enough in number, so that it is no accident? */
static bool
are_enough(const struct rotation *r)
{
	const struct networks *all = &r->clients.networks;

	return all->refused_at >= r->settings.rollback.clients && all->refusing >= r->settings.rollback.networks;
}

/* A small fleet never has that many. Then its majority will do: of all that are known, whether tested or not. */
static bool
are_most(const struct rotation *r)
{
	const struct networks *all = &r->clients.networks;

	return all->refusing_clients >= CLIENTS_LEAST && all->refusing_clients > r->counts[SLOT_CURRENT].clients &&
	       2 * all->against > (uint64_t)VOTE * all->known;
}

void
rotation_insist_locked(struct rotation *r)
{
	r->before = (unsigned)MAX_OF(share_against(r), (uint64_t)r->before);
}

/*
 * Only clients count that had accepted the previous generation with a full handshake, so an attacker's would first have
 * to be served like anybody's; and they count by their networks, one vote each.
 */
void
rotation_judge_locked(struct rotation *r)
{
	if (r->settings.rollback.clients == 0 || r->phase == ROTATION_BACK || r->phase == ROTATION_SETTLED || r->compromised)
		return;
	if (!too_many_refuse(r) || (!are_enough(r) && !are_most(r)))
		return;
	r->news.rolled_back = true;
	r->news.refusing = (unsigned)r->clients.networks.refusing_clients;
	r->news.tested = (unsigned)r->clients.networks.tested_clients;
	r->news.networks = (unsigned)r->clients.networks.refusing;
	rotation_roll_back_locked(r);
}
