/*
 * chars.h: which bytes may stand where. For the parsers of this layer only.
 */
#ifndef BASCULE_HTTP_CHARS_H
#define BASCULE_HTTP_CHARS_H

#include "base/sv.h"

enum http_char_class {
	CHAR_TOKEN = 1 << 0,  /* tchar (RFC 9110, 5.6.2) */
	CHAR_VALUE = 1 << 1,  /* field values: HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5) */
	CHAR_TARGET = 1 << 2, /* request targets: VCHAR but "#", which would start a fragment */
	CHAR_HOST = 1 << 3,   /* names and IPv4 addresses: unreserved (RFC 3986, 2.3) */
	CHAR_EXT = 1 << 4,    /* chunk extensions: CHAR_VALUE but HTAB */
};

extern const uint8_t http_chars[256]; /* enum http_char_class, or-ed */

static inline bool
http_char_is(char c, enum http_char_class wanted)
{
	return (http_chars[(unsigned char)c] & wanted) != 0;
}

/* The first byte from p on that is not of this class, or `end`. */
static inline const char *
http_chars_skip(const char *p, const char *end, enum http_char_class wanted)
{
	while (p < end && http_char_is(*p, wanted))
		p++;
	return p;
}

static inline bool
http_chars_all(struct sv s, enum http_char_class wanted)
{
	return s.n == 0 || http_chars_skip(s.p, s.p + s.n, wanted) == s.p + s.n;
}

#endif
