#include "certs/materials.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/log.h"

static bool
fail(struct err *err, const char *what)
{
	char why[256];

	tls_error_text(why, sizeof(why));
	return err_set(err, "%s: %s; replace the file", what, why);
}

static X509 *
decode_cert(const struct tls_der *der, const struct tls_thread *t)
{
	const unsigned char *p = der->bytes;
	X509 *x = X509_new_ex(t->lib, NULL);

	return x != NULL && d2i_X509(&x, &p, (long)der->size) != NULL ? x : NULL; /* freed by d2i when it fails */
}

static bool
decode_chain(struct tls_materials *m, const struct tls_bundle *b, const struct tls_thread *t)
{
	for (unsigned i = 1; i < b->n_chain; i++) {
		X509 *x = decode_cert(b->chain[i], t);
		if (x == NULL || sk_X509_push(m->chain, x) <= 0) {
			X509_free(x);
			return false;
		}
	}
	return true;
}

struct tls_materials *
materials_make(const struct tls_bundle *b, const struct tls_thread *t, struct err *err)
{
	struct tls_materials *m = calloc(1, sizeof(*m));
	const unsigned char *key = b->private->key;

	ERR_clear_error();
	if (m == NULL || (m->chain = sk_X509_new_reserve(NULL, (int)b->n_chain)) == NULL) {
		err_no_memory(err);
	} else if ((m->leaf = decode_cert(b->chain[0], t)) == NULL || !decode_chain(m, b, t)) {
		fail(err, "a certificate can not be read");
	} else if ((m->key = d2i_AutoPrivateKey_ex(NULL, &key, (long)b->private->key_size, t->lib, NULL)) == NULL) {
		fail(err, "the private key can not be read");
	} else {
		return m;
	}
	materials_free(m);
	return NULL;
}

void
materials_free(struct tls_materials *m)
{
	if (m == NULL)
		return;
	X509_free(m->leaf);
	sk_X509_pop_free(m->chain, X509_free);
	EVP_PKEY_free(m->key);
	free(m);
}

/* Ed25519 and Ed448 bring their own digest. */
static const char *
digest_for(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : "SHA256";
}

static bool
signs_for(EVP_PKEY *private, EVP_PKEY *public, const struct tls_thread *t)
{
	static const unsigned char message[] = "bascule: is this key the certificate's?";
	EVP_MD_CTX *sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
	size_t n = (size_t)EVP_PKEY_get_size(private);
	unsigned char *signature = malloc(n);

	bool ok = sign != NULL && verify != NULL && signature != NULL &&
	    EVP_DigestSignInit_ex(sign, NULL, digest_for(private), t->lib, NULL, private, NULL) == 1 &&
	    EVP_DigestSign(sign, signature, &n, message, sizeof(message)) == 1 &&
	    EVP_DigestVerifyInit_ex(verify, NULL, digest_for(public), t->lib, NULL, public, NULL) == 1 &&
	    EVP_DigestVerify(verify, signature, n, message, sizeof(message)) == 1;
	free(signature);
	EVP_MD_CTX_free(sign);
	EVP_MD_CTX_free(verify);
	return ok;
}

bool
materials_prove(const struct tls_materials *m, const struct tls_thread *t, struct err *err)
{
	EVP_PKEY *public = X509_get0_pubkey(m->leaf);

	ERR_clear_error();
	bool ok = public != NULL && X509_check_private_key(m->leaf, m->key) == 1 && signs_for(m->key, public, t);
	ERR_clear_error();
	return ok || err_set(err, "the private key is damaged: what it signs does not verify with the certificate; "
	    "write the key's file anew");
}

bool
materials_check_links(const struct tls_materials *m, struct err *err)
{
	X509 *this = m->leaf;

	for (int i = 0; i < sk_X509_num(m->chain); i++) {
		X509 *issuer = sk_X509_value(m->chain, i);
		EVP_PKEY *key = X509_get0_pubkey(issuer);
		if (key == NULL || X509_verify(this, key) != 1) {
			ERR_clear_error();
			return err_set(err,
			    "certificate %d of the chain is not signed by the one that bears its issuer's name; "
			    "get the right one from its issuer",
			    i + 1);
		}
		this = issuer;
	}
	return true;
}

/* --- per thread --- */

/* The slots, made by whichever thread is first. NULL: no memory. */
static struct tls_materials **
slots_of(struct tls_bundle_private *p)
{
	struct tls_materials **now = __atomic_load_n(&p->slots, __ATOMIC_ACQUIRE), **made;

	if (now != NULL || (made = calloc(TLS_THREADS_MAX, sizeof(struct tls_materials *))) == NULL)
		return now;
	if (__atomic_compare_exchange_n(&p->slots, &now, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	free(made);
	return now;
}

/* Said once, whichever threads find it. */
static void
give_up(struct tls_bundle *b, const struct err *err)
{
	if (!__atomic_exchange_n(&b->private->unusable, true, __ATOMIC_RELAXED))
		log_error("bundle \"%s\" can not be served: %s: %s", b->name, b->where, err->text);
}

const struct tls_materials *
tls_bundle_materials(struct tls_bundle *b, struct tls_thread *t)
{
	struct tls_bundle_private *p = b->private;
	struct tls_materials **slots = slots_of(p);
	struct err err;

	if (slots == NULL || __atomic_load_n(&p->unusable, __ATOMIC_RELAXED))
		return NULL;
	if (slots[t->slot] != NULL)
		return slots[t->slot];
	struct tls_materials *m = materials_make(b, t, &err);
	if (m != NULL && !__atomic_load_n(&p->proved, __ATOMIC_RELAXED)) {
		if (!materials_prove(m, t, &err)) {
			materials_free(m);
			m = NULL;
		} else {
			__atomic_store_n(&p->proved, true, __ATOMIC_RELAXED);
		}
	}
	if (m == NULL)
		give_up(b, &err);
	slots[t->slot] = m;
	return m;
}
