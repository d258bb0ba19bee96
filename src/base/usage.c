#include "base/usage.h"

#include <string.h>

#include "base/sv.h"

/* Up to the next space outside of brackets: "[-c FILE]" stays together. */
static struct sv
next_part(const char *s)
{
	int depth = 0;
	size_t n = 0;

	for (; s[n] != '\0' && (s[n] != ' ' || depth > 0); n++)
		depth += (s[n] == '[') - (s[n] == ']');
	return sv_of(s, n);
}

static size_t
columns(struct sv s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

void
usage_print(FILE *out, const char *command, const char *usage)
{
	size_t indent = strlen(command), column = indent;

	(void)fputs(command, out);
	while (*usage != '\0') {
		struct sv part = next_part(usage);
		if (column > indent && column + 1 + columns(part) > USAGE_WIDTH) {
			(void)fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		}
		(void)fprintf(out, " %.*s", SV_FMT(part));
		column += 1 + columns(part);
		usage += part.n + (usage[part.n] == ' ');
	}
	(void)fputc('\n', out);
}
