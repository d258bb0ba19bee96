/*
 * manual.c: the reference as a manual page.
 *
 * It is the page of reference.c, put into roff line by line, so that there is
 * one text. Of Markdown only what reference.c writes is understood: headings,
 * items, fenced examples; code, emphasis and links within a line.
 */
#include "conf/reference.h"

static const char head[] =
    ".\\\" Written by `bascule config manual` from the rows in src/conf/keys_*.c: change it there.\n"
    ".TH BASCULE.JSON 5 \"\" bascule \"bascule\"\n"
    ".SH NAME\n"
    "bascule.json \\- the config of bascule\n"
    ".SH DESCRIPTION\n";

static const char foot[] =
    ".SH FILES\n"
    ".TP\n"
    ".I /etc/bascule/bascule.json\n"
    "is read when no other file is named.\n"
    ".SH SEE ALSO\n"
    ".BR bascule (8)\n";

struct manual {
	struct buf *out;
	bool failed;
	bool example; /* within a fence */
};

static void
put(struct manual *m, struct sv s)
{
	if (!buf_append(m->out, s.p, s.n))
		m->failed = true;
}

static void
put_byte(struct manual *m, char c)
{
	/* roff takes a bare hyphen and quote for typography; who copies them from a terminal wants the ASCII. */
	if (c == '\\')
		put(m, SV("\\e"));
	else if (c == '-')
		put(m, SV("\\-"));
	else if (c == '\'')
		put(m, SV("\\(aq"));
	else
		put(m, sv_of(&c, 1));
}

/* As it stands, at the start of a line or later: roff sees no command in it. */
static void
put_verbatim(struct manual *m, struct sv s)
{
	if (s.n > 0 && s.p[0] == '.')
		put(m, SV("\\&"));
	for (size_t i = 0; i < s.n; i++)
		put_byte(m, s.p[i]);
}

/* Switch a font on, or back to the plain one. */
static void
toggle(struct manual *m, bool *on, const char *font)
{
	*on = !*on;
	put(m, *on ? sv_cstr(font) : SV("\\fR"));
}

/* A line of text. A link [text](#place) leaves its text. */
static void
put_text(struct manual *m, struct sv s)
{
	bool code = false, strong = false, stressed = false;

	if (s.n > 0 && (s.p[0] == '.' || s.p[0] == '\''))
		put(m, SV("\\&"));
	for (size_t i = 0; i < s.n; i++) {
		char mark = code && s.p[i] != '`' ? '\0' : s.p[i]; /* nothing else is markup in code */
		if (mark == '`') {
			code = !code;
			if (!strong)
				put(m, code ? SV("\\fB") : SV("\\fR"));
		} else if (mark == '*' && i + 1 < s.n && s.p[i + 1] == '*') {
			toggle(m, &strong, "\\fB");
			i++;
		} else if (mark == '*') {
			toggle(m, &stressed, "\\fI");
		} else if (mark == '[') {
			put(m, SV("\\fI"));
		} else if (mark == ']') {
			put(m, SV("\\fR"));
			while (i + 1 < s.n && s.p[i] != ')')
				i++;
		} else {
			put_byte(m, s.p[i]);
		}
	}
	put(m, SV("\n"));
}

/* An item: that of a key is headed by its first line, which ends with a backslash; others are lists of remarks. */
static void
put_item(struct manual *m, struct sv line)
{
	bool key = line.n > 0 && line.p[line.n - 1] == '\\';

	put(m, key ? SV(".TP 4\n") : SV(".IP \\(bu 2\n"));
	put_text(m, sv_of(line.p, line.n - key));
}

static void
put_line(struct manual *m, struct sv line)
{
	if (sv_starts(line, SV("```"))) {
		m->example = !m->example;
		put(m, m->example ? SV(".PP\n.RS 4\n.nf\n") : SV(".fi\n.RE\n"));
	} else if (m->example) {
		put_verbatim(m, line);
		put(m, SV("\n"));
	} else if (sv_starts(line, SV("## "))) {
		put(m, SV(".SS "));
		put_text(m, sv_of(line.p + 3, line.n - 3));
	} else if (sv_starts(line, SV("- "))) {
		put_item(m, sv_of(line.p + 2, line.n - 2));
	} else if (line.n > 0 && line.p[0] != '#' && line.p[0] != '<') {
		put_text(m, sv_trim(line));
	}
}

bool
conf_write_manual(struct buf *out)
{
	struct manual m = {.out = out};
	struct buf page;

	buf_init(&page, CONF_REFERENCE_MAX);
	m.failed = !conf_write_reference(&page);
	put(&m, sv_cstr(head));
	for (struct sv rest = buf_view(&page); rest.n > 0;)
		put_line(&m, sv_cut(&rest, '\n'));
	put(&m, sv_cstr(foot));
	buf_clear(&page);
	return !m.failed;
}
