/* proxy_protocol_internal.h: the numbers of version 2 of the PROXY protocol (2.2), for those who read it and who write it. */
#ifndef BASCULE_NET_PROXY_PROTOCOL_INTERNAL_H
#define BASCULE_NET_PROXY_PROTOCOL_INTERNAL_H

#include "net/proxy_protocol.h"

#define V2_SIGNATURE SV("\r\n\r\n\0\r\nQUIT\n")

enum {
	V2_FIXED = 16, /* bytes: signature, version and command, family, length of the rest */
	V2_VERSION = 0x20,
	V2_LOCAL = 0x20, /* version and command */
	V2_PROXY = 0x21,

	V2_UNSPEC = 0x00, /* family and transport */
	V2_TCP4 = 0x11,
	V2_TCP6 = 0x21,

	V2_ADDRESSES_4 = 12, /* bytes: two addresses, two ports */
	V2_ADDRESSES_6 = 36,
	V2_ADDRESSES_UNIX = 216,
};

enum proxy_tlv {
	TLV_ALPN = 0x01,
	TLV_AUTHORITY = 0x02,
	TLV_CRC32C = 0x03,
	TLV_UNIQUE_ID = 0x05,
	TLV_SSL = 0x20,
	TLV_SSL_VERSION = 0x21, /* within TLV_SSL */
	TLV_SSL_CN = 0x22,
	TLV_SSL_CIPHER = 0x23,
};

enum { TLV_HEAD = 3, TLV_SSL_FIXED = 5 }; /* bytes: type and length; client and verify */

enum proxy_client_bits { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESS = 4 };

#endif
