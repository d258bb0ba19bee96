/*
 * address.h: socket addresses and their text.
 */
#ifndef BASCULE_NET_ADDRESS_H
#define BASCULE_NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/sv.h"

struct net_address {
	socklen_t length;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

enum { NET_ADDRESS_TEXT = 128 };

/* "192.0.2.1:443", "[2001:db8::1]:443", "unix:/path"; without the port when `port` is false ("2001:db8::1"). */
void net_address_text(const struct net_address *a, bool port, char out[NET_ADDRESS_TEXT]);

uint16_t net_address_port(const struct net_address *a); /* host order; 0 for a Unix socket */

/* A numeric address and a port: "127.0.0.1:80", "[::1]:80". No look-up. */
bool net_address_parse(struct sv text, struct net_address *out, struct err *err);

/*
 * What a listener's address means: "*:443" is [::]:443 taking IPv4 as well; "unix:/path" a Unix socket.
 * *any is true for "*".
 */
bool net_address_parse_listen(struct sv text, struct net_address *out, bool *any, struct err *err);

/*
 * Look up "host:port" with the system's resolver; blocks, so never in a connection's thread. At most `max` addresses
 * into out, in the resolver's order; 0 with err set when there are none.
 */
size_t net_address_resolve(struct sv host_port, struct net_address *out, size_t max, struct err *err);

/* Who, without a port. An IPv4 address that came over an IPv6 socket (::ffff:a.b.c.d) counts as IPv4. */
struct net_ip {
	uint8_t bytes[16]; /* IPv4 has the first four, the others are 0 */
	uint8_t size;      /* 4 or 16; 0: none, as of a Unix socket */
};
struct net_ip net_ip_of(const struct net_address *a);
struct net_ip net_ip_of_bytes(const void *p, uint8_t size); /* 4 or 16, in network order */
/* Numeric, without brackets: "192.0.2.1", "2001:db8::1". */
bool net_ip_parse(struct sv text, struct net_ip *out);
enum { NET_IP_TEXT = 48 };
void net_ip_text(const struct net_ip *ip, char out[NET_IP_TEXT]); /* "?" for none */

/* A network such as "10.0.0.0/8" or "2001:db8::/32", or one address. */
struct net_cidr {
	struct net_ip net;
	uint8_t bits;
};
bool net_cidr_parse(struct sv text, struct net_cidr *out, struct err *err);
bool net_cidr_holds(const struct net_cidr *c, const struct net_ip *a);

#endif
