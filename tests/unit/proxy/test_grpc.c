/* test_grpc.c: the deadlines of calls. */
#include <criterion/criterion.h>

#include "proxy/grpc.h"

enum { STARTED = 1000, TUNNEL = 3600 * 1000 };

static const struct conf_timeouts timeouts = {.tunnel = TUNNEL};
static const struct snap_action action = {.timeouts = &timeouts};
static struct exchange x = {.action = &action, .started_ms = STARTED};

/* What is left of it, in ms; 0: it has no deadline. */
static uint64_t
deadline(const char *type, const char *timeout)
{
	x.deadline = 0;
	http_head_init(&x.request, false);
	x.request.method_id = HTTP_POST;
	cr_assert(type == NULL || http_head_add_id(&x.request, HTTP_CONTENT_TYPE, sv_cstr(type)));
	cr_assert(timeout == NULL || http_head_add(&x.request, SV("grpc-timeout"), sv_cstr(timeout)));
	grpc_note_deadline(&x);
	return x.deadline == 0 ? 0 : x.deadline - STARTED;
}

Test(grpc, units)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{"1H", 3600 * 1000}, {"2M", 120 * 1000}, {"30S", 30 * 1000}, {"1500m", 1500}, {"2500u", 2}, {"7000000n", 7},
		{"00000001S", 1000},
		{"1u", 1}, {"99999999n", 99}, {"0m", 1}, /* late at once, but a deadline */
		{"99999999H", TUNNEL},                   /* bounded, also where the product is large */
	};

	for (size_t i = 0; i < COUNTOF(cases); i++)
		cr_expect_eq(deadline("application/grpc", cases[i].text), cases[i].ms, "%s", cases[i].text);
}

Test(grpc, what_is_none)
{
	static const char *const malformed[] = {"", "S", "5", "5s", "5 S", "-5S", "+5S", "123456789S", "5SS", "0x5S", "5.5S"};

	for (size_t i = 0; i < COUNTOF(malformed); i++)
		cr_expect_eq(deadline("application/grpc", malformed[i]), 0, "\"%s\"", malformed[i]);
}

Test(grpc, calls_alone_have_one)
{
	cr_expect_eq(deadline("application/grpc+proto", "5S"), 5000);
	cr_expect_eq(deadline("application/grpc; x=y", "5S"), 5000);
	cr_expect_eq(deadline("text/plain", "5S"), 0);
	cr_expect_eq(deadline("application/grpc-web", "5S"), 0);
	cr_expect_eq(deadline("application/grpcs", "5S"), 0);
	cr_expect_eq(deadline(NULL, "5S"), 0);
	cr_expect_eq(deadline("application/grpc", NULL), 0);
}
