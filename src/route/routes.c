#include "route/routes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "route/path.h"
#include "route/pattern.h"
#include "route/template.h"

struct field_condition {
	struct sv name;
	enum http_field_id id;
	struct pattern *pattern; /* owned */
};

/* What is empty or NULL is no condition. */
struct route {
	struct pattern *path, *host; /* owned */
	struct sv *methods;
	size_t n_methods;
	struct field_condition *fields;
	size_t n_fields;
	bool rewrites, replaces_query;
	struct template replacement;
	const char *place; /* "FILE:LINE:COLUMN", for the log */
	bool gave_up;      /* atomic; it has been logged */
};

struct route_set {
	struct arena arena; /* all but the patterns */
	struct route *routes;
	size_t n;
};

struct route_scratch {
	struct pattern_scratch *pattern;
	char *room; /* for a path in normal form; owned */
	size_t size;
	struct sv path; /* that was matched: the request's, or in `room` */
	struct sv groups[PATTERN_GROUPS]; /* of the path of the route that matched, when that has a rewrite */
};

/* --- compiling ---------------------------------------------------------------------------------------------- */

struct compiler {
	struct route_set *set;
	const struct conf_where *at; /* of the route */
	struct conf_problems *problems;
};

/* An error at a field of the route. */
static void PRINTF_LIKE(4, 5)
fault(struct compiler *c, const void *field, const char *key, const char *fmt, ...)
{
	struct conf_where at = conf_place(c->at, field);
	struct err err;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err.text, sizeof(err.text), fmt, ap);
	va_end(ap);
	conf_error(c->problems, &at, key, "%s", err.text);
}

static struct pattern *
compile_pattern(struct compiler *c, const char *key, const void *field, const char *text, bool ignore_case)
{
	struct err err;
	struct pattern *p = pattern_new(text, ignore_case, &err);

	if (p == NULL)
		fault(c, field, key, "%s", err.text);
	return p;
}

static void
compile_methods(struct compiler *c, struct route *r, const struct conf_strings *methods)
{
	r->methods = arena_alloc(&c->set->arena, methods->n * sizeof(*r->methods));
	if (r->methods == NULL) {
		conf_error(c->problems, c->at, "methods", "out of memory");
		return;
	}
	for (size_t i = 0; i < methods->n; i++) {
		struct sv method = sv_cstr(arena_copy(&c->set->arena, sv_cstr(methods->v[i])));
		if (!http_is_token(method))
			fault(c, &methods->v[i], "methods", "\"%s\" is no method; write for example \"GET\"",
			    methods->v[i]);
		r->methods[r->n_methods++] = method;
	}
}

static void
compile_fields(struct compiler *c, struct route *r, const struct conf_route *conf)
{
	r->fields = arena_alloc(&c->set->arena, conf->n_headers * sizeof(*r->fields));
	if (r->fields == NULL) {
		conf_error(c->problems, c->at, "headers", "out of memory");
		return;
	}
	for (size_t i = 0; i < conf->n_headers; i++) {
		const struct conf_match *m = &conf->headers[i];
		struct sv name = sv_cstr(arena_copy(&c->set->arena, sv_cstr(m->name)));
		if (!http_is_token(name))
			fault(c, m, "headers", "\"%s\" is no field name", m->name);
		r->fields[r->n_fields++] = (struct field_condition){name, http_field_id(name),
		    compile_pattern(c, "headers", m, m->pattern, false)};
	}
}

static int
find_group(const void *pattern, struct sv name, struct err *err)
{
	return pattern_group(pattern, name, err);
}

/* What may stand in a path and query: visible ASCII, and no '#', which would begin a fragment (RFC 3986, 3.5). */
static bool
is_target_text(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == '#')
			return false;
	return true;
}

static void
compile_rewrite(struct compiler *c, struct route *r, const struct conf_route *conf)
{
	struct err err;

	r->rewrites = true;
	r->replaces_query = strchr(conf->rewrite, '?') != NULL;
	if (conf->path == NULL)
		fault(c, &conf->rewrite, "rewrite",
		    "it replaces what \"path\" matched; give the route a \"path\"");
	else if (!is_target_text(sv_cstr(conf->rewrite)))
		fault(c, &conf->rewrite, "rewrite",
		    "\"%s\" holds a byte that no path may hold; percent-encode it", conf->rewrite);
	else if (r->path != NULL &&
	    !template_parse(&r->replacement, &c->set->arena, conf->rewrite, find_group, r->path, &err))
		fault(c, &conf->rewrite, "rewrite", "%s", err.text);
}

static void
compile_route(struct compiler *c, struct route *r, const struct conf_route *conf)
{
	if (conf->path != NULL)
		r->path = compile_pattern(c, "path", &conf->path, conf->path, false);
	if (conf->host != NULL)
		r->host = compile_pattern(c, "host", &conf->host, conf->host, true);
	if (conf->methods.n > 0)
		compile_methods(c, r, &conf->methods);
	if (conf->n_headers > 0)
		compile_fields(c, r, conf);
	if (conf->rewrite != NULL)
		compile_rewrite(c, r, conf);
	r->place = arena_printf(&c->set->arena, "%s:%u:%u", conf->at.file != NULL ? conf->at.file : "", conf->at.line,
	    conf->at.column);
	if (r->place == NULL)
		conf_error(c->problems, c->at, "routes", "out of memory");
}

struct route_set *
route_set_new(const struct conf_site *site, struct conf_problems *problems)
{
	struct route_set *set = calloc(1, sizeof(*set));
	unsigned errors = problems->errors;

	if (set == NULL || (set->routes = arena_alloc(&set->arena, site->n_routes * sizeof(*set->routes))) == NULL) {
		conf_error(problems, &site->at, "routes", "out of memory");
		route_set_free(set);
		return NULL;
	}
	for (size_t i = 0; i < site->n_routes; i++) {
		struct compiler c = {set, &site->routes[i].at, problems};
		compile_route(&c, &set->routes[set->n++], &site->routes[i]);
	}
	if (problems->errors == errors)
		return set;
	route_set_free(set);
	return NULL;
}

void
route_set_free(struct route_set *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->n; i++) {
		struct route *r = &set->routes[i];
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): `n` counts only routes that were allocated */
		pattern_free(r->path);
		pattern_free(r->host);
		for (size_t k = 0; k < r->n_fields; k++)
			pattern_free(r->fields[k].pattern);
	}
	arena_free(&set->arena);
	free(set);
}

struct route_scratch *
route_scratch_new(void)
{
	struct route_scratch *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->pattern = pattern_scratch_new()) == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
route_scratch_free(struct route_scratch *s)
{
	if (s == NULL)
		return;
	pattern_scratch_free(s->pattern);
	free(s->room);
	free(s);
}

/* --- matching ----------------------------------------------------------------------------------------------- */

/* The path in normal form without the query into s->path. False: out of memory. */
static bool
prepare_path(struct route_scratch *s, struct sv path_and_query)
{
	struct sv path = sv_cut(&path_and_query, '?');

	s->path = path;
	if (!path_needs_normalizing(path))
		return true;
	if (path.n > s->size) {
		char *room = realloc(s->room, path.n);
		if (room == NULL)
			return false;
		s->room = room;
		s->size = path.n;
	}
	s->path = path_normalize(path, s->room);
	return true;
}

static bool
has_method(const struct route *r, struct sv method)
{
	if (r->n_methods == 0)
		return true;
	for (size_t i = 0; i < r->n_methods; i++)
		if (sv_eq(r->methods[i], method))
			return true;
	return false;
}

/* Hop-by-hop fields (Upgrade) may have been dropped before; a condition may still ask for them. */
static bool
is_field(const struct field_condition *c, const struct http_field *f)
{
	if (f->id != c->id || (f->dropped && !(http_field_flags(c->id) & HTTP_HOP)))
		return false;
	return c->id != HTTP_OTHER || sv_ieq(f->name, c->name);
}

static enum pattern_result
match_field(const struct field_condition *c, struct pattern_scratch *scratch, const struct http_head *request)
{
	for (unsigned i = 0; i < request->n_fields; i++) {
		if (!is_field(c, &request->fields[i]))
			continue;
		enum pattern_result result = pattern_match(c->pattern, scratch, request->fields[i].value, NULL);
		if (result != PATTERN_DIFFERS)
			return result;
	}
	return PATTERN_DIFFERS;
}

static enum pattern_result
match_route(const struct route *r, struct route_scratch *s, const struct http_head *request, struct sv host)
{
	enum pattern_result result = has_method(r, request->method) ? PATTERN_MATCHES : PATTERN_DIFFERS;

	if (result == PATTERN_MATCHES && r->path != NULL)
		result = pattern_match(r->path, s->pattern, s->path, r->rewrites ? s->groups : NULL);
	if (result == PATTERN_MATCHES && r->host != NULL)
		result = pattern_match(r->host, s->pattern, host, NULL);
	for (size_t i = 0; result == PATTERN_MATCHES && i < r->n_fields; i++)
		result = match_field(&r->fields[i], s->pattern, request);
	return result;
}

static void
log_gave_up(const struct route *r)
{
	log_warning("%s: a pattern of this route takes too many steps on some requests, which are refused; anchor it, "
		    "and avoid nested repetitions such as (a+)+", r->place);
}

int
route_set_match(const struct route_set *set, struct route_scratch *scratch, const struct http_head *request,
    struct sv host)
{
	if (set->n == 0)
		return ROUTE_NONE;
	if (!prepare_path(scratch, request->path))
		return ROUTE_FAILED;
	for (size_t i = 0; i < set->n; i++) {
		struct route *r = &set->routes[i];
		enum pattern_result result = match_route(r, scratch, request, host);
		if (result == PATTERN_MATCHES)
			return (int)i;
		if (result == PATTERN_DIFFERS)
			continue;
		if (!__atomic_exchange_n(&r->gave_up, true, __ATOMIC_RELAXED))
			log_gave_up(r);
		return ROUTE_FAILED;
	}
	return ROUTE_NONE;
}

/* --- rewriting ---------------------------------------------------------------------------------------------- */

/* From the '?' on; empty when there is none. */
static struct sv
query_of(struct sv path_and_query)
{
	const char *mark = path_and_query.n > 0 ? memchr(path_and_query.p, '?', path_and_query.n) : NULL;

	return mark == NULL ? SV_NONE : sv_of(mark, path_and_query.n - (size_t)(mark - path_and_query.p));
}

static bool
is_valid_target(struct sv target)
{
	struct sv rest = target, path = sv_cut(&rest, '?');

	return path.n > 0 && path.p[0] == '/' && is_target_text(target) && !path_has_dot_segment(path);
}

static char *
put(char *out, struct sv s)
{
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	return out + s.n;
}

bool
route_rewrite(const struct route_set *set, int route, struct route_scratch *scratch, const struct http_head *request,
    char *out, size_t size, struct sv *result, bool *failed)
{
	*failed = false;
	if (route < 0 || !set->routes[route].rewrites)
		return false;

	const struct route *r = &set->routes[route];
	struct sv path = scratch->path, match = scratch->groups[0];
	*failed = true;
	if (match.p == NULL)
		return false; /* a pattern that set its match's start behind its end */
	struct sv before = sv_of(path.p, (size_t)(match.p - path.p));
	struct sv behind = sv_of(match.p + match.n, path.n - before.n - match.n);
	struct sv query = r->replaces_query ? SV_NONE : query_of(request->path);
	if (before.n + template_length(&r->replacement, scratch->groups) + behind.n + query.n > size)
		return false;
	char *end = template_write(&r->replacement, scratch->groups, put(out, before));
	end = put(put(end, behind), query);
	*result = sv_of(out, (size_t)(end - out));
	*failed = !is_valid_target(*result);
	return !*failed;
}
