#include "tls/trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "certs/der.h"
#include "certs/pem.h"
#include "tls/stream.h"

enum { PIN_FILE_MAX = 1024 * 1024, CRL_FILE_MAX = 64 * 1024 * 1024, NAME_TEXT = 160 };

/* --- lists --- */

void
der_list_free(struct der_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		tls_der_unref(l->v[i]);
	free(l->v);
	*l = (struct der_list){NULL, 0, 0};
}

/* Takes over the reference, also when it fails. */
static bool
add(struct der_list *l, struct tls_der *der, const struct tls_thread *t, struct err *err)
{
	if (l->n == l->capacity) {
		size_t more = l->capacity == 0 ? 4 : l->capacity * 2;
		struct tls_der **grown = reallocarray(l->v, more, sizeof(struct tls_der *));
		if (grown == NULL) {
			tls_der_unref(der);
			return err_no_memory(err);
		}
		l->v = grown;
		l->capacity = more;
	}
	l->v[l->n++] = der;
	return EVP_Digest(der->bytes, der->size, der->sha256, NULL, t->sha256, NULL) == 1 || err_no_memory(err);
}

static int
by_sha256(const void *a, const void *b)
{
	const struct tls_der *const *x = a, *const *y = b;

	return memcmp((*x)->sha256, (*y)->sha256, sizeof((*x)->sha256));
}

static void
sort_and_unite(struct der_list *l)
{
	size_t n = 0;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof(struct tls_der *), by_sha256);
	for (size_t i = 0; i < l->n; i++) {
		if (n > 0 && by_sha256(&l->v[n - 1], &l->v[i]) == 0)
			tls_der_unref(l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

/* --- what is found --- */

/* The file serves, and next time it is read again, whether it has changed or not: who looks is to see the warning. */
static void PRINTF_LIKE(3, 4)
warn(struct trust_reader *r, const char *key, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_warning(r->problems, &r->at, key, "%s", text);
	r->good_until = MIN_OF(r->good_until, r->now);
}

/* Judges one object as it is added. False with `err` set. */
typedef bool (*judge_fn)(struct trust_reader *r, const char *path, const struct tls_der *der, struct err *err);

/* All blocks with this label. */
static bool
add_pem(struct der_list *l, struct trust_reader *r, const char *path, struct sv text, struct sv label, judge_fn judge,
    struct err *err)
{
	struct pem_reader pem = {.path = path, .file = text, .rest = text};
	struct pem_block b;
	enum pem_result result;

	while ((result = pem_next(&pem, &b, err)) == PEM_BLOCK) {
		if (!sv_eq(b.label, label))
			continue;
		struct tls_der *der = tls_der_new(pem_decoded_max(&b));
		if (der == NULL)
			return err_no_memory(err);
		der->size = (uint32_t)pem_decode(&pem, &b, der->bytes, err);
		if (der->size == 0 || !judge(r, path, der, err)) {
			tls_der_unref(der);
			return false;
		}
		if (!add(l, der, r->thread, err))
			return false;
	}
	return result == PEM_END;
}

/* --- pins --- */

/* The same CA whichever of its certificates is pinned: one that was renewed with its key vouches for the same clients. */
static bool
identify(const struct cert_view *v, const struct tls_thread *t, unsigned char out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, t->sha256, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, v->subject.p, v->subject.n) == 1 &&
	    EVP_DigestUpdate(ctx, v->algorithm.p, v->algorithm.n) == 1 && EVP_DigestUpdate(ctx, v->public_key.p, v->public_key.n) == 1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* As the names of clients and their issuers are written; one that is too long for that is cut. */
static void
name_pin(struct tls_pin *pin, const struct cert_view *v)
{
	const unsigned char *p = v->subject.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)v->subject.n);

	if (name != NULL)
		tls_name_text(name, pin->name, sizeof(pin->name));
	if (pin->name[0] == '\0')
		cert_name_text(v->subject, pin->name, sizeof(pin->name));
	X509_NAME_free(name);
}

/* Pinned twice it is trusted until the later of the two ends. */
static bool
note_pin(struct trust_reader *r, const struct tls_der *der, const struct cert_view *v)
{
	struct tls_pin pin = {.not_after = v->not_after, .until = r->until};

	if (!identify(v, r->thread, pin.id) || EVP_Digest(der->bytes, der->size, pin.sha256, NULL, r->thread->sha256, NULL) != 1)
		return false;
	name_pin(&pin, v);
	for (size_t i = 0; i < r->n_pins; i++)
		if (memcmp(r->pins[i].sha256, pin.sha256, sizeof(pin.sha256)) == 0) {
			r->pins[i].until = MAX_OF(r->pins[i].until, pin.until);
			return true;
		}
	struct tls_pin *more = reallocarray(r->pins, r->n_pins + 1, sizeof(*more));
	if (more == NULL)
		return false;
	r->pins = more;
	r->pins[r->n_pins++] = pin;
	return true;
}

static bool
judge_pin(struct trust_reader *r, const char *path, const struct tls_der *der, struct err *err)
{
	struct cert_view v;
	char subject[NAME_TEXT];

	if (!cert_parse(der->bytes, der->size, &v))
		return err_set(err, "%s: a certificate in it is damaged; get it again from its issuer", path);
	cert_name_text(v.subject, subject, sizeof(subject));
	if (!cert_is_ca(&v))
		return err_set(err,
		    "%s is not a CA certificate: \"%s\" may not issue others; pin the CA that issued the clients' "
		    "certificates",
		    path, subject);
	if (v.not_after < r->now)
		warn(r, "ca", "%s: the pinned CA \"%s\" has expired: clients whose certificates it issued are refused",
		    path, subject);
	r->good_until = MIN_OF(r->good_until, v.not_after);
	return note_pin(r, der, &v) || err_no_memory(err);
}

static bool
read_pin(struct der_list *out, struct trust_reader *r, const char *path, struct err *err)
{
	struct buf content;
	size_t before = out->n;

	buf_init(&content, PIN_FILE_MAX);
	bool ok = files_read(r->files, path, &content, NULL, err) &&
	    add_pem(out, r, path, buf_view(&content), SV("CERTIFICATE"), judge_pin, err);
	buf_clear(&content);
	if (ok && out->n == before)
		return err_set(err, "%s: no certificate in PEM in it; put the CA's certificate there", path);
	return ok;
}

/* By its dates. The day on which that changes, the policy is read anew. */
static bool
is_in_force(struct trust_reader *r, const struct conf_pin *p)
{
	int64_t from = conf_pin_from(p), until = conf_pin_until(p);

	if (from > r->now)
		r->good_until = MIN_OF(r->good_until, from);
	if (until > r->now)
		r->good_until = MIN_OF(r->good_until, until);
	return from <= r->now && r->now < until;
}

bool
trust_read_pins(struct der_list *out, struct trust_reader *r)
{
	unsigned errors = r->problems->errors;
	struct err err;

	for (size_t i = 0; i < r->conf->n_pins; i++) {
		const struct conf_pin *pin = &r->conf->pins[i];
		r->at = conf_place(&pin->at, &pin->ca);
		r->until = conf_pin_until(pin);
		if (is_in_force(r, pin) && !read_pin(out, r, pin->ca, &err))
			conf_error(r->problems, &r->at, "ca", "%s", err.text);
	}
	sort_and_unite(out);
	if (out->n == 0 && r->problems->errors == errors) {
		r->at = r->conf->at;
		warn(r, "pins", "by their dates none is in force: no client certificate is accepted");
	}
	return r->problems->errors == errors;
}

/* --- CRLs --- */

static X509_CRL *
decode_crl(const struct tls_der *der, const struct tls_thread *t)
{
	const unsigned char *p = der->bytes;
	X509_CRL *crl = X509_CRL_new_ex(t->lib, NULL);

	if (crl != NULL && d2i_X509_CRL(&crl, &p, (long)der->size) != NULL && p == der->bytes + der->size)
		return crl;
	X509_CRL_free(crl);
	ERR_clear_error();
	return NULL;
}

/* The issuer's whole Name (RFC 5280, 5.1). */
static bool
crl_issuer(const struct tls_der *der, struct asn1 *out)
{
	struct asn1 file = {der->bytes, der->size}, list, tbs, skipped;

	if (!asn1_next(&file, DER_SEQUENCE, &list) || !asn1_next(&list, DER_SEQUENCE, &tbs))
		return false;
	(void)asn1_next(&tbs, DER_INTEGER, &skipped); /* the version, absent in v1 */
	return asn1_next(&tbs, DER_SEQUENCE, &skipped) && asn1_next_whole(&tbs, DER_SEQUENCE, out);
}

/* When there should be a new one; a list need not tell (RFC 5280 asks for it, older ones do without). */
static int64_t
crl_good_until(const X509_CRL *crl)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	struct tm tm;

	return next != NULL && ASN1_TIME_to_tm(next, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

static bool
judge_crl(struct trust_reader *r, const char *path, const struct tls_der *der, struct err *err)
{
	X509_CRL *crl = decode_crl(der, r->thread);
	char issuer[NAME_TEXT];
	struct asn1 name;

	if (crl == NULL || !crl_issuer(der, &name)) {
		X509_CRL_free(crl);
		return err_set(err, "%s: a CRL in it is damaged; get it again from its CA", path);
	}
	cert_name_text(name, issuer, sizeof(issuer));
	int64_t until = crl_good_until(crl);
	r->good_until = MIN_OF(r->good_until, until);
	if (until < r->now)
		warn(r, "crls",
		    "%s: the CRL of \"%s\" is out of date: until there is a new one, clients whose certificates "
		    "this CA issued are refused",
		    path, issuer);
	else if (X509_cmp_time(X509_CRL_get0_lastUpdate(crl), NULL) > 0)
		warn(r, "crls", "%s: the CRL of \"%s\" is from the future: until then, clients whose certificates this CA "
		    "issued are refused; is this machine's clock right?", path, issuer);
	X509_CRL_free(crl);
	return true;
}

static bool
add_crl_der(struct der_list *out, struct trust_reader *r, const char *path, struct sv content, struct err *err)
{
	struct tls_der *der = tls_der_new(content.n);

	if (der == NULL)
		return err_no_memory(err);
	memcpy(der->bytes, content.p, content.n);
	der->size = (uint32_t)content.n;
	if (judge_crl(r, path, der, err))
		return add(out, der, r->thread, err);
	tls_der_unref(der);
	return false;
}

static bool
read_crl(struct der_list *out, struct trust_reader *r, const char *path, struct err *err)
{
	struct buf content;
	size_t before = out->n;

	buf_init(&content, CRL_FILE_MAX);
	bool ok = files_read(r->files, path, &content, NULL, err);
	struct sv text = buf_view(&content);
	if (ok && text.n > 0 && (unsigned char)text.p[0] == DER_SEQUENCE)
		ok = add_crl_der(out, r, path, text, err);
	else if (ok)
		ok = add_pem(out, r, path, text, SV("X509 CRL"), judge_crl, err);
	buf_clear(&content);
	if (ok && out->n == before)
		return err_set(err, "%s: no CRL in it, neither PEM nor DER; put the CA's CRL there", path);
	return ok;
}

bool
trust_read_crls(struct der_list *out, struct trust_reader *r)
{
	unsigned errors = r->problems->errors;
	struct err err;

	for (size_t i = 0; i < r->conf->crls.n; i++) {
		r->at = conf_place(&r->conf->at, &r->conf->crls.v[i]);
		if (!read_crl(out, r, r->conf->crls.v[i], &err))
			conf_error(r->problems, &r->at, "crls", "%s", err.text);
	}
	sort_and_unite(out);
	return r->problems->errors == errors;
}

/* --- together --- */

static bool
has_crl_of(const struct der_list *crls, struct asn1 subject)
{
	struct asn1 issuer;

	for (size_t i = 0; i < crls->n; i++)
		if (crl_issuer(crls->v[i], &issuer) && asn1_eq(issuer, subject))
			return true;
	return false;
}

static bool
issuer_is_pinned(const struct der_list *pins, const struct cert_view *c)
{
	struct cert_view other;

	for (size_t i = 0; i < pins->n; i++)
		if (cert_parse(pins->v[i]->bytes, pins->v[i]->size, &other) && cert_issued_by(c, &other))
			return true;
	return false;
}

bool
trust_check(const struct der_list *pins, const struct der_list *crls, struct trust_reader *r)
{
	struct cert_view v;
	char subject[NAME_TEXT];

	r->at = conf_place(&r->conf->at, &r->conf->crls);
	for (size_t i = 0; crls->n > 0 && i < pins->n; i++) {
		if (!cert_parse(pins->v[i]->bytes, pins->v[i]->size, &v))
			continue;
		cert_name_text(v.subject, subject, sizeof(subject));
		if (!has_crl_of(crls, v.subject))
			warn(r, "crls", "there are CRLs, but none of the pinned CA \"%s\": clients whose certificates it "
			    "issued itself are refused; add its CRL", subject);
		/* OpenSSL looks up each member of the chain, the pin among them, in its issuer's CRL. */
		if (r->conf->crl_check != CONF_CRL_CHAIN || issuer_is_pinned(pins, &v))
			continue;
		r->at = conf_place(&r->conf->at, &r->conf->crl_check);
		conf_error(r->problems, &r->at, "crl_check",
		    "the pinned CA \"%s\" is an intermediate, whose own revocation can not be checked without "
		    "its issuer; pin the root instead, or set it to \"leaf\"",
		    subject);
		return false;
	}
	return true;
}
