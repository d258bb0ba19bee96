/* test_h2_priority.c: what a field `priority` says (RFC 9218, 4). */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "http/h2.h"

TestSuite(h2_priority, .timeout = 20);

struct row {
	char text[40];
	unsigned urgency;
	bool incremental;
};

/* Over one of urgency 4 that is incremental. */
ParameterizedTestParameters(h2_priority, fields)
{
	static struct row rows[] = {
		{"", 4, true},
		{"u=0", 0, true},
		{"u=7", 7, true},
		{"u=8", 4, true},
		{"u=01", 1, true},
		{"u=-1", 4, true},
		{"u=", 4, true},
		{"u", 4, true},
		{"u=1.0", 4, true},
		{"u=18446744073709551616", 4, true},
		{"i=?0", 4, false},
		{"i=?0, i", 4, true},
		{"i=?2", 4, true},
		{"i=0", 4, true},
		{"u=2, i=?0", 2, false},
		{"i=?0\t,\tu=2", 2, false},
		{"u=2;x=1;i=?0", 2, true},
		{"u=5,u=6", 6, true},
		{"x, u=5, y=\"z\"", 5, true},
		{",,,u=5,", 5, true},
		{"U=0, I=?0", 4, true},
		{"=0", 4, true},
		{";", 4, true},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *r, h2_priority, fields)
{
	struct h2_priority p = {.urgency = 4, .incremental = true};

	h2_priority_read(&p, sv_cstr(r->text));
	cr_expect_eq(p.urgency, r->urgency, "%s: %u", r->text, p.urgency);
	cr_expect_eq(p.incremental, r->incremental, "%s", r->text);
}
