#include "tls/client_trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "certs/pem.h"

enum {
	CA_FILE_MAX = 4 * 1024 * 1024, /* bytes; the system's own bundle is a quarter of a megabyte */
	PIN_TEXT = 44,                 /* base64 of 32 bytes */
};

/* --- pins --------------------------------------------------------------------------------------------------- */

static bool
parse_pin(struct sv text, unsigned char out[CLIENT_PIN])
{
	const struct sv prefix = SV("sha256/");
	unsigned char bytes[PIN_TEXT / 4 * 3], again[PIN_TEXT + 1];

	if (!sv_starts(text, prefix) || text.n != prefix.n + PIN_TEXT)
		return false;
	const char *base64 = text.p + prefix.n;
	if (EVP_DecodeBlock(bytes, (const unsigned char *)base64, PIN_TEXT) != (int)sizeof(bytes))
		return false;
	/* OpenSSL is lenient: what does not encode to the same again was not written right. */
	if (EVP_EncodeBlock(again, bytes, CLIENT_PIN) != PIN_TEXT || memcmp(again, base64, PIN_TEXT) != 0)
		return false;
	memcpy(out, bytes, CLIENT_PIN);
	return true;
}

static bool
load_pins(struct client_trust *t, const struct conf_strings *pins, struct err *err)
{
	if (pins->n == 0)
		return true;
	t->pins = calloc(pins->n, sizeof(*t->pins));
	if (t->pins == NULL)
		return err_no_memory(err);
	for (size_t i = 0; i < pins->n; i++)
		if (!parse_pin(sv_cstr(pins->v[i]), t->pins[t->n_pins++]))
			return err_set(err,
			    "tls.pins: \"%s\" is no pin; write \"sha256/\" and the base64 of the SHA-256 of the "
			    "server's public key (44 characters)", pins->v[i]);
	return true;
}

bool
client_trust_pinned(const struct client_trust *t, X509 *leaf)
{
	unsigned char *spki = NULL, digest[CLIENT_PIN];
	int n = leaf != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &spki) : 0;
	bool ok = n > 0 && EVP_Digest(spki, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1;
	bool found = false;

	OPENSSL_free(spki);
	for (size_t i = 0; ok && !found && i < t->n_pins; i++)
		found = memcmp(t->pins[i], digest, CLIENT_PIN) == 0;
	return found;
}

/* --- certificates ------------------------------------------------------------------------------------------- */

/* Read once here, so that what a thread makes of it later can fail only for want of memory. */
static bool
is_certificate(const struct tls_der *d)
{
	const unsigned char *p = d->bytes;
	X509 *cert = d2i_X509(NULL, &p, (long)d->size);
	bool ok = cert != NULL && p == d->bytes + d->size;

	X509_free(cert);
	ERR_clear_error();
	return ok;
}

static bool
add_ca(struct client_trust *t, const struct pem_reader *r, const struct pem_block *b, struct err *err)
{
	struct tls_der **more = realloc(t->cas, (t->n_cas + 1) * sizeof(struct tls_der *));
	struct tls_der *d = more != NULL ? tls_der_new(pem_decoded_max(b)) : NULL;

	if (more != NULL)
		t->cas = more;
	if (d == NULL)
		return err_no_memory(err);
	t->cas[t->n_cas++] = d;
	size_t n = pem_decode(r, b, d->bytes, err);
	if (n == 0)
		return false;
	d->size = (uint32_t)n;
	return is_certificate(d) ||
	    err_set(err, "%s: certificate %zu in it can not be read: it is no X.509 certificate", r->path, t->n_cas);
}

static bool
read_cas(struct client_trust *t, const char *path, struct sv text, struct err *err)
{
	struct pem_reader r = {.path = path, .file = text, .rest = text};
	struct pem_block block;
	enum pem_result result;

	while ((result = pem_next(&r, &block, err)) == PEM_BLOCK)
		if (sv_eq(block.label, SV("CERTIFICATE")) && !add_ca(t, &r, &block, err))
			return false;
	if (result == PEM_BROKEN)
		return false;
	return t->n_cas > 0 ||
	    err_set(err, "%s: holds no certificate; name a PEM file with the CA of the upstream's servers", path);
}

static bool
load_cas(struct client_trust *t, const char *path, struct files *files, struct err *err)
{
	struct buf file;

	buf_init(&file, CA_FILE_MAX);
	bool ok = files_read(files, path, &file, NULL, err) && read_cas(t, path, buf_view(&file), err);
	buf_clear(&file);
	return ok;
}

static bool
add_to_store(X509_STORE *store, const struct tls_der *d, struct tls_thread *thread)
{
	const unsigned char *p = d->bytes;
	X509 *cert = X509_new_ex(thread->lib, NULL);
	bool ok = cert != NULL && d2i_X509(&cert, &p, (long)d->size) != NULL && X509_STORE_add_cert(store, cert) == 1;

	X509_free(cert);
	return ok;
}

bool
client_trust_apply(const struct client_trust *t, SSL_CTX *context, struct tls_thread *thread)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);

	if (!t->chain)
		return true;
	if (t->n_cas == 0)
		return SSL_CTX_set_default_verify_paths(context) == 1;
	for (size_t i = 0; i < t->n_cas; i++)
		if (!add_to_store(store, t->cas[i], thread))
			return false;
	/* Each of them is trusted, whether it signed itself or not. */
	return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

static bool
digest_part(EVP_MD_CTX *m, const void *p, size_t n)
{
	uint64_t size = n; /* first, so that no two lists of parts make the same bytes */

	return EVP_DigestUpdate(m, &size, sizeof(size)) == 1 && EVP_DigestUpdate(m, p, n) == 1;
}

static bool
identify(struct client_trust *t, const struct conf_upstream_tls *conf)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	struct sv name = sv_cstr(conf->name);
	bool ok = m != NULL && EVP_DigestInit_ex(m, EVP_sha256(), NULL) == 1 &&
	    digest_part(m, &t->chain, sizeof(t->chain)) && digest_part(m, name.p, name.n) &&
	    digest_part(m, t->pins, t->n_pins * CLIENT_PIN);

	for (size_t i = 0; ok && i < t->n_cas; i++)
		ok = digest_part(m, t->cas[i]->bytes, t->cas[i]->size);
	ok = ok && EVP_DigestFinal_ex(m, t->identity, NULL) == 1;
	EVP_MD_CTX_free(m);
	return ok;
}

static bool
digest_settings(EVP_MD_CTX *m, const struct conf_upstream_tls *conf, const struct file_stamp *stamp)
{
	const struct sv name = sv_cstr(conf->name), ca = sv_cstr(conf->ca);
	bool ok = m != NULL && EVP_DigestInit_ex(m, EVP_sha256(), NULL) == 1 &&
	    digest_part(m, &conf->verify, sizeof(conf->verify)) &&
	    digest_part(m, name.p, name.n) && digest_part(m, ca.p, ca.n) && digest_part(m, stamp, sizeof(*stamp));

	for (size_t i = 0; ok && i < conf->pins.n; i++)
		ok = digest_part(m, conf->pins.v[i], strlen(conf->pins.v[i]));
	return ok;
}

bool
client_trust_stamp(const struct conf_upstream_tls *conf, struct files *files, unsigned char out[32], struct err *err)
{
	struct file_stamp stamp = {0};

	if (conf->verify && conf->ca != NULL && !files->stamp(files, conf->ca, &stamp, err))
		return false;
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	bool ok = digest_settings(m, conf, &stamp) && EVP_DigestFinal_ex(m, out, NULL) == 1;
	EVP_MD_CTX_free(m);
	return ok || err_no_memory(err);
}

bool
client_trust_load(struct client_trust *t, const struct conf_upstream_tls *conf, struct files *files,
    struct err *err)
{
	*t = (struct client_trust){.chain = conf->verify && (conf->ca != NULL || conf->pins.n == 0)};
	if (!load_pins(t, &conf->pins, err) || (t->chain && conf->ca != NULL && !load_cas(t, conf->ca, files, err)))
		return false;
	return identify(t, conf) || err_no_memory(err);
}

void
client_trust_free(struct client_trust *t)
{
	for (size_t i = 0; i < t->n_cas; i++)
		tls_der_unref(t->cas[i]);
	free(t->cas);
	free(t->pins);
	*t = (struct client_trust){0};
}
