/* proxy_protocol_write.c: writing a header of the PROXY protocol. */
#include <stdio.h>

#include "net/proxy_protocol.h"
#include "net/proxy_protocol_internal.h"

/* Ends of two families, which the protocol has no word for, are told as addresses of IPv6. */
static uint8_t
family_of(const struct proxy_header *h)
{
	if (h->from.ip.size == 0 || h->to.ip.size == 0)
		return 0;
	return h->from.ip.size == 4 && h->to.ip.size == 4 ? 4 : 16;
}

static void
widen(const struct net_ip *ip, uint8_t family, unsigned char out[16])
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

	memcpy(out, mapped, sizeof(mapped));
	memcpy(out + (family == ip->size ? 0 : sizeof(mapped)), ip->bytes, ip->size);
}

size_t
proxy_header_write_v1(const struct proxy_header *h, char out[PROXY_V1_MAX + 1])
{
	char from[NET_IP_TEXT], to[NET_IP_TEXT];
	uint8_t family = family_of(h);

	if (family == 0)
		return (size_t)snprintf(out, PROXY_V1_MAX + 1, "PROXY UNKNOWN\r\n");
	net_ip_text(&h->from.ip, from);
	net_ip_text(&h->to.ip, to);
	return (size_t)snprintf(out, PROXY_V1_MAX + 1, "PROXY TCP%c %s%s %s%s %u %u\r\n", family == 4 ? '4' : '6',
	    family == h->from.ip.size ? "" : "::ffff:", from, family == h->to.ip.size ? "" : "::ffff:", to, h->from.port,
	    h->to.port);
}

/* --- version 2 ---------------------------------------------------------------------------------------------- */

/* Where it is written; never full: who adds asks first. */
struct writer {
	char *p;
	size_t n;
};

static void
put(struct writer *w, const void *p, size_t n)
{
	if (n > 0)
		memcpy(w->p + w->n, p, n);
	w->n += n;
}

static void
put_16(struct writer *w, size_t v)
{
	put(w, (const unsigned char[]){(unsigned char)(v >> 8), (unsigned char)v}, 2);
}

/* One that is empty says nothing. */
static void
put_tlv(struct writer *w, enum proxy_tlv type, struct sv value)
{
	if (value.n == 0 || value.n > PROXY_HEADER_MAX - TLV_HEAD || w->n > PROXY_HEADER_MAX - TLV_HEAD - value.n)
		return;
	put(w, &(unsigned char){(unsigned char)type}, 1);
	put_16(w, value.n);
	put(w, value.p, value.n);
}

static void
put_tls(struct writer *w, const struct proxy_tls *tls)
{
	unsigned client = CLIENT_SSL | (tls->certificate_now ? CLIENT_CERT_CONN : 0) | (tls->certificate ? CLIENT_CERT_SESS : 0);
	size_t from = w->n;

	if (!tls->used || PROXY_HEADER_MAX - w->n < TLV_HEAD + TLV_SSL_FIXED)
		return;
	put(w, (const unsigned char[]){TLV_SSL, 0, 0, (unsigned char)client, 0, 0, 0, tls->certificate && tls->verified ? 0 : 1},
	    TLV_HEAD + TLV_SSL_FIXED);
	put_tlv(w, TLV_SSL_VERSION, tls->version);
	put_tlv(w, TLV_SSL_CIPHER, tls->cipher);
	put_tlv(w, TLV_SSL_CN, tls->common_name);
	struct writer length = {w->p, from + 1};
	put_16(&length, w->n - from - TLV_HEAD);
}

static void
put_ends(struct writer *w, const struct proxy_header *h, uint8_t family)
{
	unsigned char from[16], to[16];

	if (family == 0)
		return;
	widen(&h->from.ip, family, from);
	widen(&h->to.ip, family, to);
	put(w, from, family);
	put(w, to, family);
	put_16(w, h->from.port);
	put_16(w, h->to.port);
}

size_t
proxy_header_write_v2(const struct proxy_header *h, char out[PROXY_HEADER_MAX])
{
	uint8_t family = family_of(h);
	unsigned char kind = family == 0 ? V2_UNSPEC : family == 4 ? V2_TCP4 : V2_TCP6;
	struct writer w = {out, 0}, length = {out, V2_FIXED - 2};

	put(&w, V2_SIGNATURE.p, V2_SIGNATURE.n);
	put(&w, (const unsigned char[]){V2_PROXY, kind, 0, 0}, 4);
	put_ends(&w, h, family);
	put_tls(&w, &h->tls);
	put_tlv(&w, TLV_AUTHORITY, h->authority);
	put_tlv(&w, TLV_UNIQUE_ID, h->unique_id);
	put_16(&length, w.n - V2_FIXED);
	return w.n;
}
