#include <criterion/criterion.h>
#include <openssl/evp.h>

#include "tls/tickets.h"
#include "wire.h"

enum { LIFETIME = 3600, NOW = 1800000000 };

static struct tls_tickets
tickets_of(char fill)
{
	struct secret secret = wire_secret(fill);
	struct tls_tickets t;

	cr_assert(tickets_init(&t, &secret, LIFETIME));
	return t;
}

Test(tickets, nodes_agree)
{
	struct tls_tickets a = tickets_of('a'), b = tickets_of('a');
	struct ticket_key key = *tickets_current(&a, NOW);
	const struct ticket_key *found = tickets_find(&b, NOW, key.name);

	cr_assert_not_null(found);
	cr_expect_eq(memcmp(found->cipher, key.cipher, TICKET_KEY), 0);
	cr_expect_eq(memcmp(found->mac, key.mac, TICKET_KEY), 0);
	cr_expect_neq(memcmp(key.cipher, key.mac, TICKET_KEY), 0);
}

Test(tickets, another_secret_has_other_keys)
{
	struct tls_tickets a = tickets_of('a'), b = tickets_of('b');

	cr_expect_null(tickets_find(&b, NOW, tickets_current(&a, NOW)->name));
}

Test(tickets, the_secret_is_not_kept)
{
	struct tls_tickets a = tickets_of('a');
	unsigned char secret[SECRET_MIN];

	memset(secret, 'a', sizeof(secret));
	cr_expect_null(memmem(&a, sizeof(a), secret, sizeof(secret)));
}

Test(tickets, a_key_lives_as_long_as_its_tickets)
{
	struct tls_tickets t = tickets_of('a');

	/* Made at each second of an epoch, and looked for at the end of the ticket's life and from a node whose clock is behind. */
	for (uint64_t made = NOW; made < NOW + LIFETIME / 2; made += 60) {
		struct ticket_key key = *tickets_current(&t, made);
		cr_expect_not_null(tickets_find(&t, made + LIFETIME, key.name));
		cr_expect_not_null(tickets_find(&t, made - LIFETIME / 2, key.name));
		cr_expect_null(tickets_find(&t, made + LIFETIME * 2, key.name));
		cr_expect_null(tickets_find(&t, made - LIFETIME, key.name));
	}
}

Test(tickets, keys_rotate)
{
	struct tls_tickets t = tickets_of('a');
	struct ticket_key first = *tickets_current(&t, NOW);

	cr_expect_eq(memcmp(first.name, tickets_current(&t, NOW + 1)->name, TICKET_NAME), 0);
	cr_expect_neq(memcmp(first.name, tickets_current(&t, NOW + LIFETIME / 2)->name, TICKET_NAME), 0);
	cr_expect_neq(memcmp(first.cipher, tickets_current(&t, NOW + LIFETIME / 2)->cipher, TICKET_KEY), 0);
}

Test(tickets, strange_clocks)
{
	struct tls_tickets t = tickets_of('a');
	unsigned char name[TICKET_NAME] = {0};

	cr_expect_not_null(tickets_current(&t, 0));
	cr_expect_null(tickets_find(&t, 0, name));
	cr_expect_null(tickets_find(&t, 1, name));
}
