#include "pki/make.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "certs/facts.h"
#include "pki/key.h"
#include "pki/things.h"
#include "pki/words.h"

enum {
	SERIAL_BYTES = 16,    /* RFC 5280, 4.1.2.2 allows 20; CAs are held to 64 random bits at least */
	BACKDATE_S = 3600,    /* so that clients whose clocks are slow take it at once */
	DAY_S = 86400,
};

static bool
fail(const char *what, struct err *err)
{
	char why[200];

	tls_error_text(why, sizeof(why));
	return err_set(err, "%s: %s", what, why);
}

/* --- the issuer --- */

/* Without a suffix that people leave on. */
static struct sv
stem_of(const char *name)
{
	static const struct sv suffixes[] = {{".crt", 4}, {".pem", 4}, {".key", 4}};
	struct sv s = sv_cstr(name);

	for (size_t i = 0; i < COUNTOF(suffixes); i++)
		if (s.n > suffixes[i].n && sv_ends(s, suffixes[i]))
			return sv_of(s.p, s.n - suffixes[i].n);
	return s;
}

static X509 *
read_first_cert(struct pki *p, const char *path)
{
	struct things t;
	X509 *x = NULL;

	if (things_read(p, path, &t)) {
		const struct thing *first = things_first(&t, THING_CERT);
		if (first != NULL)
			x = thing_cert(p, path, first);
		else
			err_set(&p->err, "%s: no certificate in it", path);
	}
	things_free(&t);
	return x;
}

static bool
may_issue(const struct issuer *i, struct err *err)
{
	if (X509_check_ca(i->cert) != 1 || (X509_get_key_usage(i->cert) & X509v3_KU_KEY_CERT_SIGN) == 0)
		return err_set(err, "%s: is not a CA: it may not issue certificates", i->path);
	if (X509_check_private_key(i->cert, i->key) != 1) {
		ERR_clear_error();
		return err_set(err, "%s: the key beside it is not its own", i->path);
	}
	if (X509_cmp_current_time(X509_get0_notAfter(i->cert)) < 0)
		return err_set(err, "%s: the CA has expired; make a new one", i->path);
	return true;
}

bool
issuer_read(struct pki *p, const char *name, struct issuer *out)
{
	struct sv stem = stem_of(name);
	const char *crt = arena_printf(&p->arena, "%.*s.crt", SV_FMT(stem));
	const char *pem = arena_printf(&p->arena, "%.*s.pem", SV_FMT(stem));
	const char *key = arena_printf(&p->arena, "%.*s.key", SV_FMT(stem));

	*out = (struct issuer){.cert = NULL};
	if (crt == NULL || pem == NULL || key == NULL)
		return err_no_memory(&p->err);
	out->path = access(crt, F_OK) != 0 && access(pem, F_OK) == 0 ? pem : crt;
	if ((out->cert = read_first_cert(p, out->path)) != NULL && (out->key = key_read(p, key)) != NULL &&
	    may_issue(out, &p->err))
		return true;
	issuer_free(out);
	return false;
}

void
issuer_free(struct issuer *i)
{
	X509_free(i->cert);
	EVP_PKEY_free(i->key);
	i->cert = NULL;
	i->key = NULL;
}

/* --- the parts --- */

/* 126 random bits: positive, and never with a zero byte in front. */
static bool
set_serial(X509 *x, const struct tls_thread *t)
{
	unsigned char bytes[SERIAL_BYTES];

	if (RAND_bytes_ex(t->lib, bytes, sizeof(bytes), 0) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x3f) | 0x40;
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok;
}

static bool
seconds_of(const ASN1_TIME *at, int64_t *out)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

static bool
set_validity(X509 *x, const struct make_spec *spec)
{
	int64_t from = (int64_t)time(NULL), to = from + (int64_t)spec->days * DAY_S, issuer_from, issuer_to;

	from -= BACKDATE_S;
	if (spec->issuer != NULL) {
		char date[DATE_TEXT];
		if (!seconds_of(X509_get0_notBefore(spec->issuer->cert), &issuer_from) ||
		    !seconds_of(X509_get0_notAfter(spec->issuer->cert), &issuer_to))
			return false;
		from = MAX_OF(from, issuer_from);
		if (to > issuer_to) {
			date_text(issuer_to, date);
			note("valid until %s only, for then the CA %s expires", date, spec->issuer->path);
			to = issuer_to;
		}
	}
	return ASN1_TIME_set(X509_getm_notBefore(x), from) != NULL && ASN1_TIME_set(X509_getm_notAfter(x), to) != NULL;
}

static bool
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
	bool ok = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool
add_ca_extensions(X509 *x, X509 *issuer, long path_length)
{
	char constraints[64];

	(void)snprintf(constraints, sizeof(constraints), "critical,CA:TRUE,pathlen:%ld", path_length);
	return add_extension(x, issuer, NID_basic_constraints, constraints) &&
	    add_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
}

/* RSA keys may also be used to carry a key (TLS 1.2 without forward secrecy), which EC keys can not. */
static bool
add_leaf_extensions(X509 *x, X509 *issuer, const struct make_spec *spec)
{
	bool rsa = EVP_PKEY_is_a(spec->key, "RSA");

	return add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, issuer, NID_key_usage,
	        rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
	    add_extension(x, issuer, NID_ext_key_usage, spec->kind == MAKE_CLIENT ? "clientAuth" : "serverAuth");
}

/* RFC 5280, 4.2.1.6: critical when there is no subject to go by. */
static bool
add_names(X509 *x, const struct make_spec *spec)
{
	bool critical = X509_NAME_entry_count(spec->subject) == 0;

	return spec->names == NULL || X509_add1_ext_i2d(x, NID_subject_alt_name, spec->names, critical, 0) == 1;
}

static bool
fill(X509 *x, const struct make_spec *spec, const struct tls_thread *t)
{
	X509 *issuer = spec->issuer != NULL ? spec->issuer->cert : x;

	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x, t) &&
	    X509_set_subject_name(x, spec->subject) == 1 &&
	    X509_set_issuer_name(x, spec->issuer != NULL ? X509_get_subject_name(issuer) : spec->subject) == 1 &&
	    set_validity(x, spec) && X509_set_pubkey(x, spec->key) == 1 &&
	    (spec->kind == MAKE_CA ? add_ca_extensions(x, issuer, spec->path_length)
	                           : add_leaf_extensions(x, issuer, spec)) &&
	    add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
	    /* RFC 5280, 4.2.1.1: one that signs itself needs none. */
	    (issuer == x || add_extension(x, issuer, NID_authority_key_identifier, "keyid")) && add_names(x, spec);
}

X509 *
make_cert(struct pki *p, const struct make_spec *spec)
{
	EVP_PKEY *signer = spec->issuer != NULL ? spec->issuer->key : spec->key;

	/* Who verifies would take it for the root itself. */
	if (spec->issuer != NULL && X509_NAME_cmp(spec->subject, X509_get_subject_name(spec->issuer->cert)) == 0) {
		err_set(&p->err, "the name is that of the CA %s itself; a certificate needs another one", spec->issuer->path);
		return NULL;
	}
	ERR_clear_error();
	X509 *x = X509_new_ex(p->thread->lib, NULL);
	if (x != NULL && fill(x, spec, p->thread) && X509_sign(x, signer, key_digest(signer)) > 0)
		return x;
	fail("the certificate can not be made", &p->err);
	X509_free(x);
	return NULL;
}

X509_REQ *
make_request(struct pki *p, const X509_NAME *subject, GENERAL_NAMES *names, EVP_PKEY *key)
{
	X509_REQ *r = X509_REQ_new_ex(p->thread->lib, NULL);
	STACK_OF(X509_EXTENSION) *extensions = NULL;

	ERR_clear_error();
	bool ok = r != NULL && X509_REQ_set_version(r, X509_REQ_VERSION_1) == 1 &&
	    X509_REQ_set_subject_name(r, subject) == 1 && X509_REQ_set_pubkey(r, key) == 1;
	if (ok && names != NULL)
		ok = X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, X509_NAME_entry_count(subject) == 0, 0) == 1 &&
		    X509_REQ_add_extensions(r, extensions) == 1;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	if (ok && X509_REQ_sign(r, key, key_digest(key)) > 0)
		return r;
	fail("the request can not be made", &p->err);
	X509_REQ_free(r);
	return NULL;
}
