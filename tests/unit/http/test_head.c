#include <criterion/criterion.h>
#include <stdio.h>

#include "http/head.h"

static const char *const ids[] = {
    "",
#define X(id, name, flags) name,
    HTTP_FIELDS(X)
#undef X
};

static void
upper(char *out, const char *name)
{
	do
		*out++ = *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name;
	while (*name++ != '\0');
}

Test(head, every_known_name_is_found_in_any_case)
{
	char name[64];

	for (size_t i = 1; i < COUNTOF(ids); i++) {
		cr_expect_eq(http_field_id(sv_cstr(ids[i])), i, "%s", ids[i]);
		cr_expect_str_eq(http_field_name((enum http_field_id)i), ids[i]);
		upper(name, ids[i]);
		cr_expect_eq(http_field_id(sv_cstr(name)), i, "%s", name);
	}
}

Test(head, names_that_are_nearly_known_are_not)
{
	char name[64];

	cr_expect_eq(http_field_id(SV_NONE), HTTP_OTHER);
	for (size_t i = 1; i < COUNTOF(ids); i++) {
		size_t n = (size_t)snprintf(name, sizeof(name), "%s", ids[i]);
		for (size_t at = 0; at < n; at++) {
			char was = name[at];
			name[at] = was == '-' ? '\r' : '~';
			cr_expect_eq(http_field_id(sv_of(name, n)), HTTP_OTHER, "%s damaged at %zu", ids[i], at);
			name[at] = was;
		}
		cr_expect_neq(http_field_id(sv_of(name, n - 1)), i);
	}
}

Test(head, get_find_add)
{
	struct http_head h;

	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("Host"), SV("a")));
	cr_assert(http_head_add(&h, SV("X-One"), SV("1")));
	cr_assert(http_head_add(&h, SV("x-one"), SV("2")));
	cr_assert(http_head_add_id(&h, HTTP_COOKIE, SV("c=d")));
	cr_expect(sv_eq(http_head_get(&h, HTTP_HOST)->value, SV("a")));
	cr_expect(sv_eq(http_head_find(&h, SV("HOST"))->value, SV("a")));
	cr_expect(sv_eq(http_head_find(&h, SV("X-ONE"))->value, SV("1")));
	cr_expect(sv_eq(http_head_find(&h, SV("Cookie"))->name, SV("cookie")));
	cr_expect_null(http_head_get(&h, HTTP_UPGRADE));
	cr_expect_null(http_head_find(&h, SV("X-Two")));
}

Test(head, a_forged_field_is_not_added)
{
	struct http_head h;

	http_head_init(&h, false);
	cr_expect_not(http_head_add(&h, SV("X-Subject"), SV("CN=a\r\nX-Admin: yes")));
	cr_expect_not(http_head_add(&h, SV("X-Subject"), SV("a\0b")));
	cr_expect_not(http_head_add(&h, SV("X Subject"), SV("a")));
	cr_expect_not(http_head_add(&h, SV(""), SV("a")));
	cr_expect_not(http_head_add_id(&h, HTTP_LOCATION, SV("a\n")));
	cr_expect_eq(h.n_fields, 0);
}

Test(head, no_more_fields_than_fit)
{
	struct http_head h;

	http_head_init(&h, false);
	for (size_t i = 0; i < HTTP_FIELDS_MAX; i++)
		cr_assert(http_head_add(&h, SV("X"), SV("")));
	cr_expect_not(http_head_add(&h, SV("X"), SV("")));
	cr_expect_not(http_head_add_id(&h, HTTP_HOST, SV("a")));
	cr_expect_null(http_head_get(&h, HTTP_HOST));
}

Test(head, dropped_fields_are_passed_over)
{
	struct http_head h;

	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("X-Real-IP"), SV("10.0.0.1")));
	cr_assert(http_head_add(&h, SV("X_real_ip"), SV("10.0.0.2")));
	cr_assert(http_head_add(&h, SV("X-Client-Subject"), SV("CN=a")));
	cr_assert(http_head_add(&h, SV("x_client-subject"), SV("CN=b")));
	http_head_drop(&h, HTTP_X_REAL_IP);
	http_head_drop_name(&h, SV("X-Client-Subject"));
	for (size_t i = 0; i < h.n_fields; i++)
		cr_expect(h.fields[i].dropped, "%.*s", SV_FMT(h.fields[i].name));
	cr_assert(http_head_add_id(&h, HTTP_X_REAL_IP, SV("10.0.0.3")));
	cr_assert(http_head_add(&h, SV("X-Client-Subject"), SV("CN=c")));
	cr_expect(sv_eq(http_head_get(&h, HTTP_X_REAL_IP)->value, SV("10.0.0.3")));
	cr_expect(sv_eq(http_head_find(&h, SV("x-client-subject"))->value, SV("CN=c")));
}

Test(head, strip_drops_what_is_between_two_hops)
{
	static const struct sv hop[] = {
	    SV("Connection"), SV("Keep-Alive"), SV("Proxy-Connection"), SV("TE"), SV("Transfer-Encoding"),
	    SV("Upgrade"), SV("X-One"), SV("x-two"),
	};
	struct http_head h;

	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("Host"), SV("a")));
	for (size_t i = 1; i < COUNTOF(hop); i++)
		cr_assert(http_head_add(&h, hop[i], SV("a")));
	cr_assert(http_head_add(&h, SV("Connection"), SV(" ,close,\t x-ONE ,")));
	cr_assert(http_head_add(&h, SV("X-Three"), SV("a")));
	cr_assert(http_head_add(&h, SV("connection"), SV("X-Two")));
	cr_assert(http_head_strip(&h));
	for (size_t i = 0; i < COUNTOF(hop); i++)
		cr_expect_null(http_head_find(&h, hop[i]), "%.*s", SV_FMT(hop[i]));
	cr_expect_not_null(http_head_get(&h, HTTP_HOST));
	cr_expect_not_null(http_head_find(&h, SV("X-Three")));
	cr_expect(http_head_has_token(&h, HTTP_CONNECTION, SV("CLOSE")), "what the peer said can still be asked");
}

Test(head, what_connection_may_not_nominate)
{
	static const struct sv bad[] = {
	    SV("Host"), SV("content-length"), SV("Transfer-Encoding"), SV("close, Cookie"), SV("Authorization"),
	    SV("X-Forwarded-For"), SV("x-real-ip,close"), SV("Forwarded"), SV("Set-Cookie"), SV("Content-Type"),
	    SV("a b"), SV("close; q=1"), SV("\"close\""),
	};
	struct http_head h;

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		http_head_init(&h, false);
		cr_assert(http_head_add(&h, SV("Connection"), bad[i]));
		cr_expect_not(http_head_strip(&h), "%.*s", SV_FMT(bad[i]));
	}
}

Test(head, connection_with_too_many_members)
{
	char list[2 * HTTP_OPTIONS_MAX + 2];
	struct http_head h;

	for (size_t i = 0; i < sizeof(list); i++)
		list[i] = i % 2 == 0 ? 'a' : ',';
	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("Connection"), sv_of(list, 2 * HTTP_OPTIONS_MAX)));
	cr_expect(http_head_strip(&h));
	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("Connection"), sv_of(list, sizeof(list))));
	cr_expect_not(http_head_strip(&h));
}

Test(head, tokens)
{
	struct http_head h;

	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("Upgrade"), SV("")));
	cr_assert(http_head_add(&h, SV("Upgrade"), SV("h2c , WebSocket")));
	cr_expect(http_head_has_token(&h, HTTP_UPGRADE, SV("websocket")));
	cr_expect(http_head_has_token(&h, HTTP_UPGRADE, SV("h2c")));
	cr_expect_not(http_head_has_token(&h, HTTP_UPGRADE, SV("h2")));
	cr_expect_not(http_head_has_token(&h, HTTP_UPGRADE, SV("socket")));
	cr_expect_not(http_head_has_token(&h, HTTP_UPGRADE, SV("")));
	cr_expect_not(http_head_has_token(&h, HTTP_TE, SV("trailers")));
}

Test(head, cookies)
{
	static const struct {
		struct sv name, value; /* value.p NULL: none */
	} cases[] = {
	    {SV("a"), SV("1")},
	    {SV("b"), SV("x=y")},
	    {SV("c"), SV("")},
	    {SV("d"), SV("\"q\"")},
	    {SV("e"), SV("second")},
	    {SV("A"), {NULL, 0}},
	    {SV("flag"), {NULL, 0}},
	    {SV("ab"), {NULL, 0}},
	    {SV("y"), {NULL, 0}},
	};
	struct http_head h;
	struct sv value;

	http_head_init(&h, false);
	cr_expect_not(http_cookie_get(&h, SV("a"), &value));
	cr_assert(http_head_add(&h, SV("Cookie"), SV("a=1;b=x=y ; c=; flag;; d=\"q\"")));
	cr_assert(http_head_add(&h, SV("X"), SV("e=no")));
	cr_assert(http_head_add(&h, SV("cookie"), SV("a=2; e=second")));
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		bool found = http_cookie_get(&h, cases[i].name, &value);
		cr_expect_eq(found, cases[i].value.p != NULL, "%.*s", SV_FMT(cases[i].name));
		cr_expect(!found || sv_eq(value, cases[i].value), "%.*s", SV_FMT(cases[i].name));
	}
}

Test(head, methods)
{
	static const struct {
		struct sv name;
		enum http_method id;
		bool idempotent;
	} cases[] = {
	    {SV("GET"), HTTP_GET, true},
	    {SV("HEAD"), HTTP_HEAD, true},
	    {SV("POST"), HTTP_POST, false},
	    {SV("PUT"), HTTP_PUT, true},
	    {SV("DELETE"), HTTP_DELETE, true},
	    {SV("OPTIONS"), HTTP_OPTIONS, true},
	    {SV("PATCH"), HTTP_PATCH, false},
	    {SV("TRACE"), HTTP_TRACE, true},
	    {SV("CONNECT"), HTTP_CONNECT, false},
	    {SV("get"), HTTP_METHOD_OTHER, false},
	    {SV("GETS"), HTTP_METHOD_OTHER, false},
	    {SV(""), HTTP_METHOD_OTHER, false},
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		cr_expect_eq(http_method_id(cases[i].name), cases[i].id, "%.*s", SV_FMT(cases[i].name));
		cr_expect_eq(http_method_is_idempotent(cases[i].id), cases[i].idempotent);
	}
}

Test(head, reasons)
{
	cr_expect_str_eq(http_reason(200), "OK");
	cr_expect_str_eq(http_reason(421), "Misdirected Request");
	cr_expect_str_eq(http_reason(799), "");
	for (unsigned status = 0; status < 1000; status++)
		cr_expect(http_is_value(sv_cstr(http_reason(status))));
}
