#include "admin/admin.h"

#include <stdlib.h>

static const struct {
	const char *name, *kind, *help;
	size_t offset;
} rows[] = {
#define X(field, type, text) {#field, #type, text, offsetof(struct counters, field)},
	COUNTER_ROWS(X)
#undef X
};

static const char closed_help[] = "Client connections closed, by reason.";
static const char server_help[] = "Requests given to an origin server.";

uint64_t
admin_sum(const struct admin *a, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < a->n_threads; i++)
		sum += counter_read((const uint64_t *)((const char *)&a->threads[i]->counters + offset));
	return sum;
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

	for (int r = 0; ok && r < CLOSE_REASONS_N; r++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < a->n_threads; i++)
			sum += counter_read(&a->threads[i]->closed[r]);
		ok = buf_printf(out, "bascule_connections_closed{reason=\"%s\"} %llu\n", close_reason_name((enum close_reason)r),
		    (unsigned long long)sum);
	}
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

bool
admin_metrics(const struct admin *a, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < COUNTOF(rows); i++)
		ok = put_head(out, rows[i].name, rows[i].kind, rows[i].help) &&
		     buf_printf(out, "bascule_%s %llu\n", rows[i].name, (unsigned long long)admin_sum(a, rows[i].offset));
	ok = ok && put_head(out, "generation", "gauge", "Number of the config and certificates in service; grows with each load.") &&
	     buf_printf(out, "bascule_generation %llu\n", (unsigned long long)(a->snapshot != NULL ? a->snapshot->generation : 0));
	return ok && put_closed(a, out) && put_servers(a, out);
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
	ok = ok && buf_printf(out, "| `bascule_generation` | gauge | Number of the config and certificates in service. |\n") &&
	     buf_printf(out, "| `bascule_server_requests{upstream,server}` | counter | %s |\n", server_help) &&
	     buf_printf(out, "| `bascule_connections_closed{reason}` | counter | %s |\n", closed_help) &&
	     buf_printf(out, "\n## Reasons for which a connection is closed\n\n| reason | an error | meaning |\n|---|---|---|\n");
	for (int r = 0; ok && r < CLOSE_REASONS_N; r++)
		ok = buf_printf(out, "| `%s` | %s | %s |\n", close_reason_name((enum close_reason)r),
		    close_reason_is_error((enum close_reason)r) ? "yes" : "no", close_reason_text((enum close_reason)r));
	return ok;
}
