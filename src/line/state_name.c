#include "line/state_name.h"

#include <stdio.h>
#include <string.h>

#include "base/siphash.h"

enum { ESCAPED_MAX = 180 }; /* of a name; a longer one is told apart by a hash */

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* "%" stands before two digits, and before "-" where the rest is a hash: no two names meet. */
static void
put_name(const char *bundle, const char *suffix, char out[STATE_NAME_MAX + 1])
{
	static const unsigned char key[SIPHASH_KEY] = "names of states";
	char *at = out;

	for (const char *p = bundle; *p != '\0'; p++) {
		if (at - out > ESCAPED_MAX) {
			at += snprintf(at, 32, "%%-%016llx", (unsigned long long)siphash(key, bundle, strlen(bundle)));
			break;
		}
		if (is_plain(*p) && (p != bundle || *p != '.'))
			*at++ = *p;
		else
			at += snprintf(at, 4, "%%%02x", (unsigned)(unsigned char)*p);
	}
	memcpy(at, suffix, strlen(suffix) + 1);
}

void
state_name(const char *bundle, char out[STATE_NAME_MAX + 1])
{
	put_name(bundle, STATE_ROTATION, out);
}

void
state_site_name(const char *site, char out[STATE_NAME_MAX + 1])
{
	put_name(site, STATE_CLIENT_CAS, out);
}

bool
state_name_is_safe(const char *name)
{
	struct sv s = sv_cstr(name);
	size_t good = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%_.-");

	return s.n <= STATE_NAME_MAX && good == s.n && s.p[0] != '.' &&
	    (sv_ends(s, SV(STATE_ROTATION)) || sv_ends(s, SV(STATE_CLIENT_CAS)));
}
