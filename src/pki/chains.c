#include "pki/chains.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "certs/materials.h"
#include "pki/key.h"

void
peek_source(struct pki *p, struct source *s, struct files *files, struct peek *out)
{
	*out = (struct peek){.pieces = {.n_certs = 0}};
	if (s->problem != NULL) {
		err_set(&out->problem, "%s", s->problem);
		return;
	}
	if (!pieces_read(&out->pieces, s, files, p->thread, &out->problem))
		return;
	enum chain_result result = chain_make(&out->chain, &out->pieces, p->thread, &out->problem);
	if (result == CHAIN_NOT_MATCHING)
		err_set(&out->problem, "%s: the private key in %s belongs to none of its certificates", s->where,
		    out->pieces.key_path);
	if (result != CHAIN_OK)
		out->chain.n = 0;
	else if (!chain_check(&out->chain, (int64_t)time(NULL), &out->problem))
		return; /* it has said why */
}

void
peek_free(struct peek *k)
{
	pieces_free(&k->pieces);
	k->chain.n = 0;
}

bool
chain_to_pem(struct buf *out, const struct chain *c, unsigned from, struct err *err)
{
	for (unsigned i = from; i < c->n; i++)
		if (!pem_add_der(out, PEM_STRING_X509, c->order[i]->der->bytes, c->order[i]->der->size, err))
			return false;
	return true;
}

static X509 *
decode(const struct piece *one, const struct tls_thread *t)
{
	const unsigned char *at = one->der->bytes;
	X509 *x = X509_new_ex(t->lib, NULL);

	return x != NULL && d2i_X509(&x, &at, (long)one->der->size) != NULL ? x : NULL; /* freed by d2i when it fails */
}

/* OpenSSL's objects; the key is left to the caller. False with err set; call free_objects() in either case. */
static bool
make_objects(struct pki *p, const struct chain *c, struct tls_materials *m)
{
	*m = (struct tls_materials){.chain = sk_X509_new_reserve(NULL, (int)c->n)};
	for (unsigned i = 0; m->chain != NULL && i < c->n; i++) {
		X509 *x = decode(c->order[i], p->thread);
		if (x == NULL)
			return err_set(&p->err, "%s: a certificate in it can not be read", c->order[i]->path);
		if (i == 0)
			m->leaf = x;
		else
			(void)sk_X509_push(m->chain, x); /* there is room */
	}
	return m->chain != NULL || err_no_memory(&p->err);
}

static void
free_objects(struct tls_materials *m)
{
	X509_free(m->leaf);
	sk_X509_pop_free(m->chain, X509_free);
	ERR_clear_error();
}

bool
chain_links(struct pki *p, const struct chain *c)
{
	struct tls_materials m;
	bool ok = make_objects(p, c, &m) &&
	    (materials_check_links(&m, &p->err) || err_prefix(&p->err, "%s", c->order[0]->path));

	free_objects(&m);
	return ok;
}

bool
chain_to_pkcs12(
    struct pki *p, struct buf *out, const struct chain *c, EVP_PKEY *key, const char *name, const char *password)
{
	struct tls_materials m;
	unsigned char *der = NULL;
	char why[200];
	int n = 0;

	if (make_objects(p, c, &m)) {
		PKCS12 *p12 = PKCS12_create_ex(password, name, key, m.leaf, m.chain, 0, 0, 0, 0, 0, p->thread->lib, NULL);
		n = p12 != NULL ? i2d_PKCS12(p12, &der) : 0;
		if (n <= 0) {
			tls_error_text(why, sizeof(why));
			err_set(&p->err, "PKCS#12 can not be made: %s", why);
		}
		PKCS12_free(p12);
	}
	free_objects(&m);
	bool ok = n > 0 && (buf_append(out, der, (size_t)n) || err_no_memory(&p->err));
	OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
	return ok;
}
