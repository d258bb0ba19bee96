/*
 * hello.h: the server name in a ClientHello (RFC 6066, 3).
 *
 * A parser without I/O and without OpenSSL.
 */
#ifndef BASCULE_TLS_HELLO_H
#define BASCULE_TLS_HELLO_H

#include "base/sv.h"

enum { HELLO_NAME_MAX = 253 }; /* bytes of a host name without its trailing dot (RFC 1035, 2.3.4) */

enum hello_name {
	HELLO_NAME,      /* a host name, in lower case, without trailing dot, in `out` */
	HELLO_NO_NAME,   /* what was sent is no host name: an address, say */
	HELLO_MALFORMED, /* the extension's own structure is broken */
};

/* `ext` is the body of the server_name extension. `out` is NUL-terminated; empty unless HELLO_NAME. */
enum hello_name hello_server_name(const unsigned char *ext, size_t n, char out[HELLO_NAME_MAX + 1]);

/* The same for a bare name. */
enum hello_name hello_host_name(struct sv name, char out[HELLO_NAME_MAX + 1]);

#endif
