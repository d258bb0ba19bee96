/*
 * try.h: a request against the routes of a site, for the tests.
 */
#ifndef BASCULE_TEST_ROUTE_TRY_H
#define BASCULE_TEST_ROUTE_TRY_H

#include "route/routes.h"

#define ROUTES(...) (struct conf_route[]){__VA_ARGS__}, COUNTOF(((struct conf_route[]){__VA_ARGS__}))

struct try {
	struct route_set *set;
	struct route_scratch *scratch;
	struct conf_problems problems;
	struct http_head head;
};

/* Compile. `set` is NULL when the routes are refused; then `problems` says why. */
void try_begin(struct try *t, struct conf_route *routes, size_t n);
void try_end(struct try *t);

/* The route for this request, with the fields that were added to t->head since the last one. */
int try_match(struct try *t, const char *method, const char *host, const char *path);

/* The rewritten path, in a static buffer; NULL: there is no rewrite; "failed": it failed. */
const char *try_rewrite(struct try *t, const char *path);

/* The text of the problems; valid until try_end(). */
const char *try_problems(struct try *t);

#endif
