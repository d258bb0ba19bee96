/*
 * pieces.h: what the files of a bundle hold, read once, before it is judged.
 */
#ifndef BASCULE_CERTS_PIECES_H
#define BASCULE_CERTS_PIECES_H

#include "certs/facts.h"
#include "certs/sources.h"

enum {
	PIECES_MAX = 32,             /* certificates in all files of a bundle */
	PIECES_FILE_MAX = 1024 * 1024,
	PASSWORD_MAX = 4096,
};

struct piece {
	struct tls_der *der; /* one reference */
	struct cert_view view;
	const char *path; /* the file, borrowed from the source */
};

struct pieces {
	struct piece certs[PIECES_MAX];
	size_t n_certs;
	unsigned char *key; /* DER; wiped when freed */
	size_t key_size;
	const char *key_path;
	bool ordered; /* the order of certs is that of somebody's writing (PEM), not chance (PKCS#12) */
};

/*
 * Read the source's files and set their stamps to those of this very read. False with "FILE: reason; what to do"; call
 * pieces_free() in either case.
 */
MUST_CHECK bool
pieces_read(struct pieces *p, struct source *s, struct files *files, const struct tls_thread *t, struct err *err);
void pieces_free(struct pieces *p);

/* Add one, unless it is there already. Takes over the reference. */
MUST_CHECK bool
pieces_add_cert(struct pieces *p, const char *path, struct tls_der *der, const struct tls_thread *t, struct err *err);
/* Takes over `key`, which is wiped when it is not wanted. */
MUST_CHECK bool pieces_add_key(struct pieces *p, const char *path, unsigned char *key, size_t n, struct err *err);

/* PEM text: certificates and keys of it. */
MUST_CHECK bool
pieces_add_pem(struct pieces *p, const char *path, struct sv text, const struct tls_thread *t, struct err *err);

/* PKCS#12: the same of it (pkcs12.c). `password_path` is NULL when there is none; the password is empty then. */
MUST_CHECK bool pieces_add_pkcs12(struct pieces *p, const char *path, struct sv content, const char *password,
    const char *password_path, const struct tls_thread *t, struct err *err);

/* Is it PKCS#12 that the empty password does not open? */
bool pkcs12_needs_password(struct sv content, const struct tls_thread *t);

/* What a password file holds: one line, without its end. False with err set and nothing to wipe. */
MUST_CHECK bool
pieces_password(const char *path, struct sv content, char out[PASSWORD_MAX + 1], struct err *err);

#endif
