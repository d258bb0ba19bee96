#include "certs/shown.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "certs/load.h"
#include "certs/store_internal.h"

enum {
	LINE_IN = 48, LINE_OUT = 65, /* bytes of DER to a line of base64, with its end */
	ENCODED_END = 80,            /* EVP_EncodeFinal() writes one line, with a NUL */
};

/* --- out ---------------------------------------------------------------------------------------------------- */

static bool
append_base64(EVP_ENCODE_CTX *ctx, const struct tls_der *der, struct buf *out)
{
	char *room = buf_room(out, (der->size / LINE_IN + 1) * LINE_OUT + ENCODED_END);
	int n, last;

	if (room == NULL)
		return false;
	EVP_EncodeInit(ctx);
	if (EVP_EncodeUpdate(ctx, (unsigned char *)room, &n, der->bytes, (int)der->size) != 1)
		return false;
	EVP_EncodeFinal(ctx, (unsigned char *)room + n, &last);
	buf_added(out, (size_t)n + (size_t)last);
	return true;
}

bool
tls_shown_pem(const struct tls_bundle *b, struct buf *out)
{
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	bool ok = ctx != NULL;

	for (unsigned i = 0; ok && i < b->n_chain; i++)
		ok = buf_printf(out, "-----BEGIN CERTIFICATE-----\n") && append_base64(ctx, b->chain[i], out) &&
		    buf_printf(out, "-----END CERTIFICATE-----\n");
	EVP_ENCODE_CTX_free(ctx);
	return ok;
}

/* --- and back ----------------------------------------------------------------------------------------------- */

struct reading {
	struct tls_store *store;
	const struct tls_thread *thread;
	struct der_table shared;
};

static bool
add_bundle(struct reading *r, const struct tls_shown *s, struct pieces *p, struct err *err)
{
	const struct source source = {.name = s->name, .where = s->name};
	struct chain c = {.n = (unsigned)p->n_certs};

	if (p->n_certs == 0 || p->n_certs > TLS_CHAIN_MAX || p->key != NULL)
		return err_set(err, "bundle \"%s\": what the proxy shows is no chain of certificates", s->name);
	for (unsigned i = 0; i < c.n; i++)
		c.order[i] = &p->certs[i];
	struct tls_bundle *b = bundle_new(&source, &c, p, &r->shared);
	if (b == NULL)
		return err_no_memory(err);
	b->generation = s->generation;
	bool ok = (chain_fingerprint(&c, r->thread, b->fingerprint) && store_add(r->store, b, s->name, false)) ||
	    err_no_memory(err);
	tls_bundle_unref(b);
	return ok;
}

static bool
read_one(struct reading *r, const struct tls_shown *s, struct err *err)
{
	struct pieces p = {.n_certs = 0};
	bool ok = pieces_add_pem(&p, s->name, s->pem, r->thread, err) && add_bundle(r, s, &p, err);

	pieces_free(&p);
	return ok;
}

struct tls_store *
tls_shown_store(const struct tls_shown *v, size_t n, const struct tls_thread *thread, struct err *err)
{
	struct reading r = {.store = store_new(), .thread = thread};
	bool ok = r.store != NULL && (r.store->v = calloc(MAX_OF(n, (size_t)1), sizeof(*r.store->v))) != NULL;

	if (!ok)
		err_no_memory(err);
	for (size_t i = 0; ok && i < n; i++)
		ok = read_one(&r, &v[i], err);
	ok = ok && (store_arrange(r.store, NULL) || err_no_memory(err));
	der_table_free(&r.shared);
	if (ok)
		return r.store;
	tls_store_unref(r.store);
	return NULL;
}
