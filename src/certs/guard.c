#include "certs/guard.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "certs/facts.h"

enum {
	NAMES_TOLD = 3,
	CA_TEXT = 100,
	DATE_TEXT = 32,
	LOSSES_LEAST = 120,
	WORDS_TEXT = 80,
	REFUSAL_TEXT = 240, /* of a refusal, but for path, bundle, command and losses */
	EXPIRY_SLACK = 3600, /* seconds; certificates of one batch do not end at the same moment */
};

static const char *const words[GUARD_KINDS] = {
#define X(name, word) [name] = word,
	CONF_LOSSES(X) GUARD_REMARKS(X)
#undef X
};

/* The two, and what was found. */
struct comparison {
	const struct tls_bundle *old, *new;
	struct cert_view old_leaf, new_leaf, old_top, new_top; /* top: the last of the chain that is served */
	const struct guard_rules *rules;
	struct guard_findings *out;
};

static void PRINTF_LIKE(3, 4)
add(struct comparison *c, unsigned kind, const char *fmt, ...)
{
	struct guard_finding *f = &c->out->v[c->out->n++];
	va_list ap;

	f->kind = words[kind];
	f->lossy = kind < CONF_LOSSES_N;
	f->accepted = f->lossy && ((c->rules->accept | c->rules->bundle->rotation.accept) & 1u << kind) != 0;
	if (f->lossy && !f->accepted)
		c->out->refused |= 1u << kind;
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* It was parsed before, when the bundle was loaded. */
static bool
view(const struct tls_bundle *b, unsigned i, struct cert_view *out)
{
	return cert_parse(b->chain[i]->bytes, b->chain[i]->size, out);
}

static void
date_text(int64_t at, char out[DATE_TEXT])
{
	time_t seconds = (time_t)at;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(out, DATE_TEXT, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		out[0] = '\0';
}

/* --- names -------------------------------------------------------------------------------------------------- */

/* Some of them are told, all are counted. */
struct name_list {
	char text[160];
	size_t length, n;
};

static void
list_add(struct name_list *l, const char *name)
{
	if (l->n++ >= NAMES_TOLD || l->length >= sizeof(l->text))
		return;
	int n = snprintf(l->text + l->length, sizeof(l->text) - l->length, "%s%s", l->n > 1 ? ", " : "", name);
	l->length += (size_t)MAX_OF(n, 0);
}

static void
more_text(const struct name_list *l, char out[32])
{
	out[0] = '\0';
	if (l->n > NAMES_TOLD)
		(void)snprintf(out, 32, " and %zu more", l->n - NAMES_TOLD);
}

/* Is `host` (or a certificate's "*.suffix") at any depth below a site's "*.suffix"? */
static bool
is_below(const char *host, const char *wildcard)
{
	struct sv name = sv_cstr(host), suffix = sv_cstr(wildcard + 1);

	return name.n > suffix.n && sv_ends(name, suffix);
}

/* How well a site's name fits: 0 not at all, more for the longer suffix, most for the name itself. */
static size_t
fit(const char *site_name, const char *host)
{
	if (site_name[0] == '*')
		return is_below(host, site_name) ? strlen(site_name) : 0;
	return strcmp(site_name, host) == 0 ? SIZE_MAX : 0;
}

/* The site that serves the name, as route/hosts.c has it; NULL: none. */
static const struct conf_site *
site_of(const struct conf *conf, const char *host)
{
	const struct conf_site *found = NULL, *preset = NULL;
	size_t best = 0;

	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_site *s = &conf->sites[i];
		preset = s->is_default ? s : preset;
		for (size_t k = 0; k < s->names.n; k++) {
			size_t n = fit(s->names.v[k], host);
			if (n <= best)
				continue;
			best = n;
			found = s;
		}
	}
	return found != NULL ? found : preset;
}

static bool
uses(const struct conf_site *s, const char *bundle)
{
	for (size_t i = 0; i < s->bundles.n; i++)
		if (strcmp(s->bundles.v[i], bundle) == 0)
			return true;
	return false;
}

/* One name of a certificate may stand for several of sites, and one of a site for several of certificates. */
static void
lost_names(const struct comparison *c, struct name_list *lost)
{
	const struct tls_facts *f = &c->old->facts;
	const struct conf *conf = c->rules->conf;
	const char *bundle = c->rules->bundle->name;
	bool any = c->rules->bundle->directory != NULL; /* what is served of it only the certificates say */

	for (size_t i = 0; i < f->n_names; i++) {
		const struct conf_site *s;
		if (tls_bundle_covers(c->new, f->names[i]))
			continue;
		if (any || ((s = site_of(conf, f->names[i])) != NULL && uses(s, bundle)))
			list_add(lost, f->names[i]);
	}
}

/* Hosts of sites that the old certificate covered by a wildcard: as a name of its own none of them was in it. */
static void
lost_hosts(const struct comparison *c, struct name_list *lost)
{
	const struct conf *conf = c->rules->conf;

	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_site *s = &conf->sites[i];
		for (size_t k = 0; uses(s, c->rules->bundle->name) && k < s->names.n; k++) {
			const char *host = s->names.v[k];
			bool named = false;
			for (size_t n = 0; n < c->old->facts.n_names; n++)
				named = named || strcmp(c->old->facts.names[n], host) == 0;
			if (!named && tls_bundle_covers(c->old, host) && !tls_bundle_covers(c->new, host))
				list_add(lost, host);
		}
	}
}

static size_t
uncovered(const struct tls_facts *names, const struct tls_bundle *by, struct name_list *out)
{
	for (size_t i = 0; i < names->n_names; i++)
		if (!tls_bundle_covers(by, names->names[i]))
			list_add(out, names->names[i]);
	return out->n;
}

static void
compare_names(struct comparison *c)
{
	struct name_list lost = {.n = 0}, all = {.n = 0};
	char more[32];

	if (uncovered(&c->old->facts, c->new, &all) == 0)
		return; /* of thousands of renewals hardly any loses a name, and sites are searched for those only */
	lost_names(c, &lost);
	lost_hosts(c, &lost);
	if (lost.n == 0)
		return;
	more_text(&lost, more);
	add(c, CONF_LOST_NAMES, "it does not cover %s%s, served with the one in service", lost.text, more);
}

static void
remark_names(struct comparison *c)
{
	struct name_list gained = {.n = 0};
	char more[32];

	if (uncovered(&c->new->facts, c->old, &gained) == 0)
		return;
	more_text(&gained, more);
	add(c, GUARD_GAINED_NAMES, "it covers %s%s as well", gained.text, more);
}

/* --- dates -------------------------------------------------------------------------------------------------- */

static void
duration_text(int64_t s, char out[DATE_TEXT])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t i = 0;

	while (i + 1 < COUNTOF(units) && s < 2 * units[i].seconds && s != units[i].seconds)
		i++;
	int64_t n = s / units[i].seconds;
	(void)snprintf(out, DATE_TEXT, "%" PRId64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
}

static void
compare_expiry(struct comparison *c)
{
	int64_t earlier = c->old->facts.not_after - c->new->facts.not_after;
	char date[DATE_TEXT], by[DATE_TEXT];

	date_text(c->new->facts.not_after, date);
	if (earlier <= EXPIRY_SLACK)
		return;
	duration_text(earlier, by);
	add(c, CONF_EARLIER_EXPIRY, "it ends on %s, %s before the one in service", date, by);
}

static void
remark_expiry(struct comparison *c)
{
	int64_t later = c->new->facts.not_after - c->old->facts.not_after;
	char date[DATE_TEXT], by[DATE_TEXT];

	if (later <= 0)
		return;
	date_text(c->new->facts.not_after, date);
	duration_text(later, by);
	add(c, GUARD_LATER_EXPIRY, "it ends on %s, %s after the one before", date, by);
}

/* No text changes with the time, else each look at the files would tell it anew. */
static void
compare_freshness(struct comparison *c)
{
	int64_t fresh = (int64_t)(c->rules->bundle->rotation.fresh / 1000), begin = c->new->facts.not_before;
	char date[DATE_TEXT], wanted[DATE_TEXT], due[DATE_TEXT];

	if (c->rules->now - begin >= fresh)
		return;
	date_text(begin, date);
	date_text(begin + fresh, due);
	duration_text(fresh, wanted);
	add(c, CONF_TOO_FRESH, "it is valid only since %s, so clients with slow clocks reject it (fresh: %s, until %s)",
	    date, wanted, due);
}

/* --- who issued it ------------------------------------------------------------------------------------------ */

/* Do both name the same issuer? Where one does not tell the issuer's key, its name has to do. */
static bool
same_issuer(const struct cert_view *a, const struct cert_view *b)
{
	return asn1_eq(a->issuer, b->issuer) &&
	    (a->authority_key_id.n == 0 || b->authority_key_id.n == 0 || asn1_eq(a->authority_key_id, b->authority_key_id));
}

/* One that is signed by itself is its own root. */
static bool
same_root(const struct cert_view *a, const struct cert_view *b)
{
	if (cert_self_issued(a) || cert_self_issued(b))
		return asn1_eq(a->subject, b->subject) && asn1_eq(a->public_key, b->public_key);
	return same_issuer(a, b);
}

/*
 * Does the new chain hold the CA at which the old one ended, and go on? Then who trusts that CA finds it (a cross-signed
 * root, or an intermediate that was missing).
 */
static bool
holds_issuer(const struct tls_bundle *chain, const struct cert_view *top)
{
	struct cert_view v;

	for (unsigned i = 1; i < chain->n_chain; i++)
		if (view(chain, i, &v) && cert_issued_by(top, &v))
			return true;
	return false;
}

static void
compare_root(struct comparison *c)
{
	char before[CA_TEXT], now[CA_TEXT];

	if (same_root(&c->old_top, &c->new_top) || (!cert_self_issued(&c->old_top) && holds_issuer(c->new, &c->old_top)))
		return;
	cert_name_text(c->old_top.issuer, before, sizeof(before));
	cert_name_text(c->new_top.issuer, now, sizeof(now));
	if (holds_issuer(c->old, &c->new_top))
		add(c, CONF_ANOTHER_ROOT, "its chain stops at \"%s\", whose certificate is missing, that of the one in "
		    "service goes on to \"%s\"", now, before);
	else if (asn1_eq(c->old_top.issuer, c->new_top.issuer))
		add(c, CONF_ANOTHER_ROOT, "its chain ends at another key of \"%s\" than that of the one in service", now);
	else
		add(c, CONF_ANOTHER_ROOT, "its chain ends at \"%s\", that of the one in service at \"%s\"", now, before);
}

static void
remark_issuer(struct comparison *c)
{
	char before[CA_TEXT], now[CA_TEXT];

	if (same_issuer(&c->old_leaf, &c->new_leaf))
		return;
	cert_name_text(c->old_leaf.issuer, before, sizeof(before));
	cert_name_text(c->new_leaf.issuer, now, sizeof(now));
	add(c, GUARD_ANOTHER_ISSUER, "it is issued by \"%s\", the one before by \"%s\"", now, before);
}

/* --- the key ------------------------------------------------------------------------------------------------ */

/* NIST SP 800-57 part 1, table 2. RSA between two rows counts as the lower: 4096 bits as 3072, so as P-256. */
static unsigned
security_bits(const struct cert_view *v)
{
	static const struct {
		unsigned bits, security;
	} rsa[] = {{15360, 256}, {7680, 192}, {3072, 128}, {2048, 112}, {1024, 80}};

	if (v->key_type == TLS_KEY_EC)
		return v->key_bits / 2;
	if (v->key_type == TLS_KEY_ED)
		return v->key_bits <= 256 ? 128 : 224;
	for (size_t i = 0; v->key_type == TLS_KEY_RSA && i < COUNTOF(rsa); i++)
		if (v->key_bits >= rsa[i].bits)
			return rsa[i].security;
	return 0;
}

static void
key_text(const struct cert_view *v, char out[DATE_TEXT])
{
	static const char *const types[] = {
	    [TLS_KEY_RSA] = "RSA", [TLS_KEY_EC] = "EC", [TLS_KEY_ED] = "Edwards", [TLS_KEY_OTHER] = "unknown"};

	(void)snprintf(out, DATE_TEXT, "%s %u", types[v->key_type], v->key_bits);
}

static void
compare_strength(struct comparison *c)
{
	unsigned before = security_bits(&c->old_leaf), now = security_bits(&c->new_leaf);
	char old[DATE_TEXT], new[DATE_TEXT];

	if (now >= before)
		return;
	key_text(&c->old_leaf, old);
	key_text(&c->new_leaf, new);
	add(c, CONF_WEAKER_KEY, "its key, %s, is as strong as %u bits, that of the one in service, %s, as %u", new, now,
	    old, before);
}

static void
remark_key(struct comparison *c)
{
	char old[DATE_TEXT], new[DATE_TEXT];

	key_text(&c->old_leaf, old);
	key_text(&c->new_leaf, new);
	if (asn1_eq(c->old_leaf.public_key, c->new_leaf.public_key))
		add(c, GUARD_SAME_KEY, "its key is the one before (%s)", new);
	else if (c->old_leaf.key_type != c->new_leaf.key_type)
		add(c, GUARD_KEY_TYPE, "its key is %s, the one before was %s", new, old);
	else
		add(c, GUARD_NEW_KEY, "its key is a new one (%s)", new);
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

static void
compare_losses(struct comparison *c)
{
	compare_names(c);
	compare_expiry(c);
	compare_root(c);
	compare_strength(c);
	compare_freshness(c);
}

static void
remark(struct comparison *c)
{
	remark_names(c);
	remark_expiry(c);
	remark_issuer(c);
	remark_key(c);
	if (strcmp(c->old->facts.serial, c->new->facts.serial) != 0)
		add(c, GUARD_SERIAL, "its serial is %s, the one before had %s", c->new->facts.serial, c->old->facts.serial);
}

void
guard_compare(const struct tls_bundle *old, const struct tls_bundle *new, const struct guard_rules *rules,
    struct guard_findings *out)
{
	struct comparison c = {.old = old, .new = new, .rules = rules, .out = out};

	out->n = 0;
	out->refused = 0;
	if (!view(old, 0, &c.old_leaf) || !view(old, old->n_chain - 1, &c.old_top) || !view(new, 0, &c.new_leaf) ||
	    !view(new, new->n_chain - 1, &c.new_top))
		return;
	compare_losses(&c);
	remark(&c);
}

/* "…, and …": what is refused, cut to `room` bytes, so that how to accept it is never cut. */
static void
losses_text(const struct guard_findings *f, char *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n && n < room; i++)
		if (f->v[i].lossy && !f->v[i].accepted)
			n += (size_t)snprintf(out + n, room - n, "%s%s", n > 0 ? ", and " : "", f->v[i].text);
	if (n >= room)
		memcpy(out + room - 4, "...", 4);
}

static void
words_text(unsigned losses, char out[WORDS_TEXT])
{
	size_t n = 0;

	for (unsigned i = 0; i < CONF_LOSSES_N && n < WORDS_TEXT; i++)
		if ((losses & 1u << i) != 0)
			n += (size_t)snprintf(out + n, WORDS_TEXT - n, "%s%s", n > 0 ? "," : "", words[i]);
}

bool
guard_passes(const struct guard_findings *f, const struct tls_bundle *old, const char *path, const char *bundle,
    const char *command, struct err *err)
{
	char losses[sizeof(err->text)], accept[WORDS_TEXT], what[48] = "what is there";
	size_t others = strlen(path) + strlen(bundle) + strlen(command) + REFUSAL_TEXT;

	if (f->refused == 0)
		return true;
	losses_text(f, losses, others + LOSSES_LEAST < sizeof(losses) ? sizeof(losses) - others : LOSSES_LEAST);
	words_text(f->refused, accept);
	if (old->generation != 0)
		(void)snprintf(what, sizeof(what), "generation %" PRIu64, old->generation);
	return err_set(err,
	    "%s: not taken in place of %s: %s; if that is meant: `%s --accept %s`, or the "
	    "same words as \"accept\" in \"rotation\" of bundle \"%s\"",
	    path, what, losses, command, accept, bundle);
}

/* The losses that were accepted this time only are to be accepted again. */
bool
guard_awaits_start(const struct guard_findings *f, const struct guard_rules *rules, const char *path, const char *name,
    struct err *err)
{
	char accept[WORDS_TEXT] = "";
	unsigned again = 0;

	for (size_t i = 0; i < f->n; i++)
		for (unsigned k = 0; k < CONF_LOSSES_N; k++)
			if (f->v[i].lossy && strcmp(f->v[i].kind, words[k]) == 0)
				again |= 1u << k & ~rules->bundle->rotation.accept;
	words_text(again, accept);
	return err_set(err, "%s: is fine, and waits, since \"start\" is \"manual\": `bascule rotation start %s%s%s` begins", path, name,
	    again != 0 ? " --accept " : "", accept);
}
