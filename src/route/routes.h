/*
 * routes.h: the routes of a site, compiled, and what they do to a request.
 *
 * A set is immutable and shared by threads; what a match needs to write lies
 * in the thread's route_scratch.
 *
 * A route's conditions must all hold: `path`, `host` and `headers` are
 * patterns that may match anywhere in what they look at unless anchored;
 * `methods` are compared as they stand. `path` is matched on the path without
 * the query and in normal form (path.h), so that no spelling of a path slips
 * past its route; what is forwarded is the path as the client sent it, unless
 * the route rewrites it. `host` ignores case. A header condition holds when
 * one of the fields of that name matches; fields removed as not trustworthy
 * (forwarding fields of a client) do not count.
 *
 * Matching is bounded in steps (pattern.c). Of a pattern that runs away it is
 * not known whether the route applies, and the next route might allow what
 * this one forbids: so the request fails, and the first time for each route
 * is logged.
 */
#ifndef BASCULE_ROUTE_ROUTES_H
#define BASCULE_ROUTE_ROUTES_H

#include "conf/config.h"
#include "http/head.h"

struct route_set;
struct route_scratch;

/* Compile, borrowing nothing from `site`. What does not compile is in `problems` with its place; NULL is returned. */
struct route_set *route_set_new(const struct conf_site *site, struct conf_problems *problems);
void route_set_free(struct route_set *set); /* NULL is fine */

struct route_scratch *route_scratch_new(void); /* one a thread; NULL: out of memory */
void route_scratch_free(struct route_scratch *s); /* NULL is fine */

enum {
	ROUTE_NONE = -1,   /* no route matches: the site's own upstream */
	ROUTE_FAILED = -2, /* a pattern ran away, or memory is out: answer 500 */
};

/*
 * The index in site->routes of the first that matches, or one of the above. `host` is normalized, without port. The
 * match of the path is left in `scratch` for route_rewrite(), until the next call, and looks into the request's bytes.
 * A site without routes costs no PCRE2 call.
 */
int route_set_match(const struct route_set *set, struct route_scratch *scratch, const struct http_head *request,
    struct sv host);

/*
 * The path and query after the rewrite of the route just matched: what its pattern matched of the path in normal form
 * is replaced, the first time it occurs; the query is kept unless the replacement brings a '?' of its own. False: the
 * route has no rewrite (or none matched), or the result is longer than `size` or no valid path: it must begin with
 * '/', hold visible ASCII without '#', and no "." or ".." segment, which could climb out of where the rewrite points.
 * *failed tells which; answer 500 then.
 */
bool route_rewrite(const struct route_set *set, int route, struct route_scratch *scratch,
    const struct http_head *request, char *out, size_t size, struct sv *result, bool *failed);

#endif
