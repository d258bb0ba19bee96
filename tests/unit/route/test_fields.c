#include <criterion/criterion.h>

#include "route/fields.h"

static const struct conf_where place = {.file = "test.json", .line = 7, .column = 5};
static const struct sv values[FIELD_VARIABLES_N] = {
	[VAR_CLIENT_ADDRESS] = {"192.0.2.1", 9},
	[VAR_HOST] = {"a.test", 6},
	[VAR_SCHEME] = {"https", 5},
	[VAR_PATH] = {"/x?y", 4},
};

static struct field_edits *
edits(struct conf_field *set, size_t n_set, const char **remove, size_t n_remove, enum field_edits_of of,
    const char *why)
{
	struct conf_fields c = {.set = set, .n_set = n_set, .remove = {remove, n_remove}};
	struct conf_problems problems;

	conf_problems_init(&problems);
	struct field_edits *e = field_edits_new(&c, of, &place, &problems);
	cr_assert(buf_append(&problems.text, "", 1));
	const char *text = buf_view(&problems.text).p;
	if (why == NULL)
		cr_assert_not_null(e, "%s", text);
	else
		cr_expect(e == NULL && strstr(text, why) != NULL, "instead of %s: %s", why, text);
	conf_problems_free(&problems);
	return e;
}

static void
expect_field(const struct http_head *h, const char *name, const char *value)
{
	const struct http_field *f = http_head_find(h, sv_cstr(name));

	if (value == NULL) {
		cr_expect_null(f, "%s is still there", name);
		return;
	}
	cr_assert_not_null(f, "%s is not there", name);
	cr_expect(sv_eq(f->value, sv_cstr(value)), "%s is %.*s", name, SV_FMT(f->value));
}

Test(fields, nothing)
{
	struct field_edits *e = edits(NULL, 0, NULL, 0, FIELDS_OF_REQUESTS, NULL);
	struct http_head h;
	struct buf text;

	http_head_init(&h, false);
	buf_init(&text, 0);
	cr_expect_eq(field_edits_room(e, values), 0);
	cr_expect(field_edits_apply(e, &h, values, &text));
	cr_expect_eq(h.n_fields, 0);
	field_edits_free(e);
}

Test(fields, set_replace_remove)
{
	struct conf_field set[] = {{"X-Constant", "a $$5"},
	    {"X-Client", "<${client_address}> ${scheme}://${host}${path}"}, {"X-Tls", " ${tls_version} "},
	    {"Host", "inner.test"}};
	const char *remove[] = {"X-Secret", "user-agent"};
	struct field_edits *e = edits(set, COUNTOF(set), remove, COUNTOF(remove), FIELDS_OF_REQUESTS, NULL);
	struct http_head h;
	struct buf text;

	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("x-client"), SV("forged")) && http_head_add(&h, SV("X-SECRET"), SV("1")) &&
	    http_head_add(&h, SV("User-Agent"), SV("curl")) && http_head_add(&h, SV("x-client"), SV("forged again")) &&
	    http_head_add(&h, SV("Host"), SV("a.test")) && http_head_add(&h, SV("X-Other"), SV("stays")));
	buf_init(&text, 4096);
	cr_assert_not_null(buf_room(&text, field_edits_room(e, values)));
	const char *before = text.data;
	cr_assert(field_edits_apply(e, &h, values, &text));
	cr_expect_eq(text.data, before);
	cr_expect_leq(buf_len(&text), field_edits_room(e, values));
	expect_field(&h, "X-Constant", "a $5");
	expect_field(&h, "X-Client", "<192.0.2.1> https://a.test/x?y");
	expect_field(&h, "X-Tls", "");
	expect_field(&h, "Host", "inner.test");
	expect_field(&h, "X-Secret", NULL);
	expect_field(&h, "User-Agent", NULL);
	expect_field(&h, "X-Other", "stays");
	buf_clear(&text);
	field_edits_free(e);
}

/* A view into the text would dangle if it moved. */
Test(fields, needs_its_room)
{
	struct conf_field set[] = {{"X-Client", "${client_address}"}};
	struct field_edits *e = edits(set, 1, NULL, 0, FIELDS_OF_REQUESTS, NULL);
	struct http_head h;
	struct buf text;

	http_head_init(&h, false);
	buf_init(&text, 4096);
	cr_expect_not(field_edits_apply(e, &h, values, &text));
	field_edits_free(e);
}

Test(fields, full_head)
{
	struct conf_field set[] = {{"X-One", "1"}};
	struct field_edits *e = edits(set, 1, NULL, 0, FIELDS_OF_RESPONSES, NULL);
	struct http_head h;
	struct buf text;

	http_head_init(&h, true);
	buf_init(&text, 0);
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		cr_assert(http_head_add(&h, SV("X"), SV("y")));
	cr_expect_not(field_edits_apply(e, &h, values, &text));
	field_edits_free(e);
}

Test(fields, line_ends_can_not_get_in)
{
	struct sv forged[FIELD_VARIABLES_N] = {[VAR_SERVER_NAME] = {"a\r\nX-Admin: 1", 13}};
	struct conf_field set[] = {{"X-Name", "${server_name}"}};
	struct field_edits *e = edits(set, 1, NULL, 0, FIELDS_OF_REQUESTS, NULL);
	struct http_head h;
	struct buf text;

	http_head_init(&h, false);
	buf_init(&text, 4096);
	cr_assert_not_null(buf_room(&text, field_edits_room(e, forged)));
	cr_expect_not(field_edits_apply(e, &h, forged, &text));
	buf_clear(&text);
	field_edits_free(e);
}

static void
expect_refused(const char *name, const char *value, enum field_edits_of of, const char *why)
{
	struct conf_field set[] = {{name, value}};
	const char *remove[] = {name};

	if (value != NULL)
		(void)edits(set, 1, NULL, 0, of, why);
	else
		(void)edits(NULL, 0, remove, 1, of, why);
}

Test(fields, refusals)
{
	static const char *const own[] = {
	    "Content-Length", "transfer-encoding", "Connection", "keep-alive", "TE", "Upgrade", "Proxy-Connection"};

	for (size_t i = 0; i < COUNTOF(own); i++) {
		expect_refused(own[i], "1", FIELDS_OF_REQUESTS, "the proxy itself decides");
		expect_refused(own[i], NULL, FIELDS_OF_RESPONSES, "the proxy itself decides");
	}
	expect_refused("Host", NULL, FIELDS_OF_REQUESTS,
	    "test.json:7:5: request_headers.remove.Host: a request needs its Host");
	expect_refused("Host", "a", FIELDS_OF_RESPONSES, "response_headers.set.Host: a response has no Host");
	expect_refused("X Y", "1", FIELDS_OF_REQUESTS, "not a field name");
	expect_refused("X:", NULL, FIELDS_OF_REQUESTS, "not a field name");
	expect_refused("", "1", FIELDS_OF_REQUESTS, "not a field name");
	expect_refused("X", "a\r\nY: b", FIELDS_OF_REQUESTS, "control byte");
	expect_refused("X", "${nothing}", FIELDS_OF_REQUESTS, "no variable \"nothing\"; there are client_address");
	expect_refused("X", "$1", FIELDS_OF_REQUESTS, "no variable \"1\"");
	expect_refused("X", "5$", FIELDS_OF_REQUESTS, "begins no variable");
}

Test(fields, named_twice)
{
	struct conf_field set[] = {{"X-A", "1"}, {"x-a", "2"}};
	const char *remove[] = {"x-A"};

	(void)edits(set, 2, NULL, 0, FIELDS_OF_REQUESTS, "request_headers.set.x-a: named twice");
	(void)edits(set, 1, remove, 1, FIELDS_OF_REQUESTS, "request_headers.set.X-A: named twice");
}
