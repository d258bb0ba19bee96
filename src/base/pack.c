#include "base/pack.h"

void
pack_bytes(struct pack *p, const void *from, size_t n)
{
	if (p->to != NULL && n > p->room - p->n)
		p->failed = true;
	if (p->failed || __builtin_add_overflow(p->n, n, &p->n)) {
		p->failed = true;
		return;
	}
	if (p->to != NULL && n > 0)
		memcpy(p->to + p->n - n, from, n);
}

void
pack_u8(struct pack *p, uint8_t v)
{
	pack_bytes(p, &v, sizeof(v));
}

void
pack_u32(struct pack *p, uint32_t v)
{
	pack_bytes(p, &v, sizeof(v));
}

void
pack_u64(struct pack *p, uint64_t v)
{
	pack_bytes(p, &v, sizeof(v));
}

void
pack_block(struct pack *p, const void *from, size_t n)
{
	if (n > UINT32_MAX)
		p->failed = true;
	pack_u32(p, (uint32_t)n);
	pack_bytes(p, from, n);
}

void
pack_string(struct pack *p, const char *s)
{
	pack_block(p, s, strlen(s) + 1);
}

/* The next n bytes; NULL, and the whole is bad, when they are not there. */
static const unsigned char *
take(struct unpack *u, size_t n)
{
	const unsigned char *p = u->p;

	if (u->bad || n > u->n) {
		u->bad = true;
		return NULL;
	}
	u->p += n;
	u->n -= n;
	return p;
}

void
unpack_bytes(struct unpack *u, void *to, size_t n)
{
	const unsigned char *p = take(u, n);

	if (p != NULL)
		memcpy(to, p, n);
	else
		memset(to, 0, n);
}

uint8_t
unpack_u8(struct unpack *u)
{
	uint8_t v;

	unpack_bytes(u, &v, sizeof(v));
	return v;
}

uint32_t
unpack_u32(struct unpack *u)
{
	uint32_t v;

	unpack_bytes(u, &v, sizeof(v));
	return v;
}

uint64_t
unpack_u64(struct unpack *u)
{
	uint64_t v;

	unpack_bytes(u, &v, sizeof(v));
	return v;
}

struct sv
unpack_block(struct unpack *u)
{
	size_t n = unpack_u32(u);
	const unsigned char *p = take(u, n);

	return p != NULL ? sv_of((const char *)p, n) : sv_of("", 0);
}

const char *
unpack_string(struct unpack *u)
{
	struct sv s = unpack_block(u);

	if (s.n > 0 && memchr(s.p, '\0', s.n) == s.p + s.n - 1)
		return s.p;
	u->bad = true;
	return "";
}

size_t
unpack_count(struct unpack *u, size_t least)
{
	size_t n = unpack_u32(u);

	if (n <= u->n / least)
		return n;
	u->bad = true;
	return 0;
}
