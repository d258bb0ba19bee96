#include "pki/things.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs12.h>

#include "certs/der.h"
#include "certs/pem.h"
#include "pki/key.h"
#include "pki/password.h"

/* Takes over `der`. */
static bool
add(struct things *t, const char *path, enum thing_kind kind, struct sv label, unsigned char *der, size_t n,
    struct err *err)
{
	if (t->v == NULL)
		t->v = calloc(THINGS_MAX, sizeof(*t->v));
	if (t->v == NULL || der == NULL || t->n == THINGS_MAX) {
		secret_wipe(der, n);
		return t->n == THINGS_MAX ? err_set(err, "%s: more than %d parts; take it apart", path, THINGS_MAX)
		                          : err_no_memory(err);
	}
	struct thing *one = &t->v[t->n++];
	*one = (struct thing){.kind = kind, .der = der, .n = n};
	(void)sv_copy(sv_of(label.p, MIN_OF(label.n, sizeof(one->label) - 1)), one->label, sizeof(one->label));
	return true;
}

static unsigned char *
copy(const void *p, size_t n)
{
	unsigned char *c = n > 0 ? malloc(n) : NULL;

	if (c != NULL)
		memcpy(c, p, n);
	return c;
}

/* --- PEM --- */

static enum thing_kind
kind_of(const struct pem_block *b)
{
	static const struct {
		struct sv label;
		enum thing_kind kind;
	} kinds[] = {
		{{"CERTIFICATE", 11}, THING_CERT},
		{{"X509 CERTIFICATE", 16}, THING_CERT},
		{{"CERTIFICATE REQUEST", 19}, THING_REQUEST},
		{{"NEW CERTIFICATE REQUEST", 23}, THING_REQUEST},
		{{"PRIVATE KEY", 11}, THING_KEY},
		{{"EC PRIVATE KEY", 14}, THING_KEY},
		{{"RSA PRIVATE KEY", 15}, THING_KEY},
		{{"ENCRYPTED PRIVATE KEY", 21}, THING_LOCKED_KEY},
		{{"X509 CRL", 8}, THING_CRL},
	};

	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if (sv_eq(b->label, kinds[i].label))
			return kinds[i].kind == THING_KEY && pem_is_encrypted(b) ? THING_LOCKED_KEY : kinds[i].kind;
	return THING_OTHER;
}

static bool
add_block(struct things *t, const struct pem_reader *r, const struct pem_block *b, struct err *err)
{
	enum thing_kind kind = kind_of(b);
	size_t room = pem_decoded_max(b), n = 0;
	unsigned char *decoded = NULL;

	if (kind == THING_OTHER || kind == THING_LOCKED_KEY)
		return add(t, r->path, kind, b->label, copy("", 1), 1, err);
	if ((decoded = malloc(room)) == NULL)
		return err_no_memory(err);
	n = pem_decode(r, b, decoded, err);
	bool ok = n > 0 && add(t, r->path, kind, b->label, copy(decoded, n), n, err);
	secret_wipe(decoded, room);
	return ok;
}

static bool
read_pem(struct things *t, const char *path, struct sv text, struct err *err)
{
	struct pem_reader r = {.path = path, .file = text, .rest = text};
	struct pem_block b;
	enum pem_result result;

	t->form = "PEM";
	while ((result = pem_next(&r, &b, err)) == PEM_BLOCK)
		if (!add_block(t, &r, &b, err))
			return false;
	if (result == PEM_END && t->n == 0)
		return err_set(err, "%s: neither PEM (it has no BEGIN line) nor DER nor PKCS#12; is it the right file?", path);
	return result == PEM_END;
}

/* --- PKCS#12 --- */

bool
things_pkcs12(struct pki *p, const char *path, struct sv content, struct pieces *out)
{
	char password[PASSWORD_MAX + 1] = "";
	const char *file = p->args.password_file, *from = file;
	bool ok = true;

	if (file != NULL || pkcs12_needs_password(content, p->thread)) {
		from = file != NULL ? file : "your answer";
		ok = password_get(p, file, PASSWORD_OLD, password) || err_prefix(&p->err, "%s", path);
	}
	ok = ok && pieces_add_pkcs12(out, path, content, password, from, p->thread, &p->err);
	explicit_bzero(password, sizeof(password));
	return ok;
}

static bool
read_pkcs12(struct pki *p, struct things *t, const char *path, struct sv content)
{
	struct pieces pieces = {.n_certs = 0};
	bool ok = things_pkcs12(p, path, content, &pieces);

	t->form = "PKCS#12";
	if (ok && pieces.key != NULL)
		ok = add(t, path, THING_KEY, SV("PRIVATE KEY"), copy(pieces.key, pieces.key_size), pieces.key_size,
		    &p->err);
	for (size_t i = 0; ok && i < pieces.n_certs; i++) {
		const struct tls_der *d = pieces.certs[i].der;
		ok = add(t, path, THING_CERT, SV("CERTIFICATE"), copy(d->bytes, d->size), d->size, &p->err);
	}
	pieces_free(&pieces);
	return ok;
}

/* --- DER --- */

/* Which of the kinds it parses as, to its last byte. */
static enum thing_kind
guess(struct pki *p, struct sv s)
{
	const unsigned char *der = (const unsigned char *)s.p, *end = der + s.n, *at = der;
	struct cert_view view;

	if (cert_parse(der, s.n, &view))
		return THING_CERT;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)s.n);
	bool is_crl = crl != NULL && at == end;
	X509_CRL_free(crl);
	at = der;
	X509_REQ *request = is_crl ? NULL : d2i_X509_REQ(NULL, &at, (long)s.n);
	bool is_request = request != NULL && at == end;
	X509_REQ_free(request);
	at = der;
	EVP_PKEY *key = is_crl || is_request ? NULL : d2i_AutoPrivateKey_ex(NULL, &at, (long)s.n, p->thread->lib, NULL);
	bool is_key = key != NULL && at == end;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return is_crl ? THING_CRL : is_request ? THING_REQUEST : is_key ? THING_KEY : THING_OTHER;
}

static bool
read_der(struct pki *p, struct things *t, const char *path, struct sv content)
{
	enum thing_kind kind = guess(p, content);

	if (kind == THING_OTHER)
		return read_pkcs12(p, t, path, content);
	t->form = "DER";
	return add(t, path, kind, SV_NONE, copy(content.p, content.n), content.n, &p->err);
}

bool
things_read(struct pki *p, const char *path, struct things *out)
{
	struct buf content;

	*out = (struct things){.n = 0};
	buf_init(&content, THINGS_FILE_MAX);
	bool ok = files_read(files_direct(), path, &content, NULL, &p->err);
	struct sv s = buf_view(&content);
	if (ok && s.n == 0)
		ok = err_set(&p->err, "%s: is empty", path);
	else if (ok)
		ok = (unsigned char)s.p[0] == DER_SEQUENCE ? read_der(p, out, path, s) : read_pem(out, path, s, &p->err);
	pem_wipe(&content);
	return ok;
}

void
things_free(struct things *t)
{
	for (size_t i = 0; i < t->n; i++)
		secret_wipe(t->v[i].der, t->v[i].n);
	free(t->v);
	*t = (struct things){.n = 0};
}

const struct thing *
things_first(const struct things *t, enum thing_kind kind)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].kind == kind)
			return &t->v[i];
	return NULL;
}

static bool
to_piece(struct pki *p, const char *path, const struct thing *t, bool keys, struct pieces *out)
{
	if (t->kind == THING_CERT) {
		struct tls_der *der = tls_der_new(t->n);
		if (der == NULL)
			return err_no_memory(&p->err);
		memcpy(der->bytes, t->der, t->n);
		der->size = (uint32_t)t->n;
		return pieces_add_cert(out, path, der, p->thread, &p->err);
	}
	if (t->kind == THING_KEY && keys) {
		unsigned char *key = copy(t->der, t->n);
		return key != NULL ? pieces_add_key(out, path, key, t->n, &p->err) : err_no_memory(&p->err);
	}
	return true;
}

bool
things_to_pieces(struct pki *p, const char *path, bool keys, struct pieces *out)
{
	struct things t;
	bool ok = things_read(p, path, &t);

	if (ok && things_first(&t, THING_CERT) == NULL)
		ok = err_set(&p->err, "%s: no certificate in it", path);
	for (size_t i = 0; ok && i < t.n; i++)
		ok = to_piece(p, path, &t.v[i], keys, out);
	out->ordered = true;
	things_free(&t);
	return ok;
}

X509 *
thing_cert(struct pki *p, const char *path, const struct thing *t)
{
	const unsigned char *at = t->der;
	X509 *x = X509_new_ex(p->thread->lib, NULL);
	struct cert_view view;

	if (x != NULL && cert_parse(t->der, t->n, &view) && d2i_X509(&x, &at, (long)t->n) != NULL)
		return x;
	X509_free(x);
	ERR_clear_error();
	err_set(&p->err, "%s: a certificate in it is damaged; get it again from its issuer", path);
	return NULL;
}

X509_REQ *
thing_request(struct pki *p, const char *path, const struct thing *t)
{
	const unsigned char *at = t->der;
	X509_REQ *r = X509_REQ_new_ex(p->thread->lib, NULL);

	if (r != NULL && d2i_X509_REQ(&r, &at, (long)t->n) != NULL && at == t->der + t->n && X509_REQ_get0_pubkey(r) != NULL)
		return r;
	X509_REQ_free(r);
	ERR_clear_error();
	err_set(&p->err, "%s: the request in it is damaged; have it made anew", path);
	return NULL;
}
