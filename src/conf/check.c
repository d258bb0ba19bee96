#include "conf/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "conf/value.h"

void
check_error(struct checker *c, const void *field, const char *fmt, ...)
{
	const struct conf_place *at = reader_place(c->r, field);
	char what[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (at != NULL)
		conf_text_error(at->text, at->node, c->r->problems, "%s", what);
	else
		conf_error(c->r->problems, NULL, NULL, "%s", what);
}

void
check_warning(struct checker *c, const void *field, const char *fmt, ...)
{
	const struct conf_place *place = reader_place(c->r, field);
	char what[1024], path[TEXT_PATH_SIZE];
	va_list ap;

	if (place == NULL)
		return;
	struct conf_where at = conf_text_where(place->text, place->node);
	conf_text_path(place->text, place->node, path);
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	conf_warning(c->r->problems, &at, path, "%s", what);
}

bool
check_given(const struct checker *c, const void *field)
{
	return reader_place(c->r, field) != NULL;
}

bool
check_sound(const struct checker *c, const void *field)
{
	const struct conf_place *place = reader_place(c->r, field);

	return place != NULL && !place->text->nodes[place->node].faulty;
}

static struct check_name *
find(struct check_name *names, const char *name)
{
	struct check_name *found;

	HASH_FIND_STR(names, name, found);
	return found;
}

bool
check_has(struct check_name *names, const char *name)
{
	return find(names, name) != NULL;
}

bool
check_unique(struct checker *c, struct check_name **names, const char *name, const void *field, const char *what)
{
	const struct check_name *first = find(*names, name);

	if (first != NULL) {
		const struct conf_place *at = reader_place(c->r, first->field);
		struct conf_where where = at != NULL ? conf_text_where(at->text, at->node) : (struct conf_where){0};
		check_error(c, field, "\"%s\" is %s already, at %s:%u:%u; keep one of the two", name, what, where.file,
		    where.line, where.column);
		return false;
	}
	struct check_name *n = arena_alloc(&c->scratch, sizeof(*n));
	if (n == NULL) {
		c->r->no_memory = true;
		return false;
	}
	*n = (struct check_name){.name = name, .field = field};
	HASH_ADD_KEYPTR(hh, *names, name, strlen(name), n);
	if (n->hh.tbl == NULL)
		c->r->no_memory = true;
	return true;
}

/* With thousands of names a suggestion is not worth the search for it in each of thousands of errors. */
static const char *
nearest(struct check_name *names, const char *name)
{
	const char *candidates[256];
	size_t n = 0;

	for (struct check_name *at = names; at != NULL && n < COUNTOF(candidates); at = at->hh.next)
		candidates[n++] = at->name;
	return nearest_word(name, candidates, n);
}

bool
check_known(struct checker *c, struct check_name *names, const char *const *name, const char *what)
{
	if (check_has(names, *name))
		return true;
	const char *meant = nearest(names, *name);
	if (meant != NULL)
		check_error(c, name, "there is no %s \"%s\"; did you mean \"%s\"?", what, *name, meant);
	else
		check_error(c, name, "there is no %s \"%s\"", what, *name);
	return false;
}

/* --- listeners --- */

struct host_port {
	struct sv host; /* with its brackets */
	uint64_t port;
};

/* False: it is a Unix socket. */
static bool
split_address(const char *address, struct host_port *out)
{
	struct sv s = sv_cstr(address);
	const char *colon = strrchr(address, ':');

	if (sv_starts(s, SV("unix:")) || colon == NULL)
		return false;
	out->host = sv_of(s.p, (size_t)(colon - s.p));
	return sv_u64(sv_cstr(colon + 1), &out->port);
}

/* "*" covers every address, 0.0.0.0 those of IPv4, [::] those of IPv6. */
static bool
covers(struct sv a, struct sv b)
{
	bool six = b.n > 0 && b.p[0] == '[';

	return sv_eq(a, b) || sv_eq(a, SV("*")) || sv_eq(a, six ? SV("[::]") : SV("0.0.0.0"));
}

/* The kernel would give the port to one of them only. */
static void
check_overlap(struct checker *c, const struct conf_listener *l)
{
	struct host_port a, b;

	if (l->address == NULL || !split_address(l->address, &a))
		return;
	for (const struct conf_listener *o = c->conf->listeners; o < l; o++) {
		if (o->address == NULL || strcmp(o->address, l->address) == 0 || !split_address(o->address, &b) ||
		    a.port != b.port || !(covers(a.host, b.host) || covers(b.host, a.host)))
			continue;
		const struct conf_place *place = reader_place(c->r, &o->address);
		struct conf_where at = place != NULL ? conf_text_where(place->text, place->node) : o->at;
		check_error(c, &l->address, "shares addresses with \"%s\" at %s:%u:%u; keep one of the two", o->address,
		    at.file, at.line, at.column);
		return;
	}
}

static void
check_listener(struct checker *c, const struct conf_listener *l, struct check_name **addresses)
{
	const char *admin = c->conf->admin_socket;

	if (l->address != NULL)
		check_unique(c, addresses, l->address, &l->address, "the address of a listener");
	check_overlap(c, l);
	if (l->address != NULL && admin != NULL && sv_starts(sv_cstr(l->address), SV("unix:")) &&
	    strcmp(l->address + strlen("unix:"), admin) == 0)
		check_error(c, &l->address, "is the admin socket already; name another path");
	if (l->tls && l->redirect != CONF_REDIRECT_NONE)
		check_error(c, &l->redirect,
		    "clients speak TLS here already; redirect from a listener without \"tls\"");
	if (l->proxies.present && l->proxies.from.n == 0 && check_sound(c, &l->proxies.from))
		check_error(c, &l->proxies.from, "is empty: name the networks of the proxies, or leave \"proxy_protocol\" out");
	if (l->redirect == CONF_REDIRECT_NONE && check_given(c, &l->redirect_port))
		check_error(c, &l->redirect_port, "has no effect without \"redirect\": \"https\"");
}

/* Somebody must have a certificate to show, else every handshake fails. */
static bool
has_certificate(const struct checker *c)
{
	for (size_t i = 0; i < c->conf->n_sites; i++)
		if (c->conf->sites[i].bundles.n > 0 || !check_sound(c, &c->conf->sites[i].at))
			return true;
	return c->conf->n_sites > 0 && c->has_directory;
}

static void
check_listeners(struct checker *c)
{
	struct check_name *addresses = NULL;
	bool served = has_certificate(c);

	if (c->conf->n_listeners == 0 && !check_given(c, &c->conf->listeners))
		conf_error(c->r->problems, &c->conf->at, "listeners",
		    "there is none: say where clients connect, as in \"listeners\": [ { \"address\": \"*:443\", "
		    "\"tls\": true } ]");
	else if (c->conf->n_listeners == 0 && check_sound(c, &c->conf->listeners))
		check_error(c, &c->conf->listeners, "is empty: say where clients connect");
	for (size_t i = 0; i < c->conf->n_listeners; i++) {
		const struct conf_listener *l = &c->conf->listeners[i];
		check_listener(c, l, &addresses);
		if (l->tls && !served) {
			served = true; /* said once */
			check_error(c, &l->tls,
			    "no site has a certificate to show: give one a \"bundle\", or add a bundle with a "
			    "\"directory\"");
		}
	}
	HASH_CLEAR(hh, addresses);
}

void
conf_check(struct conf_reader *r)
{
	struct checker c = {.r = r, .conf = r->conf, .scratch = ARENA_EMPTY};

	check_bundles(&c);
	check_upstreams(&c);
	check_sites(&c);
	check_listeners(&c);
	HASH_CLEAR(hh, c.bundles);
	HASH_CLEAR(hh, c.upstreams);
	HASH_CLEAR(hh, c.sites);
	arena_free(&c.scratch);
}
