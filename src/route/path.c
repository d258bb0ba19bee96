#include "route/path.h"

bool
path_needs_normalizing(struct sv path)
{
	char before = '\0';

	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];
		if (c == '%' || (before == '/' && (c == '.' || c == '/')))
			return true;
		before = c;
	}
	return false;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	    c == '_' || c == '~';
}

static char
upper_hex(char c)
{
	return c >= 'a' && c <= 'f' ? (char)(c - 'a' + 'A') : c;
}

/* Decode what is unreserved; returns the length. A '%' that begins no triplet stays as it is. */
static size_t
decode_unreserved(struct sv path, char *out)
{
	size_t w = 0;

	for (size_t i = 0; i < path.n; i++) {
		int high = -1, low = -1;
		if (path.p[i] == '%' && path.n - i > 2) {
			high = hex_digit(path.p[i + 1]);
			low = hex_digit(path.p[i + 2]);
		}
		if (high < 0 || low < 0) {
			out[w++] = path.p[i];
			continue;
		}
		if (is_unreserved(high * 16 + low)) {
			out[w++] = (char)(high * 16 + low);
		} else {
			out[w++] = '%';
			out[w++] = upper_hex(path.p[i + 1]);
			out[w++] = upper_hex(path.p[i + 2]);
		}
		i += 2;
	}
	return w;
}

/* In place, for a path that begins with '/'. What is written never overtakes what is read. */
static size_t
remove_segments(char *p, size_t n)
{
	size_t w = 0, i = 0; /* p[0..w) is done and does not end in '/'; p[i] is a '/' */

	while (i < n) {
		size_t from = ++i;
		while (i < n && p[i] != '/')
			i++;
		struct sv segment = sv_of(p + from, i - from);
		bool up = sv_eq(segment, SV(".."));
		if (up || segment.n == 0 || sv_eq(segment, SV("."))) {
			while (up && w > 0 && p[--w] != '/')
				;
			if (i == n)
				p[w++] = '/';
			continue;
		}
		p[w++] = '/';
		memmove(p + w, segment.p, segment.n);
		w += segment.n;
	}
	return w;
}

struct sv
path_normalize(struct sv path, char *out)
{
	if (path.n == 0 || path.p[0] != '/') {
		if (path.n > 0)
			memcpy(out, path.p, path.n);
		return sv_of(out, path.n);
	}
	return sv_of(out, remove_segments(out, decode_unreserved(path, out)));
}

bool
path_has_dot_segment(struct sv path)
{
	while (path.p != NULL) {
		struct sv segment = sv_cut(&path, '/');
		if (sv_eq(segment, SV(".")) || sv_eq(segment, SV("..")))
			return true;
	}
	return false;
}
