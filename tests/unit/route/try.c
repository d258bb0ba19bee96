#include "try.h"

#include <criterion/criterion.h>

void
try_begin(struct try *t, struct conf_route *routes, size_t n)
{
	struct conf_site site = {.at = {"test.json", 1, 1}, .routes = routes, .n_routes = n};

	for (size_t i = 0; i < n; i++)
		routes[i].at = (struct conf_where){.file = "test.json", .line = 10 + (unsigned)i, .column = 3};
	conf_problems_init(&t->problems);
	http_head_init(&t->head, false);
	t->scratch = route_scratch_new();
	cr_assert_not_null(t->scratch);
	t->set = route_set_new(&site, &t->problems);
}

void
try_end(struct try *t)
{
	route_set_free(t->set);
	route_scratch_free(t->scratch);
	conf_problems_free(&t->problems);
}

int
try_match(struct try *t, const char *method, const char *host, const char *path)
{
	cr_assert_not_null(t->set, "%s", try_problems(t));
	t->head.method = sv_cstr(method);
	t->head.path = sv_cstr(path);
	int route = route_set_match(t->set, t->scratch, &t->head, sv_cstr(host));
	http_head_init(&t->head, false);
	t->head.path = sv_cstr(path);
	return route;
}

const char *
try_rewrite(struct try *t, const char *path)
{
	static char text[256];
	char out[200];
	struct sv result = SV_NONE;
	bool failed = true;
	int route = try_match(t, "GET", "a.test", path);

	if (!route_rewrite(t->set, route, t->scratch, &t->head, out, sizeof(out), &result, &failed))
		return failed ? "failed" : NULL;
	cr_assert_not(failed);
	cr_assert(sv_copy(result, text, sizeof(text)));
	return text;
}

const char *
try_problems(struct try *t)
{
	if (!buf_append(&t->problems.text, "", 1))
		return "?";
	return buf_view(&t->problems.text).p;
}
