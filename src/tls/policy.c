#include "tls/policy.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tls/private.h"
#include "tls/trust.h"

struct tls_policy_private {
	/* The background thread's. */
	unsigned char files[32]; /* SHA-256 over settings, paths and stamps */
	int64_t read_at;         /* seconds of the epoch: by the dates in it, it is right from then on (clocks are put back), */
	int64_t good_until;      /* until there is something to warn about, or a pin comes or goes */

	/* Constant. */
	struct der_list pins, crls;
	struct tls_pin *facts; /* of the pins; `until` is the background thread's */
	size_t n_facts;
	int depth;
	enum conf_crl_check crl_check;

	/* Each thread's own, made on first use. */
	X509_STORE *stores[TLS_THREADS_MAX];
	STACK_OF(X509_NAME) *names[TLS_THREADS_MAX];
};

struct tls_policy *
tls_policy_ref(struct tls_policy *p)
{
	__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void
tls_policy_unref(struct tls_policy *p)
{
	if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	struct tls_policy_private *own = p->private;
	for (unsigned i = 0; i < TLS_THREADS_MAX; i++) {
		X509_STORE_free(own->stores[i]);
		sk_X509_NAME_pop_free(own->names[i], X509_NAME_free);
	}
	der_list_free(&own->pins);
	der_list_free(&own->crls);
	free(own->facts);
	free(own);
	free(p);
}

/* --- loading --- */

/* A file without a stamp is told of when it is read. */
static bool
hash_file(EVP_MD_CTX *ctx, const char *path, struct files *files)
{
	struct file_stamp stamp = {0};

	(void)files->stamp(files, path, &stamp, NULL);
	return EVP_DigestUpdate(ctx, path, strlen(path) + 1) == 1 && EVP_DigestUpdate(ctx, &stamp, sizeof(stamp)) == 1;
}

/* A date that was moved changes who is trusted today, or the day on which that changes. */
static bool
hash_dates(EVP_MD_CTX *ctx, const struct conf_pin *p)
{
	const int64_t dates[] = {conf_pin_from(p), conf_pin_until(p)};

	return EVP_DigestUpdate(ctx, dates, sizeof(dates)) == 1;
}

/* What a policy does besides whom it trusts. */
static bool
hash_settings(EVP_MD_CTX *ctx, const struct conf_client_certificate *c, const struct tls_thread *t)
{
	const uint64_t settings[] = {c->mode, c->crl_check, c->depth, c->n_pins, c->crls.n};

	return ctx != NULL && EVP_DigestInit_ex2(ctx, t->sha256, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, settings, c->mode == CONF_CLIENT_NONE ? sizeof(settings[0]) : sizeof(settings)) == 1;
}

/* What tells, without reading, that nothing has changed. */
static bool
hash_files(const struct conf_client_certificate *c, struct files *files, const struct tls_thread *t,
    unsigned char out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = hash_settings(ctx, c, t);

	if (c->mode != CONF_CLIENT_NONE) {
		for (size_t i = 0; ok && i < c->n_pins; i++)
			ok = hash_dates(ctx, &c->pins[i]) && hash_file(ctx, c->pins[i].ca, files);
		for (size_t i = 0; ok && i < c->crls.n; i++)
			ok = hash_file(ctx, c->crls.v[i], files);
	}
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool
hash_list(EVP_MD_CTX *ctx, const struct der_list *l)
{
	const uint64_t n = l->n;
	bool ok = EVP_DigestUpdate(ctx, &n, sizeof(n)) == 1;

	for (size_t i = 0; ok && i < l->n; i++)
		ok = EVP_DigestUpdate(ctx, l->v[i]->sha256, sizeof(l->v[i]->sha256)) == 1;
	return ok;
}

/* By content: how many files it came from, and in what order, does not matter. */
static bool
make_identity(struct tls_policy *p, const struct tls_thread *t)
{
	const struct tls_policy_private *own = p->private;
	const uint64_t settings[] = {p->mode, own->crl_check, (uint64_t)own->depth};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, t->sha256, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, settings, p->mode == CONF_CLIENT_NONE ? sizeof(settings[0]) : sizeof(settings)) ==
	        1 &&
	    hash_list(ctx, &own->pins) && hash_list(ctx, &own->crls) && EVP_DigestFinal_ex(ctx, p->identity, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static struct tls_policy *
new_policy(const struct conf_client_certificate *c)
{
	struct tls_policy *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->private = calloc(1, sizeof(*p->private))) == NULL) {
		free(p);
		return NULL;
	}
	p->refs = 1;
	p->mode = c->mode;
	p->private->depth = (int)MIN_OF(c->depth, (uint64_t)INT_MAX);
	p->private->crl_check = c->crl_check;
	return p;
}

static bool
read_trust(struct tls_policy *p, struct trust_reader *r)
{
	struct tls_policy_private *own = p->private;

	if (p->mode == CONF_CLIENT_NONE)
		return true;
	if (r->conf->n_pins == 0) {
		conf_error(r->problems, &r->conf->at, "client_certificate",
		    "without pins it would trust nobody; add the CA that issues the clients' certificates to \"pins\"");
		return false;
	}
	bool ok = trust_read_pins(&own->pins, r);
	own->facts = r->pins;
	own->n_facts = r->n_pins;
	ok &= trust_read_crls(&own->crls, r);
	return ok && trust_check(&own->pins, &own->crls, r);
}

/* All that is read again at each load: what has changed, and what there is something to warn about. */
static bool
is_fresh(const struct tls_policy *p, const unsigned char files[32], int64_t now)
{
	return p != NULL && p->private->read_at <= now && now < p->private->good_until &&
	       memcmp(p->private->files, files, sizeof(p->private->files)) == 0;
}

/* The same pins; the dates at which they end may be others. */
static void
adopt_dates(struct tls_policy_private *to, const struct tls_policy_private *from)
{
	for (size_t i = 0; i < to->n_facts; i++)
		for (size_t k = 0; k < from->n_facts; k++)
			if (memcmp(to->facts[i].sha256, from->facts[k].sha256, sizeof(to->facts[i].sha256)) == 0)
				to->facts[i].until = from->facts[k].until;
}

static struct tls_policy *
no_memory(struct tls_policy *p, struct trust_reader *r)
{
	conf_error(r->problems, &r->conf->at, "client_certificate", "out of memory");
	tls_policy_unref(p);
	return NULL;
}

struct tls_policy *
tls_policy_load(const struct conf_client_certificate *c, struct tls_policy *previous, struct files *files,
    struct tls_thread *thread, struct conf_problems *problems)
{
	struct trust_reader r = {.conf = c, .files = files, .thread = thread, .problems = problems,
	    .now = (int64_t)(clock_wall_us() / 1000000), .good_until = INT64_MAX};
	unsigned char now[32];

	/* Stamps before content: what is written in between makes them stale, and is read next time. */
	if (!hash_files(c, files, thread, now))
		return no_memory(NULL, &r);
	if (is_fresh(previous, now, r.now))
		return tls_policy_ref(previous);
	struct tls_policy *p = new_policy(c);
	if (p == NULL)
		return no_memory(NULL, &r);
	if (!read_trust(p, &r)) {
		tls_policy_unref(p);
		return NULL;
	}
	if (!make_identity(p, thread))
		return no_memory(p, &r);
	if (previous != NULL && tls_policy_same(previous, p)) {
		adopt_dates(previous->private, p->private);
		tls_policy_unref(p);
		p = tls_policy_ref(previous);
	}
	memcpy(p->private->files, now, sizeof(now));
	p->private->good_until = r.good_until;
	p->private->read_at = r.now;
	return p;
}

const struct tls_pin *
tls_policy_pins(const struct tls_policy *p, size_t *n)
{
	*n = p->private->n_facts;
	return p->private->facts;
}

static const struct tls_pin *
find_pin(const struct tls_policy_private *own, const unsigned char sha256[32])
{
	for (size_t i = 0; i < own->n_facts; i++)
		if (memcmp(own->facts[i].sha256, sha256, sizeof(own->facts[i].sha256)) == 0)
			return &own->facts[i];
	return NULL;
}

const struct tls_pin *
tls_policy_pin(const struct tls_policy *p, const X509 *ca, const struct tls_thread *t)
{
	unsigned char sha256[32];

	return X509_digest(ca, t->sha256, sha256, NULL) == 1 ? find_pin(p->private, sha256) : NULL;
}

const struct tls_pin *
tls_policy_issuer(const struct tls_policy *p, const struct cert_view *leaf)
{
	const struct der_list *pins = &p->private->pins;
	struct cert_view v;

	for (size_t i = 0; i < pins->n; i++)
		if (cert_parse(pins->v[i]->bytes, pins->v[i]->size, &v) && cert_issued_by(leaf, &v))
			return find_pin(p->private, pins->v[i]->sha256);
	return NULL;
}

void
tls_policy_text(const struct tls_policy *p, char *out, size_t size)
{
	const struct tls_policy_private *own = p->private;

	(void)snprintf(out, size, "%zu CA%s and %zu CRL%s are in force", own->pins.n, own->pins.n == 1 ? "" : "s", own->crls.n,
	    own->crls.n == 1 ? "" : "s");
}

/* --- per thread --- */

static bool
add_pins(X509_STORE *store, STACK_OF(X509_NAME) *names, const struct der_list *pins, const struct tls_thread *t)
{
	for (size_t i = 0; i < pins->n; i++) {
		const unsigned char *der = pins->v[i]->bytes;
		X509 *x = X509_new_ex(t->lib, NULL);
		bool ok = x != NULL && d2i_X509(&x, &der, (long)pins->v[i]->size) != NULL &&
		    X509_STORE_add_cert(store, x) == 1;
		X509_NAME *name = ok ? X509_NAME_dup(X509_get_subject_name(x)) : NULL;
		X509_free(x);
		if (name == NULL || sk_X509_NAME_push(names, name) <= 0) {
			X509_NAME_free(name);
			return false;
		}
	}
	return true;
}

static bool
add_crls(X509_STORE *store, const struct der_list *crls, const struct tls_thread *t)
{
	for (size_t i = 0; i < crls->n; i++) {
		const unsigned char *der = crls->v[i]->bytes;
		X509_CRL *crl = X509_CRL_new_ex(t->lib, NULL);
		bool ok = crl != NULL && d2i_X509_CRL(&crl, &der, (long)crls->v[i]->size) != NULL &&
		    X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
		if (!ok)
			return false;
	}
	return true;
}

/* Whatever is pinned ends the chain, also an intermediate (PARTIAL_CHAIN); a CRL, once given, must cover. */
static bool
set_rules(X509_STORE *store, const struct tls_policy_private *own)
{
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;

	if (own->crls.n > 0)
		flags |= X509_V_FLAG_CRL_CHECK | (own->crl_check == CONF_CRL_CHAIN ? X509_V_FLAG_CRL_CHECK_ALL : 0);
	return X509_STORE_set_flags(store, flags) == 1 && X509_STORE_set_depth(store, own->depth) == 1;
}

static bool
make_thread_objects(struct tls_policy_private *own, const struct tls_thread *t)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

	if (store != NULL && names != NULL && add_pins(store, names, &own->pins, t) && add_crls(store, &own->crls, t) &&
	    set_rules(store, own)) {
		own->stores[t->slot] = store;
		own->names[t->slot] = names;
		return true;
	}
	ERR_clear_error();
	X509_STORE_free(store);
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	return false;
}

static bool
ready(struct tls_policy *p, const struct tls_thread *t)
{
	return p->mode != CONF_CLIENT_NONE &&
	    (p->private->stores[t->slot] != NULL || make_thread_objects(p->private, t));
}

X509_STORE *
tls_policy_store(struct tls_policy *p, struct tls_thread *t)
{
	return ready(p, t) ? p->private->stores[t->slot] : NULL;
}

STACK_OF(X509_NAME) *
tls_policy_names(struct tls_policy *p, struct tls_thread *t)
{
	return ready(p, t) ? p->private->names[t->slot] : NULL;
}
