/*
 * proxy_protocol.h: the header by which a proxy tells whom it speaks for
 * (haproxy.org, "The PROXY protocol", versions 1 and 2; sections are its).
 *
 * Bytes to facts and back, without I/O and without memory of its own: the
 * views of a header that was read look into the bytes it was read from.
 */
#ifndef BASCULE_NET_PROXY_PROTOCOL_H
#define BASCULE_NET_PROXY_PROTOCOL_H

#include "net/address.h"

enum {
	PROXY_V1_MAX = 107,       /* bytes of a line with its CRLF (2.1) */
	PROXY_HEADER_MAX = 4096,  /* bytes of the largest header that is taken; those seen are below 1 KiB */
	PROXY_UNIQUE_ID_MAX = 128, /* bytes (2.2.5) */
};

/* One end of the connection that is told of. */
struct proxy_end {
	struct net_ip ip; /* size 0: not told */
	uint16_t port;
};

/* 2.2.6: PP2_TYPE_SSL. */
struct proxy_tls {
	bool used;                   /* PP2_CLIENT_SSL: the client came by TLS; what follows means something only then */
	bool certificate;            /* PP2_CLIENT_CERT_SESS: it has shown a certificate in this session */
	bool certificate_now;        /* PP2_CLIENT_CERT_CONN: and in this connection */
	bool verified;               /* and that was good */
	struct sv version, cipher;   /* "TLSv1.3"; printable ASCII, or empty */
	struct sv common_name;       /* of that certificate, as it stands there: any bytes; empty: not told */
};

struct proxy_header {
	/*
	 * Both told, or neither: LOCAL (2.2: a health check of the sender's own, say), UNKNOWN, and families that are no
	 * addresses of the internet. Then the ends of the connection itself are the client's.
	 */
	struct proxy_end from, to;
	struct proxy_tls tls;
	struct sv authority; /* 2.2.2: the server name that the client asked for; visible characters only, or empty */
	struct sv alpn;      /* 2.2.1: any bytes */
	struct sv unique_id; /* 2.2.5: any bytes */
};

enum proxy_outcome {
	PROXY_DONE,
	PROXY_MORE, /* so far it is one, and all of `in` belongs to it */
	PROXY_BAD,  /* `why` says so, in a word that lives for ever */
};

/*
 * Read the header that `in` begins with, of either version; never PROXY_MORE from PROXY_HEADER_MAX bytes on. Whatever
 * could be read in two ways is bad.
 */
enum proxy_outcome proxy_header_read(struct sv in, struct proxy_header *out, size_t *used, const char **why);

/* Write one; returns its length. Version 1 has no room for more than the ends. */
size_t proxy_header_write_v1(const struct proxy_header *h, char out[PROXY_V1_MAX + 1]);

/* What does not fit is left out, from the least important on; the ends always fit. */
size_t proxy_header_write_v2(const struct proxy_header *h, char out[PROXY_HEADER_MAX]);

#endif
