/*
 * check_value.c: the form of strings that mean something.
 *
 * Only the form: whether an address can be listened on or a name looked up is
 * known to those who do it. The text in `err` follows the value, so it begins
 * with a verb.
 */
#include "conf/keys.h"

enum { CHECK_URL_MAX = 2048 };

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool
is_ipv4(struct sv s)
{
	for (unsigned parts = 0;; parts++) {
		struct sv part = sv_cut(&s, '.');
		uint64_t v;
		if (part.n > 3 || (part.n > 1 && part.p[0] == '0') || !sv_u64(part, &v) || v > 255 || parts == 4)
			return false;
		if (s.p == NULL)
			return parts == 3;
	}
}

/* Near enough: what it means is seen when it is used. */
static bool
is_ipv6(struct sv s)
{
	unsigned colons = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (!is_hex(s.p[i]) && s.p[i] != ':' && s.p[i] != '.')
			return false;
		colons += s.p[i] == ':';
	}
	return s.n <= 45 && colons >= 2 && colons <= 8;
}

/* Labels of letters, digits, hyphens and underscores (which DNS allows and some internal names have). */
static bool
is_host_name(struct sv s, struct err *err)
{
	if (s.n == 0 || s.n > 253)
		return err_set(err, "is no host name: it has 1 to 253 characters");
	if (s.p[s.n - 1] == '.')
		return err_set(err, "ends with a dot; leave it out");
	while (s.p != NULL) {
		struct sv label = sv_cut(&s, '.');
		if (label.n == 0 || label.n > 63)
			return err_set(err, "is no host name: what stands between its dots has 1 to 63 characters");
		if (label.p[0] == '-' || label.p[label.n - 1] == '-')
			return err_set(err, "is no host name: a part of it begins or ends with a hyphen");
		for (size_t i = 0; i < label.n; i++) {
			if ((unsigned char)label.p[i] >= 0x80)
				return err_set(err, "has letters outside ASCII; write the name in its xn-- form");
			if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
				return err_set(err, "is no host name: '%c' can not stand in one", label.p[i]);
		}
	}
	return true;
}

bool
check_host_name(const char *value, struct err *err)
{
	return is_host_name(sv_cstr(value), err);
}

bool
check_site_name(const char *value, struct err *err)
{
	struct sv s = sv_cstr(value);

	if (sv_eq(s, SV("*")))
		return err_set(err, "covers no name; a site with \"default\": true serves what no other does");
	if (s.p[0] == '[' && s.p[s.n - 1] == ']' && is_ipv6(sv_of(s.p + 1, s.n - 2)))
		return true;
	if (sv_starts(s, SV("*.")))
		s = sv_of(s.p + 2, s.n - 2);
	if (memchr(s.p, '*', s.n) != NULL)
		return err_set(err,
		    "has a * elsewhere than in front; a wildcard is the whole first part, as in \"*.shop.example\"");
	if (memchr(s.p, ':', s.n) != NULL || memchr(s.p, '/', s.n) != NULL)
		return err_set(err, "is no host name; leave scheme, port and path out");
	return is_host_name(s, err);
}

/* Cut "HOST:PORT" or "[IPV6]:PORT". */
static bool
split_address(struct sv s, struct sv *host, bool *bracketed, struct err *err)
{
	const char *colon = memrchr(s.p, ':', s.n);
	uint64_t port;

	if (memmem(s.p, s.n, "://", 3) != NULL)
		return err_set(err, "has a scheme; leave it out: \"tls\" says whether TLS is spoken");
	*bracketed = s.p[0] == '[';
	if (colon == NULL || (*bracketed && colon[-1] != ']'))
		return err_set(err, "has no port; write HOST:PORT");
	*host = sv_of(s.p, (size_t)(colon - s.p));
	if (!*bracketed && memchr(host->p, ':', host->n) != NULL)
		return err_set(err, "is ambiguous; write an IPv6 address in brackets, as in \"[2001:db8::1]:443\"");
	if (!sv_u64(sv_of(colon + 1, s.n - host->n - 1), &port) || port < 1 || port > 65535)
		return err_set(err, "has no port from 1 to 65535 after its last colon");
	if (*bracketed)
		*host = sv_of(host->p + 1, host->n - 2);
	if (host->n == 0)
		return err_set(err, "has no host before its port");
	if (*bracketed && !is_ipv6(*host))
		return err_set(err, "has no IPv6 address in its brackets");
	return true;
}

bool
check_listen_address(const char *value, struct err *err)
{
	struct sv s = sv_cstr(value), host = SV_NONE;
	bool bracketed = false;

	if (sv_starts(s, SV("unix:"))) {
		if (s.n < 7 || s.n > 5 + 107 || s.p[5] != '/')
			return err_set(err, "needs an absolute path of at most 107 bytes after unix:");
		return true;
	}
	if (!split_address(s, &host, &bracketed, err))
		return false;
	if (bracketed || sv_eq(host, SV("*")) || is_ipv4(host))
		return true;
	return err_set(err,
	    "names no address to listen on; write \"*:443\", \"192.0.2.1:443\" or \"[2001:db8::1]:443\"");
}

bool
check_server_address(const char *value, struct err *err)
{
	struct sv host = SV_NONE;
	bool bracketed = false;

	if (!split_address(sv_cstr(value), &host, &bracketed, err))
		return false;
	if (bracketed || is_ipv4(host))
		return true;
	/* No top-level domain ends with a digit: this was meant to be an address. */
	/* NOLINTNEXTLINE(clang-analyzer-core.*): err_set() returns false, so here split_address() has filled it in */
	if (is_digit(host.p[host.n - 1]) && memchr(host.p, '.', host.n) != NULL &&
	    strspn(host.p, "0123456789.") >= host.n)
		return err_set(err, "has no IPv4 address before its port");
	return is_host_name(host, err);
}

bool
check_network(const char *value, struct err *err)
{
	struct sv bits = sv_cstr(value), address = sv_cut(&bits, '/');
	bool v4 = is_ipv4(address);
	uint64_t n = 0;

	if (!v4 && !is_ipv6(address))
		return err_set(err, "is no network; write \"10.0.0.0/8\", \"2001:db8::/32\" or one address");
	if (bits.p != NULL && (!sv_u64(bits, &n) || n > (v4 ? 32 : 128)))
		return err_set(err, "needs a number from 0 to %d after its slash", v4 ? 32 : 128);
	return true;
}

bool
check_network_or_unix(const char *value, struct err *err)
{
	return strcmp(value, "unix:") == 0 || check_network(value, err);
}

bool
check_token(const char *value, struct err *err)
{
	for (const char *c = value; *c != '\0'; c++)
		if (!is_alnum(*c) && strchr("!#$%&'*+-.^_`|~", *c) == NULL)
			return err_set(err,
			    "is no token: only letters, digits and !#$%%&'*+-.^_`|~ can stand in it (RFC 9110, 5.6.2)");
	return value[0] != '\0' || err_set(err, "is empty");
}

bool
check_field_name(const char *value, struct err *err)
{
	return check_token(value, err);
}

/* What the codec writes itself, and what only one connection may see, is no business of a site's. */
bool
check_editable_field(const char *value, struct err *err)
{
	static const char *const own[] = {"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Connection",
	    "TE", "Trailer", "Transfer-Encoding", "Upgrade"};

	for (size_t i = 0; i < COUNTOF(own); i++)
		if (sv_ieq(sv_cstr(own[i]), sv_cstr(value)))
			return err_set(err, "is written by the proxy itself%s",
			    strcmp(own[i], "Host") == 0 ? "; see \"host\" of upstreams" : "");
	return check_token(value, err);
}

bool
check_cookie_path(const char *value, struct err *err)
{
	if (value[0] != '/' || strchr(value, ';') != NULL)
		return err_set(err, "is no path of a cookie: it begins with / and has no semicolon");
	return true;
}

/* The base64 of 32 bytes: 43 digits, of which the last has two bits to spare, and one '='. */
/* Where a request may be sent; what must not be known to everybody has no place in it. */
bool
check_web_url(const char *value, struct err *err)
{
	struct sv s = sv_cstr(value), https = SV("https://"), http = SV("http://");
	size_t scheme = sv_starts(s, https) ? https.n : sv_starts(s, http) ? http.n : 0;
	size_t host = scheme > 0 ? strcspn(value + scheme, "/?#") : 0;

	if (host == 0)
		return err_set(err, "is no address of the web; write https://HOST/PATH");
	if (memchr(value + scheme, '@', host) != NULL)
		return err_set(err, "has a user or a password in it; put what tells who you are into the file of \"authorization\"");
	if (s.n > CHECK_URL_MAX)
		return err_set(err, "is too long: %d bytes at most", CHECK_URL_MAX);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("#\"<>\\^`{|}", s.p[i]) != NULL || (unsigned char)s.p[i] >= 0x80)
			return err_set(err, "has a character that has no place in an address; write it as %%XX");
	return true;
}

bool
check_key_pin(const char *value, struct err *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct sv s = sv_cstr(value), prefix = SV("sha256/");
	bool ok = sv_starts(s, prefix) && s.n == prefix.n + 44 && s.p[s.n - 1] == '=';

	for (size_t i = prefix.n; ok && i + 1 < s.n; i++) {
		const char *digit = memchr(digits, s.p[i], sizeof(digits) - 1);
		ok = digit != NULL && (i + 2 < s.n || (digit - digits) % 4 == 0);
	}
	return ok || err_set(err, "is no pin; write sha256/ and the base64 of the 32 bytes of the key's hash");
}
