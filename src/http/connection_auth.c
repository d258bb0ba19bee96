/*
 * Authentication that holds for the connection, not for a request (RFC 4559, and NTLM, which nothing has specified): whoever
 * else is let onto such a connection is taken for who has authenticated on it.
 */
#include "http/head.h"

/* By its beginning alone: a scheme that is bound in vain costs a connection, one that is not is a breach. */
static bool
is_of_connection(struct sv challenge)
{
	static const struct sv schemes[] = {SV("ntlm"), SV("negotiate")};

	for (size_t i = 0; i < COUNTOF(schemes); i++)
		if (challenge.n >= schemes[i].n && sv_ieq(sv_of(challenge.p, schemes[i].n), schemes[i]))
			return true;
	return false;
}

/* Several challenges may stand in one field (RFC 9110, 11.6.1). What looks like one within a quoted text counts as well. */
static bool
has_one(struct sv value)
{
	while (value.p != NULL)
		if (is_of_connection(sv_trim(sv_cut(&value, ','))))
			return true;
	return false;
}

bool
http_authenticates_connection(const struct http_head *h)
{
	enum http_field_id id = h->is_response ? HTTP_WWW_AUTHENTICATE : HTTP_AUTHORIZATION;

	for (size_t i = h->first[id]; i > 0 && i <= h->n_fields; i++) {
		const struct http_field *f = &h->fields[i - 1];
		if (f->id == id && !f->dropped && has_one(f->value))
			return true;
	}
	return false;
}
