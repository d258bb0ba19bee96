#include "base/sv.h"

bool
sv_ieq(struct sv a, struct sv b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

bool
sv_starts(struct sv s, struct sv prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool
sv_ends(struct sv s, struct sv suffix)
{
	return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

struct sv
sv_trim(struct sv s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

struct sv
sv_cut(struct sv *rest, char sep)
{
	struct sv all = *rest;
	const char *at = all.n > 0 ? memchr(all.p, sep, all.n) : NULL;

	if (at == NULL) {
		*rest = SV_NONE;
		return all;
	}
	size_t before = (size_t)(at - all.p);
	*rest = sv_of(at + 1, all.n - before - 1);
	return sv_of(all.p, before);
}

bool
sv_u64(struct sv s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 20)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool
sv_copy(struct sv s, char *out, size_t size)
{
	if (size == 0)
		return false;
	if (s.n >= size) {
		out[0] = '\0';
		return false;
	}
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}
