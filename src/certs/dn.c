/* Names and serial numbers as text for people. */
#include <stdio.h>
#include <string.h>

#include "certs/facts.h"

enum { RDN_MAX = 16 }; /* further ones are left out of the text */

/* Attributes under 2.5.4 by their last arc. */
static const char *
attribute_name(struct asn1 oid)
{
	static const char *const x520[] = {
		[3] = "CN", [4] = "SN", [5] = "serialNumber", [6] = "C", [7] = "L", [8] = "ST", [9] = "street",
		[10] = "O", [11] = "OU", [12] = "title", [42] = "GN", [97] = "organizationIdentifier",
	};
	static const unsigned char email[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01};
	static const unsigned char domain[] = {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19};
	static const unsigned char user[] = {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01};

	if (oid.n == 3 && oid.p[0] == 0x55 && oid.p[1] == 0x04 && oid.p[2] < COUNTOF(x520) && x520[oid.p[2]] != NULL)
		return x520[oid.p[2]];
	if (asn1_eq(oid, (struct asn1){email, sizeof(email)}))
		return "emailAddress";
	if (asn1_eq(oid, (struct asn1){domain, sizeof(domain)}))
		return "DC";
	if (asn1_eq(oid, (struct asn1){user, sizeof(user)}))
		return "UID";
	return "other";
}

struct text {
	char *p;
	size_t n, size;
};

static void
put(struct text *t, unsigned char c)
{
	if (t->n + 1 < t->size)
		t->p[t->n++] = (char)c;
}

static void
put_text(struct text *t, const char *s)
{
	while (*s != '\0')
		put(t, (unsigned char)*s++);
}

/* Control bytes and what separates attributes are escaped as in RFC 4514, and so is what is not ASCII. */
static void
put_byte(struct text *t, unsigned char c)
{
	static const char hex[] = "0123456789ABCDEF";

	if (c < 0x20 || c >= 0x7f) {
		put(t, '\\');
		put(t, (unsigned char)hex[c >> 4]);
		put(t, (unsigned char)hex[c & 15]);
		return;
	}
	if (strchr(",\\\"+;<>", c) != NULL)
		put(t, '\\');
	put(t, c);
}

/* The length of the well-formed UTF-8 sequence of several bytes at p (RFC 3629, 4); 0: there is none. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
	size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (p[0] < 0xc2 || p[0] > 0xf4 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

/* The text is UTF-8 whatever stands in the certificate, for it ends up in JSON. */
static void
put_utf8(struct text *t, struct asn1 v)
{
	while (v.n > 0) {
		size_t length = utf8_length(v.p, v.n);
		if (length == 0)
			put_byte(t, v.p[0]);
		else if (t->n + length < t->size)
			for (size_t i = 0; i < length; i++)
				put(t, v.p[i]);
		length = MAX_OF(length, (size_t)1);
		v.p += length, v.n -= length;
	}
}

static void
put_value(struct text *t, unsigned tag, struct asn1 v)
{
	if (tag == DER_UTF8) {
		put_utf8(t, v);
		return;
	}
	for (size_t i = 0; i < v.n; i++)
		if (tag != DER_BMP || v.p[i] != 0) /* UCS-2, mostly ASCII with zero bytes between */
			put_byte(t, v.p[i]);
}

static void
put_rdn(struct text *t, struct asn1 set)
{
	struct asn1 pair, oid, value;
	unsigned tag;

	for (bool first = true; asn1_next(&set, DER_SEQUENCE, &pair); first = false) {
		if (!asn1_next(&pair, DER_OID, &oid) || !asn1_take(&pair, &tag, &value, NULL))
			return;
		put_text(t, first ? "" : "+");
		put_text(t, attribute_name(oid));
		put(t, '=');
		put_value(t, tag, value);
	}
}

void
cert_name_text(struct asn1 name, char *out, size_t size)
{
	struct text t = {.p = out, .size = size};
	struct asn1 names, sets[RDN_MAX];
	size_t n = 0;

	if (asn1_next(&name, DER_SEQUENCE, &names))
		while (n < RDN_MAX && asn1_next(&names, DER_SET, &sets[n]))
			n++;
	for (size_t i = n; i-- > 0;) {
		put_rdn(&t, sets[i]);
		put_text(&t, i > 0 ? ", " : "");
	}
	if (n == 0)
		put_text(&t, "(no name)");
	out[t.n] = '\0';
}

void
cert_serial_text(struct asn1 serial, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	if (serial.n > 1 && serial.p[0] == 0)
		serial.p++, serial.n--;
	for (size_t i = 0; i < serial.n && n + 2 < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%02X", serial.p[i]);
}
