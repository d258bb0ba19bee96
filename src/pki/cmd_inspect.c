/* inspect: what is in a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "pki/describe.h"
#include "pki/key.h"
#include "pki/things.h"
#include "pki/words.h"

static const char *const kind_words[] = {"certificate", "request", "private key", "encrypted private key", "CRL", "other"};

/* An X509_NAME as the rest of the program writes names. */
static void
name_text(const X509_NAME *name, char out[NAME_TEXT])
{
	unsigned char *der = NULL;
	int n = i2d_X509_NAME(name, &der);

	cert_name_text((struct asn1){der, n > 0 ? (size_t)n : 0}, out, NAME_TEXT);
	OPENSSL_free(der);
}

/* --- one kind each --- */

static bool
show_cert(struct pki *p, struct show *s, const char *path, const struct thing *t)
{
	struct cert_view view;

	if (!cert_parse(t->der, t->n, &view))
		return err_set(&p->err, "%s: a certificate in it is damaged; get it again from its issuer", path);
	describe_cert(p, s, &view, t->der, t->n, (int64_t)time(NULL));
	X509 *x = thing_cert(p, path, t);
	const char *url = x != NULL ? describe_issuer_url(p, x) : NULL;
	if (url != NULL)
		show_text(s, "issuer_url", "issuer at", url);
	X509_free(x);
	return true;
}

/* The names that a request asks for are where a certificate's would be. */
static void
show_request_names(struct pki *p, struct show *s, X509_REQ *r)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(r);
	int at = X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1);
	const char *names[NAMES_SHOWN];
	size_t n = 0;

	if (at >= 0) {
		const ASN1_OCTET_STRING *v = X509_EXTENSION_get_data(X509v3_get_ext(extensions, at));
		struct asn1 whole = {ASN1_STRING_get0_data(v), (size_t)ASN1_STRING_length(v)};
		struct cert_view view = {.alt_names = ASN1_NONE};
		if (asn1_next(&whole, DER_SEQUENCE, &view.alt_names))
			n = describe_names(p, &view, names);
	}
	show_texts(s, "names", "names", names, n);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

static bool
show_request(struct pki *p, struct show *s, const char *path, const struct thing *t)
{
	X509_REQ *r = thing_request(p, path, t);
	char text[NAME_TEXT];

	if (r == NULL)
		return false;
	name_text(X509_REQ_get_subject_name(r), text);
	show_text(s, "subject", "subject", text);
	show_request_names(p, s, r);
	key_text(X509_REQ_get0_pubkey(r), text, sizeof(text));
	show_text(s, "key", "key", text);
	bool signed_by_key = X509_REQ_verify(r, X509_REQ_get0_pubkey(r)) == 1;
	show_bool(s, "signature_ok", signed_by_key);
	show_text(s, NULL, "signature", signed_by_key ? "made with this key" : "WRONG: not made with this key");
	ERR_clear_error();
	X509_REQ_free(r);
	return true;
}

static bool
show_key(struct pki *p, struct show *s, const char *path, const struct thing *t)
{
	const unsigned char *at = t->der;
	EVP_PKEY *key = d2i_AutoPrivateKey_ex(NULL, &at, (long)t->n, p->thread->lib, NULL);
	unsigned char *public = NULL, digest[32];
	char text[96], fingerprint[FINGERPRINT_TEXT];

	if (key == NULL) {
		tls_error_text(text, sizeof(text));
		return err_set(&p->err, "%s: the private key can not be read: %s", path, text);
	}
	key_text(key, text, sizeof(text));
	show_text(s, "key", "key", text);
	int n = i2d_PUBKEY(key, &public);
	if (n > 0 && EVP_Digest(public, (size_t)n, digest, NULL, p->thread->sha256, NULL) == 1) {
		fingerprint_text(digest, fingerprint);
		show_text(s, "public_key_sha256", "public key", fingerprint);
	}
	OPENSSL_free(public);
	EVP_PKEY_free(key);
	return true;
}

static void
show_time(struct show *s, const char *key, const char *label, const ASN1_TIME *at)
{
	struct tm tm;
	char date[DATE_TEXT];

	if (at == NULL || ASN1_TIME_to_tm(at, &tm) != 1)
		return;
	date_text(timegm(&tm), date);
	show_text(s, key, label, date);
}

static bool
show_crl(struct pki *p, struct show *s, const char *path, const struct thing *t)
{
	const unsigned char *at = t->der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)t->n);
	char text[NAME_TEXT];

	if (crl == NULL || at != t->der + t->n) {
		X509_CRL_free(crl);
		ERR_clear_error();
		return err_set(&p->err, "%s: a CRL in it is damaged; get it again from its CA", path);
	}
	name_text(X509_CRL_get_issuer(crl), text);
	show_text(s, "issuer", "issuer", text);
	show_time(s, "last_update", "made", X509_CRL_get0_lastUpdate(crl));
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	show_time(s, "next_update", "good until", next);
	bool old = next != NULL && X509_cmp_current_time(next) < 0;
	show_bool(s, "out_of_date", old);
	show_text(s, NULL, old ? "" : NULL, "OUT OF DATE: get the new one from its CA");
	show_number(s, "revoked", "revoked", MAX_OF(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 0));
	X509_CRL_free(crl);
	return true;
}

static bool
show_thing(struct pki *p, struct show *s, const char *path, const struct thing *t)
{
	switch (t->kind) {
	case THING_CERT:
		return show_cert(p, s, path, t);
	case THING_REQUEST:
		return show_request(p, s, path, t);
	case THING_KEY:
		return show_key(p, s, path, t);
	case THING_CRL:
		return show_crl(p, s, path, t);
	case THING_LOCKED_KEY:
		show_text(s, NULL, "", "can not be looked into without its password");
		return true;
	case THING_OTHER:
		show_text(s, "label", "label", t->label);
		return true;
	}
	return true;
}

/* --- all of a file --- */

static size_t
count(const struct things *t, enum thing_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->v[i].kind == kind;
	return n;
}

/* Is each certificate followed by its issuer? */
static bool
in_order(const struct things *t)
{
	struct cert_view last, this;
	bool any = false;

	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].kind != THING_CERT || !cert_parse(t->v[i].der, t->v[i].n, &this))
			continue;
		if (any && !cert_issued_by(&last, &this))
			return false;
		last = this;
		any = true;
	}
	return true;
}

static void
show_order(struct show *s, const struct things *t)
{
	if (count(t, THING_CERT) < 2)
		return;
	bool ok = in_order(t);
	show_bool(s, "chain_in_order", ok);
	show_text(s, NULL, "order",
	    ok ? "each certificate is followed by its issuer"
	       : "NOT a chain in order; `bascule pki bundle` puts it in order");
}

static bool
show_file(struct pki *p, struct show *s, const char *path)
{
	struct things t;
	char title[512];
	bool ok = things_read(p, path, &t);

	if (ok) {
		(void)snprintf(title, sizeof(title), "%s (%s)", path, t.form);
		show_item_begin(s, title);
		show_text(s, "file", NULL, path);
		show_text(s, "form", NULL, t.form);
		show_order(s, &t);
		show_list_begin(s, "holds");
		for (size_t i = 0; ok && i < t.n; i++) {
			(void)snprintf(title, sizeof(title), " %zu of %zu: %s", i + 1, t.n, kind_words[t.v[i].kind]);
			show_item_begin(s, title);
			show_text(s, "kind", NULL, kind_words[t.v[i].kind]);
			ok = show_thing(p, s, path, &t.v[i]);
			show_item_end(s);
		}
		show_list_end(s);
		show_item_end(s);
	}
	things_free(&t);
	return ok;
}

int
cmd_inspect(struct pki *p)
{
	struct show s;
	bool ok = true;

	show_begin(&s, stdout, p->args.json);
	show_list_begin(&s, "files");
	for (size_t i = 0; i < p->args.n; i++) {
		if (show_file(p, &s, p->args.v[i]))
			continue;
		/* The others are still worth seeing. */
		(void)fflush(stdout);
		(void)fputs("bascule pki inspect: ", stderr);
		show_message(stderr, p->err.text);
		p->err.text[0] = '\0';
		ok = false;
	}
	show_list_end(&s);
	show_end(&s);
	return ok ? PKI_OK : PKI_FAILED;
}
