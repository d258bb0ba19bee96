/*
 * key.h: private keys, made and read, and things as PEM.
 */
#ifndef BASCULE_PKI_KEY_H
#define BASCULE_PKI_KEY_H

#include <openssl/x509.h>

#include "base/buf.h"
#include "base/sv.h"
#include "certs/pieces.h"
#include "pki/command.h"

/* --key and --use-key of the run: a new key of that kind, or the one in that file. NULL with err set. */
EVP_PKEY *key_for(struct pki *p);

/* Is it a kind that --key takes? False with err set. */
MUST_CHECK bool key_kind_check(const char *kind, struct err *err);

/* The one key in a PEM file (or of pieces), in the run's library context. NULL with err set. */
EVP_PKEY *key_read(struct pki *p, const char *path);
EVP_PKEY *key_of_pieces(struct pki *p, const struct pieces *pieces);

/* "EC P-256", "RSA 3072 bits", for people. */
void key_text(const EVP_PKEY *key, char *out, size_t size);

/* Is it one that the proxy would serve with? False with err set; `whose` is what the message begins with. */
MUST_CHECK bool key_is_strong(const EVP_PKEY *key, const char *whose, struct err *err);

/* The digest to sign with; NULL: the key has its own. */
const EVP_MD *key_digest(const EVP_PKEY *key);

/*
 * PEM, appended to a buffer from pem_begin(), whose memory pem_wipe() wipes. It is made so large that it hardly ever moves
 * and leaves a key behind. False, with err set, when memory is out.
 */
enum { PEM_TEXT_MAX = 1024 * 1024, PEM_TEXT_USUAL = 64 * 1024 };
void pem_begin(struct buf *out);
MUST_CHECK bool pem_add_key(struct buf *out, const EVP_PKEY *key, struct err *err); /* PKCS#8 */
MUST_CHECK bool pem_add_der(struct buf *out, const char *label, const unsigned char *der, size_t n, struct err *err);
MUST_CHECK bool pem_add_cert(struct buf *out, X509 *x, struct err *err);
void pem_wipe(struct buf *b);

#endif
