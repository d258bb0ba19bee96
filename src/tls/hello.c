#include "tls/hello.h"

enum { LABEL_MAX = 63, NAME_TYPE_HOST = 0 };

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters, digits and hyphens (RFC 1123, 2.1), and the underscore that people use all the same. */
static bool
is_label(struct sv label)
{
	if (label.n == 0 || label.n > LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.n; i++) {
		char c = ascii_lower(label.p[i]);
		if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-' && c != '_')
			return false;
	}
	return true;
}

static bool
is_number(struct sv label)
{
	for (size_t i = 0; i < label.n; i++)
		if (!is_digit(label.p[i]))
			return false;
	return true;
}

enum hello_name
hello_host_name(struct sv name, char out[HELLO_NAME_MAX + 1])
{
	out[0] = '\0';
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > HELLO_NAME_MAX)
		return HELLO_NO_NAME;
	struct sv rest = name, label = SV_NONE;
	while (rest.p != NULL) {
		label = sv_cut(&rest, '.');
		if (!is_label(label))
			return HELLO_NO_NAME;
	}
	if (is_number(label))
		return HELLO_NO_NAME; /* an IPv4 address: no top-level domain is all digits */
	for (size_t i = 0; i < name.n; i++)
		out[i] = ascii_lower(name.p[i]);
	out[name.n] = '\0';
	return HELLO_NAME;
}

/*
 * struct { NameType; opaque HostName<1..2^16-1>; } ServerNameList<1..2^16-1>: one name, since a list must not hold two
 * of one type and no type but host_name was ever defined.
 */
enum hello_name
hello_server_name(const unsigned char *ext, size_t n, char out[HELLO_NAME_MAX + 1])
{
	enum { HEAD = 5 }; /* list length, type, name length */

	out[0] = '\0';
	if (n < HEAD + 1)
		return HELLO_MALFORMED;
	size_t list = (size_t)ext[0] << 8 | ext[1], name = (size_t)ext[3] << 8 | ext[4];
	if (list != n - 2 || ext[2] != NAME_TYPE_HOST || name != n - HEAD)
		return HELLO_MALFORMED;
	return hello_host_name(sv_of((const char *)ext + HEAD, name), out);
}
