/* test_hops.c: TRACE and OPTIONS, and how far they may go. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "rig.h"

TestSuite(hops, .init = rig_setup, .fini = rig_teardown);

#define SITE(more)                                                                                             \
	"{ 'sites': [ { 'names': ['a.test'], 'default': true, 'upstream': 'nodes' " more " } ],"            \
	" 'upstreams': { 'nodes': { 'servers': ['$0'] } } }"
#define ASK(method, fields) method " /x HTTP/1.1\r\nHost: a.test\r\n" fields "\r\n"

static int client;

static void
serve(const char *site)
{
	rig_serve(site);
	client = client_connect();
}

/* The head of an answer of our own. */
static const char *
told(const char *request, const char *status)
{
	say(client, request);
	const char *head = hear(client, HEAD_END);
	cr_expect_not_null(strstr(head, status), "%s", head);
	return head;
}

Test(hops, trace_is_off_by_default)
{
	serve(SITE(""));
	const char *head = told(ASK("TRACE", ""), " 405 ");
	cr_expect_not_null(strstr(head, "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"), "%s", head);
	cr_expect(origin_is_idle(0));
	close(client);
}

Test(hops, trace_goes_on_with_one_hop_less)
{
	serve(SITE(", 'trace': true"));
	say(client, ASK("TRACE", "Max-Forwards: 10\r\n"));
	int origin = origin_accept(0);
	const char *head = hear(origin, HEAD_END);
	cr_expect_eq(strncmp(head, "TRACE /x HTTP/1.1\r\n", 19), 0, "%s", head);
	cr_expect_not_null(strstr(head, "\r\nMax-Forwards: 9\r\n"), "%s", head);
	close(origin);
	close(client);
}

Test(hops, trace_has_no_body)
{
	serve(SITE(", 'trace': true"));
	(void)told(ASK("TRACE", "Content-Length: 3\r\n"), " 400 ");
	cr_expect(origin_is_idle(0));
	close(client);
}

Test(hops, the_last_one_answers_trace_without_credentials)
{
	const char body[] = "TRACE /x HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\nX-One: 1\r\n\r\n";
	char got[sizeof(body)] = "";

	serve(SITE(", 'trace': true"));
	const char *head = told(ASK("TRACE", "Cookie: c=1\r\nMax-Forwards: 0\r\nAuthorization: a\r\nProxy-Authorization: a\r\nX-One: 1\r\n"),
	    " 200 ");
	cr_expect_not_null(strstr(head, "\r\nContent-Type: message/http\r\n"), "%s", head);
	hear_bytes(client, got, sizeof(body) - 1);
	cr_expect_str_eq(got, body);
	cr_expect(origin_is_idle(0));
	close(client);
}

Test(hops, the_last_one_answers_options)
{
	serve(SITE(""));
	for (unsigned i = 0; i < 2; i++) {
		const char *head = told(ASK("OPTIONS", "Max-Forwards: 0\r\n"), " 200 ");
		cr_expect_not_null(strstr(head, "\r\nAllow: "), "%s", head);
		cr_expect_not_null(strcasestr(head, "\r\nContent-Length: 0\r\n"), "%s", head);
	}
	cr_expect(origin_is_idle(0));
	close(client);
}

Test(hops, a_number_that_is_none)
{
	static const char *const requests[] = {
		ASK("OPTIONS", "Max-Forwards: x\r\n"),
		ASK("OPTIONS", "Max-Forwards:\r\n"),
		ASK("OPTIONS", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n"),
	};

	serve(SITE(""));
	for (size_t i = 0; i < COUNTOF(requests); i++) {
		(void)told(requests[i], " 400 ");
		close(client);
		client = client_connect();
	}
	cr_expect(origin_is_idle(0));
	close(client);
}
