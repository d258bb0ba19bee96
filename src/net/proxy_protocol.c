/* proxy_protocol.c: reading a header of the PROXY protocol. */
#include "net/proxy_protocol.h"

#include "base/crc32c.h"
#include "net/proxy_protocol_internal.h"

static enum proxy_outcome
bad(const char **why, const char *what)
{
	*why = what;
	return PROXY_BAD;
}

/* --- version 1 (2.1) ---------------------------------------------------------------------------------------- */

/* "Heading zeroes are not permitted in front of numbers." */
static bool
read_port(struct sv text, uint16_t *out)
{
	uint64_t n;

	if (!sv_u64(text, &n) || n > UINT16_MAX || (text.n > 1 && text.p[0] == '0'))
		return false;
	*out = (uint16_t)n;
	return true;
}

/* An IPv4 address that was mapped into IPv6 stands in a TCP6 line, and counts as IPv4 from then on. */
static bool
read_address(struct sv text, bool v6, struct net_ip *out)
{
	bool colon = text.n > 0 && memchr(text.p, ':', text.n) != NULL;

	return colon == v6 && net_ip_parse(text, out);
}

/* What stands behind "PROXY TCPn ". */
static bool
read_ends(struct sv rest, bool v6, struct proxy_header *out)
{
	struct sv from = sv_cut(&rest, ' '), to = sv_cut(&rest, ' '), from_port = sv_cut(&rest, ' ');

	return read_address(from, v6, &out->from.ip) && read_address(to, v6, &out->to.ip) &&
	       read_port(from_port, &out->from.port) && read_port(rest, &out->to.port);
}

static enum proxy_outcome
read_v1(struct sv in, struct proxy_header *out, size_t *used, const char **why)
{
	size_t most = MIN_OF(in.n, (size_t)PROXY_V1_MAX);
	const char *cr = memchr(in.p, '\r', most), *lf = memchr(in.p, '\n', most);

	if (lf == NULL && (cr == NULL || cr == in.p + in.n - 1))
		return in.n < PROXY_V1_MAX ? PROXY_MORE : bad(why, "its line has no end within 107 bytes");
	if (cr == NULL || lf != cr + 1)
		return bad(why, "its line does not end with CR LF");
	*used = (size_t)(lf + 1 - in.p);
	struct sv line = sv_of(in.p, *used - 2);
	/* "The receiver must ignore anything presented before the CRLF is found." */
	if (sv_eq(line, SV("PROXY UNKNOWN")) || sv_starts(line, SV("PROXY UNKNOWN ")))
		return PROXY_DONE;
	bool v6 = sv_starts(line, SV("PROXY TCP6 "));
	size_t head = SV("PROXY TCP4 ").n;
	if (!v6 && !sv_starts(line, SV("PROXY TCP4 ")))
		return bad(why, "its line names neither TCP4, TCP6 nor UNKNOWN");
	if (!read_ends(sv_of(line.p + head, line.n - head), v6, out))
		return bad(why, "its line does not hold two addresses and two ports in their canonical form");
	return PROXY_DONE;
}

/* --- the values of version 2 (2.2.1 to 2.2.7) --------------------------------------------------------------- */

static unsigned
byte_at(struct sv s, size_t i)
{
	return (unsigned char)s.p[i];
}

struct tlv {
	unsigned type;
	struct sv value;
};

/* Take the next one off `rest`, which is not empty. False: it is cut off. */
static bool
next_tlv(struct sv *rest, struct tlv *out)
{
	if (rest->n < TLV_HEAD)
		return false;
	size_t n = byte_at(*rest, 1) << 8 | byte_at(*rest, 2);
	if (n > rest->n - TLV_HEAD)
		return false;
	*out = (struct tlv){byte_at(*rest, 0), sv_of(rest->p + TLV_HEAD, n)};
	*rest = sv_of(rest->p + TLV_HEAD + n, rest->n - TLV_HEAD - n);
	return true;
}

/*
 * Words of the client's own, its server name say, which go into logs and fields: what is no text counts as not told. To refuse
 * the connection for it would let clients make the sender look broken.
 */
static struct sv
text_of(struct sv value, unsigned from, unsigned to)
{
	for (size_t i = 0; i < value.n; i++)
		if (byte_at(value, i) < from || byte_at(value, i) > to)
			return SV_NONE;
	return value;
}

/* The whole header with zeroes in place of the checksum (2.2.3). */
static bool
checksum_fits(struct sv header, struct sv value)
{
	static const char zeroes[4];
	size_t before = (size_t)(value.p - header.p);
	uint32_t told = (uint32_t)byte_at(value, 0) << 24 | byte_at(value, 1) << 16 | byte_at(value, 2) << 8 | byte_at(value, 3);
	uint32_t crc = crc32c(crc32c(0, header.p, before), zeroes, sizeof(zeroes));

	return crc32c(crc, value.p + value.n, header.n - before - value.n) == told;
}

/* A type that stands there twice would be read in two ways. */
static bool
is_first(uint64_t *seen, unsigned type)
{
	bool first = (*seen & UINT64_C(1) << type) == 0;

	*seen |= UINT64_C(1) << type;
	return first;
}

static enum proxy_outcome
read_tls(struct sv value, struct proxy_tls *out, const char **why)
{
	uint64_t seen = 0;
	struct tlv t;

	if (value.n < TLV_SSL_FIXED)
		return bad(why, "its PP2_TYPE_SSL is cut off");
	unsigned client = byte_at(value, 0);
	out->used = (client & CLIENT_SSL) != 0;
	out->certificate_now = out->used && (client & CLIENT_CERT_CONN) != 0;
	out->certificate = out->used && (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) != 0;
	out->verified = out->certificate && sv_eq(sv_of(value.p + 1, 4), SV("\0\0\0\0"));
	struct sv rest = sv_of(value.p + TLV_SSL_FIXED, value.n - TLV_SSL_FIXED);
	while (rest.n > 0) {
		if (!next_tlv(&rest, &t))
			return bad(why, "a value in its PP2_TYPE_SSL is cut off");
		if (t.type < TLV_SSL_VERSION || t.type > TLV_SSL_CIPHER)
			continue;
		if (!is_first(&seen, t.type))
			return bad(why, "a value stands twice in its PP2_TYPE_SSL");
		if (t.type == TLV_SSL_VERSION)
			out->version = text_of(t.value, ' ', '~');
		else if (t.type == TLV_SSL_CIPHER)
			out->cipher = text_of(t.value, ' ', '~');
		else
			out->common_name = t.value;
	}
	return PROXY_DONE;
}

static enum proxy_outcome
read_tlv(struct sv header, const struct tlv *t, struct proxy_header *out, const char **why)
{
	switch (t->type) {
	case TLV_ALPN:
		out->alpn = t->value;
		break;
	case TLV_AUTHORITY:
		out->authority = text_of(t->value, '!', '~');
		break;
	case TLV_CRC32C:
		if (t->value.n != 4 || !checksum_fits(header, t->value))
			return bad(why, "its checksum is wrong");
		break;
	case TLV_UNIQUE_ID:
		if (t->value.n > PROXY_UNIQUE_ID_MAX)
			return bad(why, "its PP2_TYPE_UNIQUE_ID has more than 128 bytes");
		out->unique_id = t->value;
		break;
	case TLV_SSL:
		return read_tls(t->value, &out->tls, why);
	default:
		break;
	}
	return PROXY_DONE;
}

static bool
is_known(unsigned type)
{
	return type == TLV_ALPN || type == TLV_AUTHORITY || type == TLV_CRC32C || type == TLV_UNIQUE_ID || type == TLV_SSL;
}

static enum proxy_outcome
read_tlvs(struct sv header, struct sv rest, struct proxy_header *out, const char **why)
{
	uint64_t seen = 0;
	struct tlv t;

	while (rest.n > 0) {
		if (!next_tlv(&rest, &t))
			return bad(why, "a value in it is cut off");
		if (!is_known(t.type))
			continue;
		if (!is_first(&seen, t.type))
			return bad(why, "a value stands in it twice");
		if (read_tlv(header, &t, out, why) == PROXY_BAD)
			return PROXY_BAD;
	}
	return PROXY_DONE;
}

/* --- version 2 (2.2) ---------------------------------------------------------------------------------------- */

/* Two addresses of `size` bytes, two ports. */
static void
read_binary_ends(struct sv block, uint8_t size, struct proxy_header *out)
{
	struct proxy_end *ends[] = {&out->from, &out->to};

	for (size_t i = 0; i < COUNTOF(ends); i++) {
		const char *port = block.p + 2 * size + 2 * i;
		ends[i]->ip = net_ip_of_bytes(block.p + size * i, size);
		ends[i]->port = (uint16_t)((unsigned char)port[0] << 8 | (unsigned char)port[1]);
	}
}

/* The block behind the fixed part. */
static enum proxy_outcome
read_block(struct sv header, unsigned family, struct proxy_header *out, const char **why)
{
	static const size_t addresses[] = {0, V2_ADDRESSES_4, V2_ADDRESSES_6, V2_ADDRESSES_UNIX};
	size_t n = addresses[family >> 4];
	struct sv block = sv_of(header.p + V2_FIXED, header.n - V2_FIXED);

	/* Not said what is transported between whom: "the receiver should ignore address information". */
	if (family >> 4 == 0 || (family & 15) == 0)
		return PROXY_DONE;
	if (block.n < n)
		return bad(why, "it is too short for its addresses");
	/* Of a datagram, too: QUIC that the sender has ended, say. */
	if (n == V2_ADDRESSES_4 || n == V2_ADDRESSES_6)
		read_binary_ends(block, n == V2_ADDRESSES_4 ? 4 : 16, out);
	return read_tlvs(header, sv_of(block.p + n, block.n - n), out, why);
}

static enum proxy_outcome
read_v2(struct sv in, struct proxy_header *out, size_t *used, const char **why)
{
	unsigned command = in.n > 12 ? byte_at(in, 12) : V2_LOCAL, family = in.n > 13 ? byte_at(in, 13) : V2_UNSPEC;

	if ((command & 0xF0) != V2_VERSION)
		return bad(why, "its version is not 2");
	if (command != V2_LOCAL && command != V2_PROXY)
		return bad(why, "its command is neither LOCAL nor PROXY");
	if (family >> 4 > 3 || (family & 15) > 2)
		return bad(why, "its family or transport is unknown");
	if (in.n < V2_FIXED)
		return PROXY_MORE;
	*used = V2_FIXED + (byte_at(in, 14) << 8 | byte_at(in, 15));
	if (*used > PROXY_HEADER_MAX)
		return bad(why, "it is longer than 4096 bytes");
	if (in.n < *used)
		return PROXY_MORE;
	/* "The receiver must … discard the protocol block including the family which is ignored." */
	return command == V2_LOCAL ? PROXY_DONE : read_block(sv_of(in.p, *used), family, out, why);
}

static bool
may_begin(struct sv in, struct sv with)
{
	size_t n = MIN_OF(in.n, with.n);

	return n == 0 || memcmp(in.p, with.p, n) == 0;
}

enum proxy_outcome
proxy_header_read(struct sv in, struct proxy_header *out, size_t *used, const char **why)
{
	*out = (struct proxy_header){.from = {.port = 0}};
	*used = 0;
	*why = "";
	if (in.n == 0)
		return PROXY_MORE;
	if (may_begin(in, SV("PROXY ")))
		return read_v1(in, out, used, why);
	if (may_begin(in, V2_SIGNATURE))
		return read_v2(in, out, used, why);
	return bad(why, "there is none");
}
