#include "http/head.h"

/* In one Cookie field: "a=1; b=2" (RFC 6265, 4.2.1). A pair without "=" has no name and is passed over. */
static bool
find_pair(struct sv pairs, struct sv name, struct sv *value)
{
	while (pairs.p != NULL) {
		struct sv rest = sv_trim(sv_cut(&pairs, ';'));
		struct sv left = sv_cut(&rest, '=');
		if (rest.p != NULL && sv_eq(sv_trim(left), name)) {
			*value = sv_trim(rest);
			return true;
		}
	}
	return false;
}

bool
http_cookie_get(const struct http_head *h, struct sv name, struct sv *value)
{
	for (size_t i = h->first[HTTP_COOKIE]; i > 0 && i <= h->n_fields; i++)
		if (h->fields[i - 1].id == HTTP_COOKIE && find_pair(h->fields[i - 1].value, name, value))
			return true;
	return false;
}
