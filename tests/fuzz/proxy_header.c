/* The header of the PROXY protocol, of both versions, and what stands behind it. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <limits.h>

#include "base/crc32c.h"
#include "net/proxy_protocol_internal.h"

enum { CHECKSUM = 4 }; /* bytes */

struct outcome {
	enum proxy_outcome status;
	struct proxy_header header;
	size_t used;
	char *bytes; /* what the header looks into; owned */
};

static void
read_header(struct sv in, struct outcome *out)
{
	const char *why;

	out->bytes = fuzz_copy(in);
	out->status = proxy_header_read(sv_of(out->bytes, in.n), &out->header, &out->used, &why);
	FUZZ_CHECK((out->status == PROXY_BAD) == (*why != '\0'), "%s", why);
	FUZZ_CHECK(out->status != PROXY_DONE || out->used <= in.n);
	FUZZ_CHECK(out->status != PROXY_DONE || out->used <= PROXY_HEADER_MAX);
	FUZZ_CHECK(out->status != PROXY_MORE || in.n < PROXY_HEADER_MAX);
	FUZZ_CHECK(out->status != PROXY_MORE || in.n < PROXY_V1_MAX || in.p[0] != 'P');
}

/* --- inputs -------------------------------------------------------------------------------------------------- */

static size_t
length_at(const uint8_t *p)
{
	return (size_t)(p[0] << 8 | p[1]);
}

/* The first checksum is made right, for by chance it never is. */
static void
mend_checksum(uint8_t *data, size_t at, size_t end)
{
	while (end - at >= TLV_HEAD && end - at - TLV_HEAD >= length_at(data + at + 1)) {
		size_t n = length_at(data + at + 1);
		uint8_t *value = data + at + TLV_HEAD;
		if (data[at] == TLV_CRC32C && n == CHECKSUM) {
			memset(value, 0, CHECKSUM);
			uint32_t crc = crc32c(0, data, end);
			for (size_t i = 0; i < CHECKSUM; i++)
				value[i] = (uint8_t)(crc >> (24 - 8 * i));
			return;
		}
		at += TLV_HEAD + n;
	}
}

/* Mostly the length is made to fit again, so that what is inside is looked at. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static const size_t ends[] = {0, V2_ADDRESSES_4, V2_ADDRESSES_6, V2_ADDRESSES_UNIX};
	size_t n = LLVMFuzzerMutate(data, size, max_size), behind = seed % 4 == 0 ? seed / 16 % 8 : 0;

	if (seed % 16 == 1 || n < V2_FIXED + behind || n > UINT16_MAX || memcmp(data, V2_SIGNATURE.p, V2_SIGNATURE.n) != 0)
		return n;
	size_t end = n - behind, at = V2_FIXED + ends[data[13] >> 4 & 3];
	data[14] = (uint8_t)((end - V2_FIXED) >> 8);
	data[15] = (uint8_t)(end - V2_FIXED);
	if (at <= end)
		mend_checksum(data, at, end);
	return n;
}

/* One of the largest size, one that says that it is larger; and more behind them than is ever looked at. */
void
fuzz_seeds(void)
{
	enum { SIZE = PROXY_HEADER_MAX + 64, LENGTH = PROXY_HEADER_MAX - V2_FIXED, PADDING = LENGTH - V2_ADDRESSES_4 - TLV_HEAD };
	const uint8_t fixed[] = {V2_PROXY, V2_TCP4, LENGTH >> 8, LENGTH & 255};
	const uint8_t padding[] = {TLV_UNIQUE_ID - 1, PADDING >> 8, PADDING & 255};
	uint8_t *seed = memset(fuzz_alloc(SIZE), 'x', SIZE);

	memcpy(seed, V2_SIGNATURE.p, V2_SIGNATURE.n);
	memcpy(seed + V2_SIGNATURE.n, fixed, sizeof(fixed));
	memcpy(seed + V2_FIXED + V2_ADDRESSES_4, padding, sizeof(padding));
	fuzz_seed("largest", seed, SIZE);
	seed[V2_FIXED - 2]++;
	fuzz_seed("too-large", seed, SIZE);
	free(seed);
}

/* --- the same ------------------------------------------------------------------------------------------------ */

static bool
same_end(const struct proxy_end *a, const struct proxy_end *b)
{
	return a->port == b->port && a->ip.size == b->ip.size && memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes)) == 0;
}

static bool
same_ends(const struct proxy_header *a, const struct proxy_header *b)
{
	return same_end(&a->from, &b->from) && same_end(&a->to, &b->to);
}

static bool
same_bits(const struct proxy_tls *a, const struct proxy_tls *b)
{
	return a->used == b->used && a->certificate == b->certificate && a->certificate_now == b->certificate_now &&
	       a->verified == b->verified;
}

/* All that a writer tells; the rest (alpn) is told by nobody but the first. */
static bool
same_values(const struct proxy_header *a, const struct proxy_header *b)
{
	return sv_eq(a->tls.version, b->tls.version) && sv_eq(a->tls.cipher, b->tls.cipher) &&
	       sv_eq(a->tls.common_name, b->tls.common_name) && sv_eq(a->authority, b->authority) &&
	       sv_eq(a->unique_id, b->unique_id);
}

static bool
same_header(const struct proxy_header *a, const struct proxy_header *b)
{
	return same_ends(a, b) && same_bits(&a->tls, &b->tls) && same_values(a, b) && sv_eq(a->alpn, b->alpn);
}

/* More is wanted until it is whole or bad, and that it stays; what stands behind it changes nothing. */
static void
check_cut(struct sv in, size_t cut, const struct outcome *whole, enum proxy_outcome *before)
{
	struct outcome o;

	read_header(sv_of(in.p, cut), &o);
	FUZZ_CHECK(*before == PROXY_MORE || *before == o.status, "cut at %zu: %d, before that: %d", cut, o.status, *before);
	FUZZ_CHECK(o.status == PROXY_MORE || o.status == whole->status, "cut at %zu: %d, whole: %d", cut, o.status, whole->status);
	if (whole->status == PROXY_DONE)
		FUZZ_CHECK((o.status == PROXY_DONE) == (cut >= whole->used), "cut at %zu of %zu", cut, whole->used);
	if (o.status == PROXY_DONE)
		FUZZ_CHECK(o.used == whole->used && same_header(&o.header, &whole->header), "cut at %zu", cut);
	*before = o.status;
	free(o.bytes);
}

static void
check_pieces(struct sv in, const struct outcome *whole)
{
	enum proxy_outcome before = PROXY_MORE;

	FUZZ_EACH_CUT(cut, in.n) {
		check_cut(in, cut, whole, &before);
	}
	if (whole->status != PROXY_DONE)
		return;
	before = PROXY_MORE;
	check_cut(in, whole->used - 1, whole, &before);
	check_cut(in, whole->used, whole, &before);
}

/* --- what is accepted ---------------------------------------------------------------------------------------- */

static void
check_text(const struct outcome *o, struct sv s, char from, char to)
{
	FUZZ_CHECK(s.n == 0 || (s.p >= o->bytes && s.p + s.n <= o->bytes + o->used), "a value that was not in the header");
	for (size_t i = 0; i < s.n; i++)
		FUZZ_CHECK(s.p[i] >= from && s.p[i] <= to, "the byte %d", s.p[i]);
}

static void
check_accepted(const struct outcome *o)
{
	const struct proxy_header *h = &o->header;

	FUZZ_CHECK((h->from.ip.size == 0) == (h->to.ip.size == 0), "one end alone");
	FUZZ_CHECK(h->from.ip.size != 0 || (h->from.port == 0 && h->to.port == 0), "a port alone");
	check_text(o, h->authority, '!', '~');
	check_text(o, h->tls.version, ' ', '~');
	check_text(o, h->tls.cipher, ' ', '~');
	check_text(o, h->tls.common_name, CHAR_MIN, CHAR_MAX);
	check_text(o, h->alpn, CHAR_MIN, CHAR_MAX);
	check_text(o, h->unique_id, CHAR_MIN, CHAR_MAX);
	FUZZ_CHECK(h->unique_id.n <= PROXY_UNIQUE_ID_MAX);
	FUZZ_CHECK(h->tls.used || !h->tls.certificate, "a certificate without TLS");
	FUZZ_CHECK(h->tls.certificate || (!h->tls.certificate_now && !h->tls.verified), "no certificate, but it was good");
}

/* --- by another reader --------------------------------------------------------------------------------------- */

/* Of several the first, where ours would take the last. */
static struct sv
first_of(struct sv tlvs, unsigned type)
{
	const uint8_t *p = (const uint8_t *)tlvs.p;

	for (size_t n; tlvs.n >= TLV_HEAD && (n = length_at(p + 1)) <= tlvs.n - TLV_HEAD; p += TLV_HEAD + n) {
		if (*p == type)
			return sv_of((const char *)p + TLV_HEAD, n);
		tlvs.n -= TLV_HEAD + n;
	}
	return SV_NONE;
}

static bool
same_or_none(struct sv is, struct sv given)
{
	return is.n == 0 || sv_eq(is, given);
}

static void
check_values(const struct proxy_header *h, struct sv tlvs)
{
	struct sv tls = first_of(tlvs, TLV_SSL), inside = SV_NONE;

	FUZZ_CHECK(same_or_none(h->authority, first_of(tlvs, TLV_AUTHORITY)));
	FUZZ_CHECK(same_or_none(h->unique_id, first_of(tlvs, TLV_UNIQUE_ID)) && same_or_none(h->alpn, first_of(tlvs, TLV_ALPN)));
	FUZZ_CHECK(h->tls.used == (tls.n > 0 && (tls.p[0] & CLIENT_SSL) != 0));
	if (tls.n >= TLV_SSL_FIXED)
		inside = sv_of(tls.p + TLV_SSL_FIXED, tls.n - TLV_SSL_FIXED);
	FUZZ_CHECK(!h->tls.verified || sv_eq(sv_of(tls.p + 1, 4), SV("\0\0\0\0")));
	FUZZ_CHECK(same_or_none(h->tls.common_name, first_of(inside, TLV_SSL_CN)));
	FUZZ_CHECK(same_or_none(h->tls.version, first_of(inside, TLV_SSL_VERSION)));
	FUZZ_CHECK(same_or_none(h->tls.cipher, first_of(inside, TLV_SSL_CIPHER)));
}

/* The next word of a line, as an address of this family. */
static struct net_ip
take_address(struct sv *line, int family)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	FUZZ_CHECK(sv_copy(sv_cut(line, ' '), text, sizeof(text)));
	FUZZ_CHECK(inet_pton(family, text, bytes) == 1, "%s", text);
	return net_ip_of_bytes(bytes, family == AF_INET ? 4 : 16);
}

static uint16_t
take_port(struct sv *line)
{
	char text[8];

	FUZZ_CHECK(sv_copy(sv_cut(line, ' '), text, sizeof(text)));
	return (uint16_t)strtoul(text, NULL, 0); /* "010" would be another */
}

static void
check_line(const struct proxy_header *h, struct sv line)
{
	struct sv rest = sv_of(line.p, line.n - 2);
	struct proxy_header ours = {.tls = {.used = false}};

	(void)sv_cut(&rest, ' ');
	int family = sv_eq(sv_cut(&rest, ' '), SV("TCP4")) ? AF_INET : AF_INET6;
	ours.from.ip = take_address(&rest, family);
	ours.to.ip = take_address(&rest, family);
	ours.from.port = take_port(&rest);
	ours.to.port = take_port(&rest);
	FUZZ_CHECK(rest.p == NULL && same_ends(h, &ours), "%.*s", SV_FMT(line));
}

/* Who reads it otherwise must not understand something else. */
static void
check_reading(const struct outcome *o)
{
	const struct proxy_header *h = &o->header;
	size_t at = V2_FIXED;

	if (h->from.ip.size == 0)
		return;
	if (o->bytes[0] == 'P') {
		check_line(h, sv_of(o->bytes, o->used));
		return;
	}
	at += o->bytes[13] >> 4 == 1 ? V2_ADDRESSES_4 : V2_ADDRESSES_6;
	check_values(h, sv_of(o->bytes + at, o->used - at));
}

/* --- written again ------------------------------------------------------------------------------------------- */

/* A writer's bytes are one header, to the last of them. */
static void
read_again(struct sv written, struct outcome *out)
{
	read_header(written, out);
	FUZZ_CHECK(out->status == PROXY_DONE && out->used == written.n, "%d, %zu of %zu bytes", out->status, out->used, written.n);
}

static void
check_v1(const struct proxy_header *h)
{
	char line[PROXY_V1_MAX + 1];
	size_t n = proxy_header_write_v1(h, line);
	struct outcome o;

	FUZZ_CHECK(n <= PROXY_V1_MAX);
	read_again(sv_of(line, n), &o);
	FUZZ_CHECK(same_ends(&o.header, h));
	free(o.bytes);
}

/* Without ends to tell of, no values are read either. */
static void
check_v2(const struct proxy_header *h)
{
	char *room = fuzz_alloc(PROXY_HEADER_MAX);
	size_t n = proxy_header_write_v2(h, room);
	struct outcome o;

	read_again(sv_of(room, n), &o);
	FUZZ_CHECK(same_ends(&o.header, h));
	if (h->from.ip.size != 0) {
		FUZZ_CHECK(same_bits(&o.header.tls, &h->tls));
		FUZZ_CHECK(!h->tls.used || same_values(&o.header, h));
		FUZZ_CHECK(sv_eq(o.header.authority, h->authority) && sv_eq(o.header.unique_id, h->unique_id));
	}
	free(o.bytes);
	free(room);
}

/* With a name of any length: what does not fit is left out as a whole. */
static void
check_large(const struct proxy_header *header, size_t n)
{
	char *name = memset(fuzz_alloc(n), 'x', n), *room = fuzz_alloc(PROXY_HEADER_MAX);
	struct proxy_header h = *header;
	struct outcome o;

	h.tls.used = true;
	h.tls.common_name = sv_of(name, n);
	size_t written = proxy_header_write_v2(&h, room);
	FUZZ_CHECK(written <= PROXY_HEADER_MAX);
	read_again(sv_of(room, written), &o);
	FUZZ_CHECK(same_ends(&o.header, &h));
	if (h.from.ip.size != 0) {
		FUZZ_CHECK(same_bits(&o.header.tls, &h.tls) && same_or_none(o.header.tls.common_name, h.tls.common_name));
		FUZZ_CHECK(same_or_none(o.header.authority, h.authority) && same_or_none(o.header.unique_id, h.unique_id));
	}
	free(o.bytes);
	free(room);
	free(name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_of((const char *)data, size);
	struct outcome whole;
	size_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	read_header(in, &whole);
	check_pieces(in, &whole);
	if (whole.status == PROXY_DONE) {
		check_accepted(&whole);
		check_reading(&whole);
		check_v1(&whole.header);
		check_v2(&whole.header);
		check_large(&whole.header, sum % (2 * (size_t)PROXY_HEADER_MAX));
	}
	free(whole.bytes);
	return 0;
}
