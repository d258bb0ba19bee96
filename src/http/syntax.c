#include <arpa/inet.h>

#include "http/chars.h"
#include "http/head.h"

enum { HOST_MAX = 255 }; /* bytes of a name in DNS */

#define VISIBLE (CHAR_VALUE | CHAR_TARGET | CHAR_EXT)
#define TCHAR (VISIBLE | CHAR_TOKEN)
#define UNRESERVED (TCHAR | CHAR_HOST)

const uint8_t http_chars[256] = {
    ['\t'] = CHAR_VALUE,
    [' '] = CHAR_VALUE | CHAR_EXT,
    ['!'] = TCHAR,
    ['"'] = VISIBLE,
    ['#'] = TCHAR & ~CHAR_TARGET,
    ['$' ... '\''] = TCHAR,
    ['(' ... ')'] = VISIBLE,
    ['*' ... '+'] = TCHAR,
    [','] = VISIBLE,
    ['-' ... '.'] = UNRESERVED,
    ['/'] = VISIBLE,
    ['0' ... '9'] = UNRESERVED,
    [':' ... '@'] = VISIBLE,
    ['A' ... 'Z'] = UNRESERVED,
    ['[' ... ']'] = VISIBLE,
    ['^'] = TCHAR,
    ['_'] = UNRESERVED,
    ['`'] = TCHAR,
    ['a' ... 'z'] = UNRESERVED,
    ['{'] = VISIBLE,
    ['|'] = TCHAR,
    ['}'] = VISIBLE,
    ['~'] = UNRESERVED,
    [0x80 ... 0xff] = CHAR_VALUE | CHAR_EXT,
};

bool
http_is_token(struct sv s)
{
	return s.n > 0 && http_chars_all(s, CHAR_TOKEN);
}

bool
http_is_value(struct sv s)
{
	return http_chars_all(s, CHAR_VALUE);
}

bool
http_is_target(struct sv s)
{
	return s.n > 0 && http_chars_all(s, CHAR_TARGET);
}

/* Only the forms that every parser reads alike: no zone, no IPvFuture. */
static bool
is_ipv6_literal(struct sv host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	return host.n > 2 && host.p[host.n - 1] == ']' && sv_copy(sv_of(host.p + 1, host.n - 2), text, sizeof(text)) &&
	    strlen(text) == host.n - 2 && inet_pton(AF_INET6, text, &address) == 1;
}

/* A dot at the end (the root of DNS) is part of a name; an empty label elsewhere is not. */
static bool
is_name(struct sv host)
{
	if (host.n == 0 || host.n > HOST_MAX || !http_chars_all(host, CHAR_HOST))
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (host.p[i] == '.' && (i == 0 || host.p[i - 1] == '.'))
			return false;
	return true;
}

static bool
read_port(struct sv s, uint16_t *port)
{
	uint64_t n;

	if (s.n > 5 || !sv_u64(s, &n) || s.p[0] == '0' || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

bool
http_split_authority(struct sv authority, struct sv *host, uint16_t *port)
{
	bool literal = authority.n > 0 && authority.p[0] == '[';
	const char *stop = authority.n > 0 ? memchr(authority.p, literal ? ']' : ':', authority.n) : NULL;
	size_t n = stop != NULL ? (size_t)(stop - authority.p) + literal : authority.n;
	struct sv rest = sv_of(authority.p + n, authority.n - n);

	*host = sv_of(authority.p, n);
	*port = 0;
	if (!(literal ? is_ipv6_literal(*host) : is_name(*host)))
		return false;
	return rest.n == 0 || (rest.p[0] == ':' && read_port(sv_of(rest.p + 1, rest.n - 1), port));
}
