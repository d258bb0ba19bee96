#include "certs/pieces.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "certs/der.h"
#include "certs/pem.h"

/* Ends a buffer that may have held a key. */
static void
wipe(struct buf *b)
{
	secret_wipe(b->data, b->capacity);
	buf_init(b, b->max);
}

bool
pieces_add_cert(struct pieces *p, const char *path, struct tls_der *der, const struct tls_thread *t, struct err *err)
{
	struct piece piece = {.der = der, .path = path};

	if (!cert_parse(der->bytes, der->size, &piece.view)) {
		tls_der_unref(der);
		return err_set(err, "%s: a certificate in it is damaged; get it again from its issuer", path);
	}
	if (EVP_Digest(der->bytes, der->size, der->sha256, NULL, t->sha256, NULL) != 1) {
		tls_der_unref(der);
		return err_no_memory(err);
	}
	for (size_t i = 0; i < p->n_certs; i++) {
		if (memcmp(p->certs[i].der->sha256, der->sha256, sizeof(der->sha256)) == 0) {
			tls_der_unref(der); /* a chain file often repeats what the certificate's file holds */
			return true;
		}
	}
	if (p->n_certs == PIECES_MAX) {
		tls_der_unref(der);
		return err_set(
		    err, "%s: more than %d certificates; leave the chain of one bundle in it", path, PIECES_MAX);
	}
	p->certs[p->n_certs++] = piece;
	return true;
}

bool
pieces_add_key(struct pieces *p, const char *path, unsigned char *key, size_t n, struct err *err)
{
	if (p->key == NULL) {
		p->key = key;
		p->key_size = n;
		p->key_path = path;
		return true;
	}
	bool same = n == p->key_size && memcmp(key, p->key, n) == 0;
	secret_wipe(key, n);
	return same ||
	    err_set(err, "%s: a second private key%s%s; leave only the one that belongs to the certificate", path,
	        path == p->key_path ? "" : " beside that in ", path == p->key_path ? "" : p->key_path);
}

/* --- PEM --- */

static bool
add_pem_cert(struct pieces *p, const struct pem_reader *r, const struct pem_block *b, const struct tls_thread *t,
    struct err *err)
{
	struct tls_der *der = tls_der_new(pem_decoded_max(b));

	if (der == NULL)
		return err_no_memory(err);
	size_t n = pem_decode(r, b, der->bytes, err);
	if (n == 0) {
		tls_der_unref(der);
		return false;
	}
	der->size = (uint32_t)n;
	return pieces_add_cert(p, r->path, der, t, err);
}

static bool
refuse_encrypted(const char *path, struct err *err)
{
	return err_set(err, "%s: the private key is encrypted; use PKCS#12 with a password file, or decrypt it "
	    "(openssl pkey -in OLD -out NEW)", path);
}

static bool
add_pem_key(struct pieces *p, const struct pem_reader *r, const struct pem_block *b, struct err *err)
{
	if (pem_is_encrypted(b))
		return refuse_encrypted(r->path, err);
	size_t room = pem_decoded_max(b);
	unsigned char *decoded = malloc(room), *key = NULL;
	size_t n = decoded != NULL ? pem_decode(r, b, decoded, err) : 0; /* 0: it has said why */

	if (decoded == NULL || (n > 0 && (key = malloc(n)) == NULL))
		err_no_memory(err);
	if (key != NULL)
		memcpy(key, decoded, n); /* its exact size, which is what is wiped later */
	secret_wipe(decoded, room);
	return key != NULL && pieces_add_key(p, r->path, key, n, err);
}

static bool
add_pem_block(struct pieces *p, const struct pem_reader *r, const struct pem_block *b, const struct tls_thread *t,
    struct err *err)
{
	if (sv_eq(b->label, SV("CERTIFICATE")) || sv_eq(b->label, SV("X509 CERTIFICATE")))
		return add_pem_cert(p, r, b, t, err);
	if (sv_eq(b->label, SV("PRIVATE KEY")) || sv_eq(b->label, SV("EC PRIVATE KEY")) ||
	    sv_eq(b->label, SV("RSA PRIVATE KEY")))
		return add_pem_key(p, r, b, err);
	if (sv_eq(b->label, SV("ENCRYPTED PRIVATE KEY")))
		return refuse_encrypted(r->path, err);
	if (sv_eq(b->label, SV("TRUSTED CERTIFICATE")))
		return err_set(err, "%s: BEGIN TRUSTED CERTIFICATE is a form of OpenSSL's alone; convert it "
		    "(openssl x509 -in OLD -out NEW)", r->path);
	return true; /* EC PARAMETERS, DH PARAMETERS and the like do no harm */
}

static bool
not_pem(const char *path, struct sv text, struct err *err)
{
	if (text.n == 0)
		return err_set(err, "%s: is empty; write it anew", path);
	if ((unsigned char)text.p[0] == DER_SEQUENCE)
		return err_set(err,
		    "%s: is not PEM but looks like DER; convert it (openssl x509 or openssl pkey, -inform DER), "
		    "or name it as pkcs12 if it is that",
		    path);
	return err_set(err, "%s: is not PEM: it has no BEGIN line; is it the right file?", path);
}

bool
pieces_add_pem(struct pieces *p, const char *path, struct sv text, const struct tls_thread *t, struct err *err)
{
	struct pem_reader r = {.path = path, .file = text, .rest = text};
	struct pem_block b;
	enum pem_result result;
	bool any = false;

	while ((result = pem_next(&r, &b, err)) == PEM_BLOCK) {
		any = true;
		if (!add_pem_block(p, &r, &b, t, err))
			return false;
	}
	if (result == PEM_BROKEN)
		return false;
	return any || not_pem(path, text, err);
}

/* --- the source's files --- */

static bool
read_file(struct source_file *f, struct files *files, struct buf *out, struct err *err)
{
	buf_init(out, f->role == SOURCE_PASSWORD ? PASSWORD_MAX : PIECES_FILE_MAX);
	if (f->stamp.size > (int64_t)out->max)
		return err_set(err, "%s: larger than %u KiB; is it the right file?", f->path, out->max / 1024);
	if (!files_read(files, f->path, out, &f->stamp, err)) {
		wipe(out);
		return false;
	}
	return true;
}

static struct source_file *
file_in_role(struct source *s, enum source_role role)
{
	for (unsigned i = 0; i < s->n_files; i++)
		if (s->files[i].role == role)
			return &s->files[i];
	return NULL;
}

bool
pieces_password(const char *path, struct sv content, char out[PASSWORD_MAX + 1], struct err *err)
{
	struct sv line = content;

	if (sv_ends(line, SV("\n")))
		line.n--;
	if (sv_ends(line, SV("\r")))
		line.n--;
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what has a length has bytes */
	bool ok = (line.n == 0 || memchr(line.p, '\0', line.n) == NULL) && sv_copy(line, out, PASSWORD_MAX + 1);
	return ok || err_set(err, "%s: a password is one line of text", path);
}

/* False, with nothing to wipe, when it can not be read. */
static bool
read_password(struct source *s, struct files *files, char out[PASSWORD_MAX + 1], struct err *err)
{
	struct source_file *f = file_in_role(s, SOURCE_PASSWORD);
	struct buf content;

	out[0] = '\0';
	if (f == NULL)
		return true;
	if (!read_file(f, files, &content, err))
		return false;
	bool ok = pieces_password(f->path, buf_view(&content), out, err);
	wipe(&content);
	return ok;
}

static bool
read_pkcs12(struct pieces *p, struct source *s, struct source_file *f, struct files *files, const struct tls_thread *t,
    struct err *err)
{
	char password[PASSWORD_MAX + 1];
	struct buf content;
	bool ok = false;

	if (!read_password(s, files, password, err))
		return false;
	if (read_file(f, files, &content, err)) {
		ok = pieces_add_pkcs12(
		    p, f->path, buf_view(&content), password, source_path(s, SOURCE_PASSWORD), t, err);
		wipe(&content);
	}
	explicit_bzero(password, sizeof(password));
	return ok;
}

/* A file must hold what the config or its name says, so that a mix-up is told of the file where it is. */
static bool
holds_its_part(const struct pieces *p, const struct source_file *f, size_t certs_before, struct err *err)
{
	bool has_cert = p->n_certs > certs_before;

	if (f->role == SOURCE_CHAIN)
		return true;
	if (f->role != SOURCE_KEY && !has_cert)
		return err_set(
		    err, "%s: no certificate in it; put the certificate and its intermediates there", f->path);
	if (f->role != SOURCE_CERTIFICATE && p->key == NULL)
		return err_set(err, "%s: no private key in it; put the key of the certificate there", f->path);
	return true;
}

static bool
read_one(struct pieces *p, struct source *s, struct source_file *f, struct files *files, const struct tls_thread *t,
    struct err *err)
{
	struct buf content;
	size_t certs = p->n_certs;

	if (f->role == SOURCE_PASSWORD)
		return true; /* read with what it opens */
	if (f->role == SOURCE_PKCS12)
		return read_pkcs12(p, s, f, files, t, err) && holds_its_part(p, f, certs, err);
	p->ordered = true;
	if (!read_file(f, files, &content, err))
		return false;
	bool ok = pieces_add_pem(p, f->path, buf_view(&content), t, err) && holds_its_part(p, f, certs, err);
	wipe(&content);
	return ok;
}

bool
pieces_read(struct pieces *p, struct source *s, struct files *files, const struct tls_thread *t, struct err *err)
{
	p->n_certs = p->key_size = 0;
	p->key = NULL;
	p->ordered = false;
	for (unsigned i = 0; i < s->n_files; i++)
		if (!read_one(p, s, &s->files[i], files, t, err))
			return false;
	return true;
}

void
pieces_free(struct pieces *p)
{
	for (size_t i = 0; i < p->n_certs; i++)
		tls_der_unref(p->certs[i].der);
	secret_wipe(p->key, p->key_size);
	p->n_certs = 0;
	p->key = NULL;
}
