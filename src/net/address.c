#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static bool
is_v4_mapped(const struct net_address *a)
{
	return a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr);
}

void
net_address_text(const struct net_address *a, bool port, char out[NET_ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = a->u.sa.sa_family == AF_INET6 && !is_v4_mapped(a);

	if (a->u.sa.sa_family == AF_UNIX) {
		(void)snprintf(out, NET_ADDRESS_TEXT, "unix:%s", a->length > sizeof(sa_family_t) ? a->u.un.sun_path : "");
		return;
	}
	if (v6)
		inet_ntop(AF_INET6, &a->u.in6.sin6_addr, host, sizeof(host));
	else if (is_v4_mapped(a))
		inet_ntop(AF_INET, &a->u.in6.sin6_addr.s6_addr[12], host, sizeof(host));
	else if (a->u.sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->u.in.sin_addr, host, sizeof(host));
	if (port)
		(void)snprintf(out, NET_ADDRESS_TEXT, v6 ? "[%s]:%u" : "%s:%u", host, net_address_port(a));
	else
		(void)snprintf(out, NET_ADDRESS_TEXT, "%s", host);
}

uint16_t
net_address_port(const struct net_address *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohs(a->u.in.sin_port);
	return a->u.sa.sa_family == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

static bool
parse_unix(struct sv text, struct net_address *out, struct err *err)
{
	struct sv path = sv_of(text.p + 5, text.n - 5);

	*out = (struct net_address){.length = sizeof(out->u.un)};
	out->u.un.sun_family = AF_UNIX;
	if (path.n == 0 || path.p[0] != '/' || !sv_copy(path, out->u.un.sun_path, sizeof(out->u.un.sun_path)))
		return err_set(err, "\"%.*s\": a Unix socket needs an absolute path of at most %zu bytes", SV_FMT(text),
		    sizeof(out->u.un.sun_path) - 1);
	return true;
}

/* "host:port" or "[v6]:port" into its two parts. */
static bool
split(struct sv text, struct sv *host, uint16_t *port, struct err *err)
{
	uint64_t number = 0;
	const char *colon = text.n > 0 ? memrchr(text.p, ':', text.n) : NULL;

	if (colon != NULL && sv_u64(sv_of(colon + 1, (size_t)(text.p + text.n - colon - 1)), &number) && number >= 1 &&
	    number <= UINT16_MAX) {
		*host = sv_of(text.p, (size_t)(colon - text.p));
		*port = (uint16_t)number;
		/* Brackets and colons belong together: "[localhost]" and "::1:80" could each be read in two ways. */
		bool colons = host->n > 0 && memchr(host->p, ':', host->n) != NULL;
		if (colons && host->p[0] == '[' && host->p[host->n - 1] == ']') {
			*host = sv_of(host->p + 1, host->n - 2);
			return true;
		}
		if (host->n > 0 && !colons && host->p[0] != '[')
			return true;
	}
	return err_set(err, "\"%.*s\": expected host:port, such as \"192.0.2.1:443\" or \"[2001:db8::1]:443\"", SV_FMT(text));
}

static bool
numeric(struct sv host, uint16_t port, struct net_address *out)
{
	char text[INET6_ADDRSTRLEN];

	*out = (struct net_address){.length = 0};
	if (!sv_copy(host, text, sizeof(text)) || strlen(text) != host.n)
		return false;
	if (inet_pton(AF_INET, text, &out->u.in.sin_addr) == 1) {
		out->u.in.sin_family = AF_INET;
		out->u.in.sin_port = htons(port);
		out->length = sizeof(out->u.in);
		return true;
	}
	if (inet_pton(AF_INET6, text, &out->u.in6.sin6_addr) == 1) {
		out->u.in6.sin6_family = AF_INET6;
		out->u.in6.sin6_port = htons(port);
		out->length = sizeof(out->u.in6);
		return true;
	}
	return false;
}

bool
net_address_parse(struct sv text, struct net_address *out, struct err *err)
{
	struct sv host = SV_NONE;
	uint16_t port = 0;

	if (sv_starts(text, SV("unix:")))
		return parse_unix(text, out, err);
	if (!split(text, &host, &port, err))
		return false;
	if (!numeric(host, port, out))
		return err_set(err, "\"%.*s\": not a numeric address", SV_FMT(text));
	return true;
}

bool
net_address_parse_listen(struct sv text, struct net_address *out, bool *any, struct err *err)
{
	struct sv host = SV_NONE;
	uint16_t port = 0;

	*any = false;
	if (sv_starts(text, SV("unix:")))
		return parse_unix(text, out, err);
	if (!split(text, &host, &port, err))
		return false;
	if (sv_eq(host, SV("*"))) {
		*any = true;
		host = SV("::");
	}
	if (!numeric(host, port, out))
		return err_set(err, "\"%.*s\": a listener needs a numeric address or \"*\", such as \"*:443\" or \"127.0.0.1:8443\"",
		    SV_FMT(text));
	return true;
}

size_t
net_address_resolve(struct sv host_port, struct net_address *out, size_t max, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
	char host[256], service[8];
	struct sv name = SV_NONE;
	uint16_t port = 0;
	size_t n = 0;

	if (sv_starts(host_port, SV("unix:")))
		return max > 0 && parse_unix(host_port, &out[0], err) ? 1 : 0;
	if (!split(host_port, &name, &port, err))
		return 0;
	if (max > 0 && numeric(name, port, &out[0]))
		return 1;
	if (!sv_copy(name, host, sizeof(host))) {
		err_set(err, "\"%.*s\": the host name is too long", SV_FMT(host_port));
		return 0;
	}
	(void)snprintf(service, sizeof(service), "%u", port);
	int r = getaddrinfo(host, service, &hints, &found);
	if (r != 0) {
		err_set(err, "\"%s\" can not be resolved: %s", host, gai_strerror(r));
		return 0;
	}
	for (const struct addrinfo *i = found; i != NULL && n < max; i = i->ai_next) {
		if (i->ai_addrlen > sizeof(out[n].u))
			continue;
		out[n] = (struct net_address){.length = i->ai_addrlen};
		memcpy(&out[n].u, i->ai_addr, i->ai_addrlen);
		n++;
	}
	freeaddrinfo(found);
	if (n == 0)
		err_set(err, "\"%s\" has no address", host);
	return n;
}

struct net_ip
net_ip_of_bytes(const void *p, uint8_t size)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	size_t skip = size == 16 && memcmp(p, mapped, sizeof(mapped)) == 0 ? sizeof(mapped) : 0;
	struct net_ip ip = {.size = (uint8_t)(size - skip)};

	memcpy(ip.bytes, (const char *)p + skip, ip.size);
	return ip;
}

struct net_ip
net_ip_of(const struct net_address *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return net_ip_of_bytes(&a->u.in.sin_addr, 4);
	if (a->u.sa.sa_family == AF_INET6)
		return net_ip_of_bytes(&a->u.in6.sin6_addr, 16);
	return (struct net_ip){.size = 0};
}

bool
net_ip_parse(struct sv text, struct net_ip *out)
{
	struct net_address a;

	if (!numeric(text, 0, &a))
		return false;
	*out = net_ip_of(&a);
	return true;
}

void
net_ip_text(const struct net_ip *ip, char out[NET_IP_TEXT])
{
	(void)snprintf(out, NET_IP_TEXT, "?");
	if (ip->size != 0)
		(void)inet_ntop(ip->size == 4 ? AF_INET : AF_INET6, ip->bytes, out, NET_IP_TEXT);
}

bool
net_cidr_parse(struct sv text, struct net_cidr *out, struct err *err)
{
	struct sv rest = text, host = sv_cut(&rest, '/');
	struct net_address a;
	uint64_t bits;

	if (!numeric(host, 0, &a))
		goto bad;
	out->net = net_ip_of(&a);
	unsigned size = a.u.sa.sa_family == AF_INET ? 32 : 128;
	bits = size;
	if (rest.p != NULL && (!sv_u64(rest, &bits) || bits > size))
		goto bad;
	if (is_v4_mapped(&a)) {
		if (bits < 96)
			goto bad;
		bits -= 96;
	}
	out->bits = (uint8_t)bits;
	return true;
bad:
	return err_set(err, "\"%.*s\": expected a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"", SV_FMT(text));
}

bool
net_cidr_holds(const struct net_cidr *c, const struct net_ip *a)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	if (a->size != c->net.size || memcmp(a->bytes, c->net.bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ c->net.bytes[whole]) >> (8 - rest)) == 0;
}
