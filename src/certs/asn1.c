#include "certs/asn1.h"

enum { LENGTH_BYTES_MAX = 4 }; /* of the long form: 4 GiB, more than any file that is read */

static bool
take_length(struct asn1 *in, size_t *out)
{
	if (in->n == 0)
		return false;
	unsigned first = *in->p;
	in->p++, in->n--;
	if (first < 0x80) {
		*out = first;
		return first <= in->n;
	}
	size_t bytes = first & 0x7f, length = 0;
	if (bytes == 0 || bytes > LENGTH_BYTES_MAX || bytes > in->n || in->p[0] == 0)
		return false;
	for (size_t i = 0; i < bytes; i++)
		length = length << 8 | in->p[i];
	in->p += bytes, in->n -= bytes;
	*out = length;
	return length >= 0x80 && length <= in->n;
}

bool
asn1_take(struct asn1 *rest, unsigned *tag, struct asn1 *value, struct asn1 *whole)
{
	struct asn1 in = *rest;
	size_t length;

	if (in.n < 2 || (in.p[0] & 0x1f) == 0x1f)
		return false;
	unsigned t = *in.p;
	in.p++, in.n--;
	if (!take_length(&in, &length))
		return false;
	if (tag != NULL)
		*tag = t;
	if (value != NULL)
		*value = (struct asn1){in.p, length};
	in.p += length, in.n -= length;
	if (whole != NULL)
		*whole = (struct asn1){rest->p, (size_t)(in.p - rest->p)};
	*rest = in;
	return true;
}

bool
asn1_next(struct asn1 *rest, unsigned tag, struct asn1 *value)
{
	return rest->n > 0 && rest->p[0] == tag && asn1_take(rest, NULL, value, NULL);
}

bool
asn1_next_whole(struct asn1 *rest, unsigned tag, struct asn1 *whole)
{
	return rest->n > 0 && rest->p[0] == tag && asn1_take(rest, NULL, NULL, whole);
}

bool
asn1_next_bits(struct asn1 *rest, struct asn1 *bytes)
{
	struct asn1 v;

	if (!asn1_next(rest, DER_BITS, &v) || v.n == 0 || v.p[0] != 0)
		return false;
	*bytes = (struct asn1){v.p + 1, v.n - 1};
	return true;
}

bool
asn1_next_unsigned(struct asn1 *rest, struct asn1 *magnitude)
{
	struct asn1 v;

	if (!asn1_next(rest, DER_INTEGER, &v) || v.n == 0 || (v.p[0] & 0x80) != 0)
		return false;
	if (v.n > 1 && v.p[0] == 0)
		v.p++, v.n--;
	*magnitude = v;
	return true;
}
