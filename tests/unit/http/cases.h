/*
 * cases.h: files of cases, each some raw bytes and what must come of them.
 *
 *	# a comment
 *	case NAME
 *	answers METHOD           (optional: the message is a response to such a request)
 *	limit head|fields N      (optional)
 *	|raw bytes, with \r \n \t \\ and \xNN; the line end of the file is not among them
 *	refused FAULT            every other line must be a line of the description (describe.h)
 */
#ifndef BASCULE_TESTS_HTTP_CASES_H
#define BASCULE_TESTS_HTTP_CASES_H

#include "describe.h"

struct test_case {
	struct sv name;
	struct message message;
	struct sv expected[32];
	size_t n_expected;
};

typedef void case_visitor(const struct test_case *c, void *arg);

/* Visit all cases of tests/unit/http/cases; returns how many. A file that makes no sense fails the test. */
size_t cases_visit(case_visitor *visit, void *arg);

#endif
