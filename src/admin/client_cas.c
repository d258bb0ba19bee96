/* client_cas.c: the part of the admin API that is about the CAs of client certificates. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/json.h"

enum {
	DAY = 24 * 3600,
	PREFIX_LEAST = 8, /* hex digits of a fingerprint that name a CA */
};

static void
hex(const unsigned char digest[32], char out[65])
{
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static json_t *
fingerprint(const unsigned char digest[32])
{
	char text[65];

	hex(digest, text);
	return json_string(text);
}

static json_t *
days_left(int64_t until, struct moment now)
{
	return json_integer((json_int_t)((until - now.wall) / DAY));
}

/* --- certificates -------------------------------------------------------------------------------------------- */

static json_t *
certificate(const struct holder_row *r, struct moment now)
{
	char address[NET_IP_TEXT];
	json_t *o = json_object();

	net_ip_text(&r->ip, address);
	json_put(o, "status", json_string(holder_status_word(r->status)));
	json_put(o, "in_the_way", json_boolean(holder_status_blocks(r->status)));
	json_put(o, "subject", json_string(r->subject));
	json_put(o, "serial", json_string(r->serial));
	json_put(o, "fingerprint", fingerprint(r->fingerprint));
	json_put(o, "not_after", json_seconds(r->not_after));
	json_put(o, "days_left", days_left(r->not_after, now));
	json_put(o, "address", json_string(address));
	json_put(o, "first_seen", json_seconds(r->first_seen));
	json_put(o, "last_seen", json_seconds(r->last_seen));
	json_put(o, "connections", json_integer(r->open));
	json_put(o, "handshakes", json_integer(r->full));
	json_put(o, "resumed", json_integer(r->resumed));
	json_put(o, "moved_to", r->moved_to != NULL ? json_string(r->moved_to) : json_null());
	json_put(o, "refused", json_integer(r->refused));
	json_put(o, "last_refused", r->refused > 0 ? json_seconds(r->refused_at) : json_null());
	return o;
}

/* --- CAs ----------------------------------------------------------------------------------------------------- */

static json_t *
counts(const struct client_ca_report *r)
{
	json_t *o = json_object();

	json_put(o, "certificates", json_integer((json_int_t)r->certificates));
	json_put(o, "connected", json_integer((json_int_t)r->connected));
	for (unsigned i = 0; i < HOLDER_STATUSES; i++)
		json_put(o, holder_status_word((enum holder_status)i), json_integer((json_int_t)r->by_status[i]));
	json_put(o, "refused", json_integer((json_int_t)r->refused));
	json_put(o, "not_remembered", json_integer((json_int_t)r->left_out));
	json_put(o, "strangers_refused", json_integer((json_int_t)r->strangers));
	return o;
}

static json_t *
reasons(const struct client_ca_report *r)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < r->n_reasons; i++) {
		const struct drop_reason *each = &r->reasons[i];
		const char *says = each->says == DROP_YES ? "remark" : drop_verdict_word(each->says);
		json_add(a, json_pack("{s:s, s:s}", "says", says, "text", each->text));
	}
	return a;
}

static json_t *
client_ca(const struct client_ca_report *r, struct moment now)
{
	json_t *o = json_object();

	json_put(o, "name", json_string(r->name));
	json_put(o, "fingerprint", fingerprint(r->fingerprint));
	json_put(o, "not_after", json_seconds(r->not_after));
	json_put(o, "days_left", days_left(r->not_after, now));
	json_put(o, "pinned", json_boolean(r->pinned));
	json_put(o, "pinned_since", json_seconds(r->pinned_at));
	json_put(o, "pinned_until", r->until != INT64_MAX && r->pinned ? json_seconds(r->until) : json_null());
	json_put(o, "dropped", json_seconds(r->dropped_at));
	json_put(o, "watched_seconds", json_integer((json_int_t)r->watched_s));
	json_put(o, "counts", counts(r));
	json_put(o, "verdict", json_string(drop_verdict_word(r->verdict)));
	json_put(o, "may_drop", json_boolean(r->verdict == DROP_YES));
	json_put(o, "reasons", reasons(r));
	if (r->rows == NULL)
		return o;
	json_t *list = json_array();
	for (size_t i = 0; i < r->certificates; i++)
		json_add(list, certificate(&r->rows[i], now));
	json_put(o, "certificates", list);
	return o;
}

/* "Devices 2025" of "CN=Devices 2025,O=Bridge"; a name as it stands in a subject, so with what is escaped there. */
static bool
is_common_name(const char *name, struct sv word)
{
	struct sv s = sv_cstr(name), prefix = SV("CN=");

	return sv_starts(s, prefix) && s.n >= prefix.n + word.n && memcmp(s.p + prefix.n, word.p, word.n) == 0 &&
	       (s.n == prefix.n + word.n || s.p[prefix.n + word.n] == ',' || s.p[prefix.n + word.n] == '+');
}

/* By its name, the common name in it, or the beginning of its fingerprint. */
static bool
is_meant(const struct client_ca_report *r, const char *word)
{
	struct sv w = sv_cstr(word);
	char text[65];

	hex(r->fingerprint, text);
	return strcmp(r->name, word) == 0 || is_common_name(r->name, w) ||
	       (w.n >= PREFIX_LEAST && w.n <= 64 && sv_ieq(sv_of(text, w.n), w));
}

/* --- replies ------------------------------------------------------------------------------------------------- */

static json_t *
site(const struct client_cas_report *r)
{
	json_t *o = json_object();

	json_put(o, "site", json_string(r->site));
	json_put(o, "window_seconds", json_integer((json_int_t)r->window_s));
	json_put(o, "remember", json_integer((json_int_t)r->remember));
	return o;
}

/* Pins of the config whose day has not come; their files are not read until then. */
static json_t *
coming(const struct conf *conf, const char *name, struct moment now)
{
	json_t *list = json_array();

	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_site *s = &conf->sites[i];
		if (strcmp(conf_site_name(s), name) != 0)
			continue;
		for (size_t k = 0; k < s->client.n_pins; k++) {
			int64_t from = conf_pin_from(&s->client.pins[k]);
			if (from > now.wall)
				json_add(list, json_pack("{s:s, s:o}", "ca", s->client.pins[k].ca, "from", json_seconds(from)));
		}
	}
	return list;
}

char *
admin_client_cas_json(const struct admin *a)
{
	json_t *list = json_array();
	struct client_cas_report report;
	struct moment now = moment_now();
	struct client_cas *c = NULL;

	while ((c = client_ca_registry_next(a->client_cas, c)) != NULL) {
		if (client_cas_report(c, false, now, &report)) {
			json_t *o = site(&report), *cas = json_array();
			for (size_t i = 0; i < report.n_cas; i++)
				json_add(cas, client_ca(&report.cas[i], now));
			json_put(o, "cas", cas);
			json_add(list, o);
		}
		client_cas_report_free(&report);
	}
	return json_text(json_pack("{s:o}", "sites", list));
}

unsigned
admin_client_ca_json(const struct admin *a, struct client_cas *c, const char *word, char **out)
{
	struct client_cas_report report;
	struct moment now = moment_now();
	json_t *cas = json_array();

	*out = NULL;
	bool ok = client_cas_report(c, true, now, &report);
	for (size_t i = 0; ok && i < report.n_cas; i++)
		if (word == NULL || is_meant(&report.cas[i], word))
			json_add(cas, client_ca(&report.cas[i], now));
	size_t n = json_array_size(cas);
	json_t *o = ok ? site(&report) : NULL;
	if (o != NULL) {
		json_put(o, "cas", cas);
		json_put(o, "coming", coming(a->snapshot->conf, report.site, now));
	} else {
		json_decref(cas);
	}
	client_cas_report_free(&report);
	if (ok && word != NULL && n != 1) {
		json_decref(o);
		return n == 0 ? 404 : 409;
	}
	*out = json_text(o);
	return *out != NULL ? 200 : 503;
}
