/*
 * client_told.h: whom a proxy in front speaks for, as its header of the PROXY
 * protocol tells.
 *
 * Read before anything else of a connection, TLS included, and only where the
 * listener's `proxy_protocol` names the peer. Connections to which nobody told
 * anything have none of this.
 */
#ifndef BASCULE_PROXY_CLIENT_TOLD_H
#define BASCULE_PROXY_CLIENT_TOLD_H

#include "net/proxy_protocol.h"

struct client;

/* Owned by the client, until it is freed. Only while the header is being read it may be a part of one. */
struct client_told {
	struct proxy_header header; /* its views look into `bytes` */
	size_t n;
	char bytes[]; /* what has come of the header */
};

/* In CLIENT_TOLD, when there is something to read: goes on with client_begin(), or closes. */
void client_told_read(struct client *c);

/*
 * The version of TLS that it speaks, to us or to the proxy in front, and the name it asked for. False, and both empty: it
 * has come without TLS, or is gone.
 */
bool client_tls_words(const struct client *c, struct sv *version, struct sv *server_name);

/*
 * Who the client is, where it has come to and by what TLS, for the proxies behind: as it was told, or as it is seen here.
 * The views live as long as the connection is open, and the client's certificate as long as the client.
 */
struct proxy_header client_tell(struct client *c);

#endif
