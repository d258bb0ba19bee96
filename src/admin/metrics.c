#include "admin/admin.h"

#include <stdlib.h>

#include "base/log.h"

static const struct {
	const char *name, *kind, *help;
	size_t offset;
} rows[] = {
#define X(field, type, text) {#field, #type, text, offsetof(struct counters, field)},
	COUNTER_ROWS(X)
#undef X
};

static const char closed_help[] = "Client connections closed, by reason.";
static const char lost_help[] =
    "Lines of the error log that were lost: its disk is full, or nobody reads the pipe that it is. Nothing ever waits for it.";
static const char generation_help[] =
    "Number of what is in service, config and certificates; grows with each load. Bundles have generations of their own.";
static const char server_help[] = "Requests given to an origin server.";

/* X(name, kind, help, value): of each bundle that is in a rotation; `r` is its report. */
#define ROTATION_ROWS(X)                                                                                                 \
	X(rotation_share, gauge, "Percent of the clients that get the current generation by plan.", (r->share * 100.0 / SHARE_ALL))     \
	X(rotation_orphans, gauge, "Clients that refuse the current generation. While there are any, the previous one must not go.",    \
	    (double)r->n_orphans)                                                                                        \
	X(rotation_untested, gauge, "Clients known from before that have neither accepted nor refused the current generation.", \
	    (double)r->n_untested)                                                                                       \
	X(rotation_accepted, gauge, "Clients that have accepted the current generation.",                                \
	    (double)r->counts[SLOT_CURRENT].clients)                                                                     \
	X(rotation_rejected, gauge, "Handshakes in which the current generation was rejected with an alert, since the rotation began.", \
	    (double)r->counts[SLOT_CURRENT].rejected)                                                                    \
	X(rotation_silent, gauge, "Handshakes of the current generation that a client ended without a word, since the rotation began.", \
	    (double)r->counts[SLOT_CURRENT].silent)                                                                      \
	X(rotation_may_retire, gauge, "1: the previous generation may go.", (r->may_retire ? 1.0 : 0.0))

/* X(name, kind, help, value): of each CA of each site that asks for client certificates; `r` is its report. */
#define CLIENT_CA_ROWS(X)                                                                                                \
	X(client_ca_pinned, gauge,                                                                                       \
	    "1: clients with certificates of this CA are let in; 0: its pin has been dropped.", (r->pinned ? 1.0 : 0.0)) \
	X(client_ca_current, gauge, "Certificates in use whose devices have not come with one of another CA since. "     \
	    "While there are any, the pin must not go.", (double)client_ca_waiting(r))                                   \
	X(client_ca_moved, gauge, "Certificates of devices that have come with one of another CA since.",                \
	    (double)r->by_status[HOLDER_MOVED])                                                                          \
	X(client_ca_connected, gauge, "Certificates that connections are open with.", (double)r->connected)               \
	X(client_ca_refused, gauge,                                                                                      \
	    "Certificates refused since they were last seen, of devices that have not come with another.", (double)r->refused) \
	X(client_ca_not_remembered, gauge,                                                                               \
	    "Handshakes whose certificate found no room (`remember`): then nobody can tell whether the pin may go.",     \
	    (double)r->left_out)                                                                                         \
	X(client_ca_may_drop, gauge, "1: the pin may be dropped.", (r->verdict == DROP_YES ? 1.0 : 0.0))

/* X(field, kind, help): of those who are told of rotations. */
#define NOTICE_ROWS(X)                                                                                                   \
	X(delivered, counter,                                                                                            \
	    "Events of rotations that were told: commands that ended well, posts that were answered with a 2xx.")        \
	X(failed, counter,                                                                                               \
	    "Events of rotations that were not told: a command failed, or a post was given up. The log says why.")       \
	X(tries_failed, counter,                                                                                         \
	    "Posts that failed, most of which are tried again. When it grows, look after the webhook's server.")         \
	X(waiting, gauge, "Posts that wait for their server.")

static const struct {
	const char *name, *kind, *help;
	size_t offset;
} notice_rows[] = {
#define X(field, type, text) {"notices_" #field, #type, text, offsetof(struct admin_notices, field)},
	NOTICE_ROWS(X)
#undef X
};

/* Of what counts at this offset in struct px_thread. */
static uint64_t
sum_over_threads(const struct admin *a, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < a->n_threads; i++)
		sum += counter_read((const uint64_t *)((const char *)a->threads[i] + offset));
	return sum;
}

uint64_t
admin_sum(const struct admin *a, size_t offset)
{
	return sum_over_threads(a, offsetof(struct px_thread, counters) + offset);
}

uint64_t
admin_closed(const struct admin *a, enum close_reason r)
{
	return sum_over_threads(a, offsetof(struct px_thread, closed) + r * sizeof(uint64_t));
}

static bool
put_head(struct buf *out, const char *name, const char *kind, const char *help)
{
	return buf_printf(out, "# HELP bascule_%s %s\n# TYPE bascule_%s %s\n", name, help, name, kind);
}

static bool
put_closed(const struct admin *a, struct buf *out)
{
	bool ok = put_head(out, "connections_closed", "counter", closed_help);

	for (enum close_reason r = 0; ok && r < CLOSE_REASONS_N; r++)
		ok = buf_printf(out, "bascule_connections_closed{reason=\"%s\"} %llu\n", close_reason_name(r),
		    (unsigned long long)admin_closed(a, r));
	return ok;
}

/* The upstream's name is a string of the config: it may hold what ends a label. */
static bool
put_label(struct buf *out, const char *text)
{
	bool ok = true;

	for (; ok && *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			ok = buf_append(out, "\\", 1);
		ok = ok && buf_append(out, *text == '\n' ? " " : text, 1);
	}
	return ok;
}

static bool
put_servers(const struct admin *a, struct buf *out)
{
	const struct snapshot *s = a->snapshot;
	bool ok = put_head(out, "server_requests", "counter", server_help);

	for (size_t i = 0; s != NULL && i < s->conf->n_upstreams; i++) {
		const struct upstream *u = s->upstreams[i].balance;
		for (unsigned k = 0; ok && k < upstream_count(u); k++) {
			const struct server_state *state = upstream_at(u, k)->state;
			ok = buf_printf(out, "bascule_server_requests{upstream=\"") && put_label(out, state->upstream) &&
			     buf_printf(out, "\",server=\"") && put_label(out, state->address) &&
			     buf_printf(out, "\"} %llu\n", (unsigned long long)counter_read(&state->requests));
		}
	}
	return ok;
}

#define X(name, kind, help, value)                          \
	static double name##_of(const struct rotation_report *r) \
	{                                                        \
		return value;                                    \
	}
ROTATION_ROWS(X)
#undef X

static const struct {
	const char *name, *kind, *help;
	double (*of)(const struct rotation_report *r);
} rotation_rows[] = {
#define X(field, type, text, value) {#field, #type, text, field##_of},
	ROTATION_ROWS(X)
#undef X
};

/* The samples of one metric stand together, so the reports of all rotations are made once and gone through for each. */
static bool
put_rotation_rows(const struct rotation_report *reports, size_t n, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < COUNTOF(rotation_rows); i++) {
		ok = put_head(out, rotation_rows[i].name, rotation_rows[i].kind, rotation_rows[i].help);
		for (size_t k = 0; ok && k < n; k++)
			ok = buf_printf(out, "bascule_%s{bundle=\"", rotation_rows[i].name) && put_label(out, reports[k].name) &&
			     buf_printf(out, "\"} %.10g\n", rotation_rows[i].of(&reports[k]));
	}
	return ok;
}

static bool
put_rotations(const struct admin *a, struct buf *out)
{
	size_t n = 0, room = 0;
	struct rotation *r = NULL;

	while ((r = rotation_registry_next(a->rotations, r)) != NULL)
		room += rotation_is_active(r);
	struct rotation_report *reports = calloc(MAX_OF(room, (size_t)1), sizeof(*reports));
	if (reports == NULL)
		return false;
	while (n < room && (r = rotation_registry_next(a->rotations, r)) != NULL)
		if (rotation_is_active(r) && rotation_report(r, false, moment_now(), &reports[n]))
			n++;
	bool ok = put_rotation_rows(reports, n, out);
	for (size_t i = 0; i < n; i++)
		rotation_report_free(&reports[i]);
	free(reports);
	return ok;
}

/* --- client CAs --- */

#define X(name, kind, help, value)                           \
	static double name##_of(const struct client_ca_report *r) \
	{                                                         \
		return value;                                     \
	}
CLIENT_CA_ROWS(X)
#undef X

static const struct {
	const char *name, *kind, *help;
	double (*of)(const struct client_ca_report *r);
} client_ca_rows[] = {
#define X(field, type, text, value) {#field, #type, text, field##_of},
	CLIENT_CA_ROWS(X)
#undef X
};

static bool
put_client_ca(const char *name, const char *site, const struct client_ca_report *r, double value, struct buf *out)
{
	/* Two CAs may have one name; not one fingerprint. */
	return buf_printf(out, "bascule_%s{site=\"", name) && put_label(out, site) && buf_printf(out, "\",ca=\"") &&
	       put_label(out, r->name) &&
	       buf_printf(out, "\",fingerprint=\"%02x%02x%02x%02x\"} %.10g\n", r->fingerprint[0], r->fingerprint[1], r->fingerprint[2],
		   r->fingerprint[3], value);
}

static bool
put_client_ca_rows(const struct client_cas_report *reports, size_t n, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < COUNTOF(client_ca_rows); i++) {
		ok = put_head(out, client_ca_rows[i].name, client_ca_rows[i].kind, client_ca_rows[i].help);
		for (size_t k = 0; ok && k < n; k++)
			for (size_t m = 0; ok && m < reports[k].n_cas; m++)
				ok = put_client_ca(client_ca_rows[i].name, reports[k].site, &reports[k].cas[m],
				    client_ca_rows[i].of(&reports[k].cas[m]), out);
	}
	return ok;
}

static bool
put_client_cas(const struct admin *a, struct buf *out)
{
	size_t n = 0, room = 0;
	struct client_cas *c = NULL;
	bool ok = true;

	while ((c = client_ca_registry_next(a->client_cas, c)) != NULL)
		room++;
	struct client_cas_report *reports = calloc(MAX_OF(room, (size_t)1), sizeof(*reports));
	if (reports == NULL)
		return false;
	while (ok && n < room && (c = client_ca_registry_next(a->client_cas, c)) != NULL)
		ok = client_cas_report(c, false, moment_now(), &reports[n++]);
	ok = ok && put_client_ca_rows(reports, n, out);
	for (size_t i = 0; i < n; i++)
		client_cas_report_free(&reports[i]);
	free(reports);
	return ok;
}

bool
admin_metrics(const struct admin *a, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < COUNTOF(rows); i++)
		ok = put_head(out, rows[i].name, rows[i].kind, rows[i].help) &&
		     buf_printf(out, "bascule_%s %llu\n", rows[i].name, (unsigned long long)admin_sum(a, rows[i].offset));
	ok = ok && put_head(out, "error_lines_lost", "counter", lost_help) &&
	     buf_printf(out, "bascule_error_lines_lost %llu\n", (unsigned long long)log_lost());
	ok = ok && put_head(out, "generation", "gauge", generation_help) &&
	     buf_printf(out, "bascule_generation %llu\n", (unsigned long long)(a->snapshot != NULL ? a->snapshot->generation : 0));
	for (size_t i = 0; ok && i < COUNTOF(notice_rows); i++)
		ok = put_head(out, notice_rows[i].name, notice_rows[i].kind, notice_rows[i].help) &&
		     buf_printf(out, "bascule_%s %llu\n", notice_rows[i].name,
			 (unsigned long long)*(const uint64_t *)((const char *)a->notices + notice_rows[i].offset));
	return ok && put_closed(a, out) && put_servers(a, out) && put_rotations(a, out) && put_client_cas(a, out);
}

bool
admin_metrics_reference(struct buf *out)
{
	bool ok = buf_printf(out,
	    "# Metrics\n\n`bascule metrics`, or `GET /metrics` on the admin socket, in Prometheus' text form. "
	    "This page is made by `bascule config metrics` from the rows that make the counters.\n\n"
	    "| metric | kind | what it says |\n|---|---|---|\n");

	for (size_t i = 0; ok && i < COUNTOF(rows); i++)
		ok = buf_printf(out, "| `bascule_%s` | %s | %s |\n", rows[i].name, rows[i].kind, rows[i].help);
	ok = ok && buf_printf(out, "| `bascule_error_lines_lost` | counter | %s |\n", lost_help) &&
	     buf_printf(out, "| `bascule_generation` | gauge | %s |\n", generation_help) &&
	     buf_printf(out, "| `bascule_server_requests{upstream,server}` | counter | %s |\n", server_help) &&
	     buf_printf(out, "| `bascule_connections_closed{reason}` | counter | %s |\n", closed_help);
	for (size_t i = 0; ok && i < COUNTOF(notice_rows); i++)
		ok = buf_printf(out, "| `bascule_%s` | %s | %s |\n", notice_rows[i].name, notice_rows[i].kind, notice_rows[i].help);
	for (size_t i = 0; ok && i < COUNTOF(rotation_rows); i++)
		ok = buf_printf(out, "| `bascule_%s{bundle}` | %s | %s |\n", rotation_rows[i].name, rotation_rows[i].kind,
		    rotation_rows[i].help);
	for (size_t i = 0; ok && i < COUNTOF(client_ca_rows); i++)
		ok = buf_printf(out, "| `bascule_%s{site,ca,fingerprint}` | %s | %s |\n", client_ca_rows[i].name, client_ca_rows[i].kind,
		    client_ca_rows[i].help);
	ok = ok &&
	     buf_printf(out, "\n## Reasons for which a connection is closed\n\n| reason | an error | meaning |\n|---|---|---|\n");
	for (int r = 0; ok && r < CLOSE_REASONS_N; r++)
		ok = buf_printf(out, "| `%s` | %s | %s |\n", close_reason_name((enum close_reason)r),
		    close_reason_is_error((enum close_reason)r) ? "yes" : "no", close_reason_text((enum close_reason)r));
	return ok;
}
