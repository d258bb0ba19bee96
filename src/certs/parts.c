/* parts.c: which bundles of a store are kept together. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/siphash.h"
#include "certs/keep.h"
#include "certs/store_internal.h"

enum { BUNDLES_A_PART = 128 }; /* about, as long as there are less than TLS_PARTS_MAX parts */

/* A power of two: one bundle more or less changes it seldom, and then all parts. */
static size_t
count_parts(size_t bundles)
{
	size_t n = 1;

	while (n < TLS_PARTS_MAX && n * BUNDLES_A_PART < bundles)
		n *= 2;
	return n;
}

/* By its name alone: what becomes of other bundles does not move it. */
static size_t
part_of(const struct tls_bundle *b, size_t n_parts)
{
	static const unsigned char nobody_attacks[SIPHASH_KEY]; /* names are the administrator's */

	return siphash(nobody_attacks, b->name, strlen(b->name)) & (n_parts - 1);
}

/* Counting sort: stable, so entries stay in the store's order within each part. */
static bool
sort(struct tls_parts *p, const struct tls_store *s)
{
	unsigned char *part = malloc(MAX_OF(s->n, (size_t)1));
	size_t at[TLS_PARTS_MAX] = {0};

	_Static_assert(TLS_PARTS_MAX <= 256, "a part's number fits into a byte");
	p->order = reallocarray(NULL, MAX_OF(s->n, (size_t)1), sizeof(*p->order));
	bool ok = part != NULL && p->order != NULL;
	for (size_t i = 0; ok && i < s->n; i++) {
		part[i] = (unsigned char)part_of(s->v[i].bundle, p->n);
		p->end[part[i]]++;
	}
	for (size_t k = 1; k < p->n; k++) {
		at[k] = p->end[k - 1];
		p->end[k] += p->end[k - 1];
	}
	for (size_t i = 0; ok && i < s->n; i++)
		p->order[at[part[i]]++] = (uint32_t)i;
	free(part);
	return ok;
}

/* The chain, the number and the stamps of its files: what has another key has other files. */
static bool
digest_entry(EVP_MD_CTX *ctx, const struct store_entry *e)
{
	const struct tls_bundle *b = e->bundle;

	return EVP_DigestUpdate(ctx, e->origin, strlen(e->origin) + 1) == 1 && EVP_DigestUpdate(ctx, &e->listed, sizeof(e->listed)) == 1 &&
	    EVP_DigestUpdate(ctx, b->name, strlen(b->name) + 1) == 1 && EVP_DigestUpdate(ctx, b->where, strlen(b->where) + 1) == 1 &&
	    EVP_DigestUpdate(ctx, &b->generation, sizeof(b->generation)) == 1 &&
	    EVP_DigestUpdate(ctx, b->fingerprint, sizeof(b->fingerprint)) == 1 &&
	    EVP_DigestUpdate(ctx, b->private->files, sizeof(b->private->files)) == 1;
}

static bool
digest(struct tls_parts *p, const struct tls_store *s, const struct tls_thread *thread)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL;
	size_t i = 0;

	for (size_t k = 0; ok && k < p->n; k++) {
		ok = EVP_DigestInit_ex2(ctx, thread->sha256, NULL) == 1;
		for (; ok && i < p->end[k]; i++)
			ok = digest_entry(ctx, &s->v[p->order[i]]);
		ok = ok && EVP_DigestFinal_ex(ctx, p->digest[k], NULL) == 1;
	}
	EVP_MD_CTX_free(ctx);
	return ok;
}

bool
tls_parts_make(struct tls_parts *p, const struct tls_store *s, const struct tls_thread *thread)
{
	*p = (struct tls_parts){.n = count_parts(s->n)};
	if (sort(p, s) && digest(p, s, thread))
		return true;
	tls_parts_free(p);
	return false;
}

void
tls_parts_free(struct tls_parts *p)
{
	free(p->order);
	p->order = NULL;
}
