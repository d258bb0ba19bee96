#include "pki/key.h"

#include <stdio.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "certs/chain.h"

enum { RSA_BITS = 3072, RSA_BITS_MAX = 8192 };

static const struct {
	const char *kind, *curve;
} curves[] = {{"ec", "P-256"}, {"ec:256", "P-256"}, {"ec:384", "P-384"}, {"ec:521", "P-521"}};

/* The curve, or NULL and the bits of an RSA key. */
static bool
parse_kind(const char *kind, const char **curve, uint64_t *rsa_bits, struct err *err)
{
	struct sv text = sv_cstr(kind), name = sv_cut(&text, ':');

	*curve = NULL;
	*rsa_bits = RSA_BITS;
	for (size_t i = 0; *curve == NULL && i < COUNTOF(curves); i++)
		if (sv_eq(sv_cstr(kind), sv_cstr(curves[i].kind)))
			*curve = curves[i].curve;
	if (*curve != NULL || (sv_eq(name, SV("rsa")) && text.p == NULL))
		return true;
	return (sv_eq(name, SV("rsa")) && sv_u64(text, rsa_bits) && *rsa_bits >= RSA_BITS_MIN && *rsa_bits <= RSA_BITS_MAX) ||
	    err_set(err, "--key %s: not a kind of key made here; ec, ec:384, ec:521, rsa or rsa:BITS (%d to %d) is", kind,
	        RSA_BITS_MIN, RSA_BITS_MAX);
}

bool
key_kind_check(const char *kind, struct err *err)
{
	const char *curve;
	uint64_t rsa_bits;

	return parse_kind(kind, &curve, &rsa_bits, err);
}

static EVP_PKEY *
make(struct pki *p, const char *kind)
{
	const char *curve;
	uint64_t rsa_bits;

	if (!parse_kind(kind, &curve, &rsa_bits, &p->err))
		return NULL;
	EVP_PKEY *key = curve != NULL ? EVP_PKEY_Q_keygen(p->thread->lib, NULL, "EC", curve)
	                              : EVP_PKEY_Q_keygen(p->thread->lib, NULL, "RSA", (size_t)rsa_bits);
	if (key == NULL)
		err_set(&p->err, "no key could be made: OpenSSL failed");
	return key;
}

EVP_PKEY *
key_for(struct pki *p)
{
	if (p->args.use_key == NULL)
		return make(p, p->args.key != NULL ? p->args.key : "ec");
	if (p->args.key != NULL) {
		err_set(&p->err, "--key makes a new key, --use-key takes one that is there: give one of them");
		return NULL;
	}
	EVP_PKEY *key = key_read(p, p->args.use_key);
	if (key != NULL && !key_is_strong(key, p->args.use_key, &p->err)) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

EVP_PKEY *
key_of_pieces(struct pki *p, const struct pieces *pieces)
{
	const unsigned char *at = pieces->key;
	EVP_PKEY *key = d2i_AutoPrivateKey_ex(NULL, &at, (long)pieces->key_size, p->thread->lib, NULL);
	char why[200];

	if (key == NULL) {
		tls_error_text(why, sizeof(why));
		err_set(&p->err, "%s: the private key can not be read: %s", pieces->key_path, why);
	}
	return key;
}

EVP_PKEY *
key_read(struct pki *p, const char *path)
{
	struct pieces pieces = {.n_certs = 0};
	struct buf content;
	EVP_PKEY *key = NULL;

	buf_init(&content, PIECES_FILE_MAX);
	if (files_read(files_direct(), path, &content, NULL, &p->err) &&
	    pieces_add_pem(&pieces, path, buf_view(&content), p->thread, &p->err)) {
		if (pieces.key != NULL)
			key = key_of_pieces(p, &pieces);
		else
			err_set(&p->err, "%s: no private key in it", path);
	}
	pem_wipe(&content);
	pieces_free(&pieces);
	return key;
}

void
key_text(const EVP_PKEY *key, char *out, size_t size)
{
	char group[64] = "";
	size_t n;

	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1) {
		const char *nist = OBJ_txt2nid(group) != NID_undef ? EC_curve_nid2nist(OBJ_txt2nid(group)) : NULL;
		(void)snprintf(out, size, "EC %s", nist != NULL ? nist : group);
	} else if (EVP_PKEY_is_a(key, "RSA")) {
		(void)snprintf(out, size, "RSA %d bits", EVP_PKEY_get_bits(key));
	} else {
		const char *name = EVP_PKEY_get0_type_name(key);
		(void)snprintf(out, size, "%s %d bits", name != NULL ? name : "unknown", EVP_PKEY_get_bits(key));
	}
}

bool
key_is_strong(const EVP_PKEY *key, const char *whose, struct err *err)
{
	bool rsa = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"), ec = EVP_PKEY_is_a(key, "EC");
	bool ed = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
	int bits = EVP_PKEY_get_bits(key);
	char text[96];

	if (ed || (rsa && bits >= RSA_BITS_MIN) || (ec && bits >= EC_BITS_MIN))
		return true;
	key_text(key, text, sizeof(text));
	return err_set(err, "%s: its key is %s; an EC key of %d bits or more, or an RSA key of %d or more is wanted", whose,
	    text, EC_BITS_MIN, RSA_BITS_MIN);
}

const EVP_MD *
key_digest(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256();
}

/* --- PEM --- */

void
pem_begin(struct buf *out)
{
	buf_init(out, PEM_TEXT_MAX);
	char *room = buf_room(out, PEM_TEXT_USUAL);
	(void)room; /* without memory now, an append fails later and says so */
}

/* What OpenSSL has written into memory; freed by it with its bytes wiped. */
static bool
take_bio(struct buf *out, BIO *bio, bool written, struct err *err)
{
	char *text = NULL;
	long n = bio != NULL ? BIO_get_mem_data(bio, &text) : 0;
	bool ok = written && n > 0 && buf_append(out, text, (size_t)n);

	BIO_free(bio);
	return ok || err_no_memory(err);
}

bool
pem_add_key(struct buf *out, const EVP_PKEY *key, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

	return take_bio(out, bio, ok, err);
}

bool
pem_add_der(struct buf *out, const char *label, const unsigned char *der, size_t n, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio != NULL && n <= INT_MAX && PEM_write_bio(bio, label, "", der, (long)n) > 0;

	return take_bio(out, bio, ok, err);
}

bool
pem_add_cert(struct buf *out, X509 *x, struct err *err)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	bool ok = n > 0 ? pem_add_der(out, PEM_STRING_X509, der, (size_t)n, err) : err_no_memory(err);

	OPENSSL_free(der);
	return ok;
}

void
pem_wipe(struct buf *b)
{
	secret_wipe(b->data, b->capacity);
	buf_init(b, b->max);
}
