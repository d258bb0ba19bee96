/*
 * path.h: the form of a request's path that routes are matched on.
 *
 * Two spellings that an origin may take for one resource must not reach two
 * routes: "/admin", "/%61dmin", "//admin" and "/x/../admin" are one path
 * here. Percent-encoded unreserved characters are decoded and the hex digits
 * of the others put in upper case (RFC 3986, 6.2.2), then empty, "." and ".."
 * segments are removed; ".." never climbs above the root. What is reserved
 * stays encoded: "%2F" is no segment's end.
 */
#ifndef BASCULE_ROUTE_PATH_H
#define BASCULE_ROUTE_PATH_H

#include "base/sv.h"

/* False for nearly every path: then it is in that form already. `path` is without the query. */
bool path_needs_normalizing(struct sv path);

/* Into `out`, which has room for path.n bytes; the result is never longer. A path without '/' in front is copied. */
struct sv path_normalize(struct sv path, char *out);

/* A "." or ".." between slashes, or at an end. */
bool path_has_dot_segment(struct sv path);

#endif
