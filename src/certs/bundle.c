#include "certs/bundle.h"

#include <stdlib.h>

#include "certs/load.h"
#include "certs/materials.h"

enum { NAME_TEXT = 512, SERIAL_TEXT = 64 };

/* A bundle is one allocation, its strings behind it: there may be ten thousand. */
struct block {
	struct tls_bundle bundle;
	struct tls_bundle_private private;
	const char *names[];
};

/* The text that goes behind the names. */
struct texts {
	char subject[NAME_TEXT], issuer[NAME_TEXT], serial[SERIAL_TEXT];
	size_t n_names;
	size_t size; /* of all, with their NULs */
};

static void
gather(struct texts *t, const struct source *s, const struct cert_view *leaf)
{
	struct cert_names walk = {.started = false};
	struct sv name;

	cert_name_text(leaf->subject, t->subject, sizeof(t->subject));
	cert_name_text(leaf->issuer, t->issuer, sizeof(t->issuer));
	cert_serial_text(leaf->serial, t->serial, sizeof(t->serial));
	t->n_names = 0;
	t->size = strlen(t->subject) + strlen(t->issuer) + strlen(t->serial) + strlen(s->name) + strlen(s->where) + 5;
	while (cert_next_name(leaf, &walk, &name)) {
		t->n_names++;
		t->size += name.n + 1;
	}
}

static const char *
put(char **at, struct sv text)
{
	char *p = *at;

	if (text.n > 0)
		memcpy(p, text.p, text.n);
	p[text.n] = '\0';
	*at += text.n + 1;
	return p;
}

static void
put_facts(struct block *b, const struct texts *t, const struct cert_view *leaf, char **at)
{
	struct cert_names walk = {.started = false};
	struct sv name;
	size_t n = 0;

	while (n < t->n_names && cert_next_name(leaf, &walk, &name)) {
		char *lower = *at;
		b->names[n++] = put(at, name);
		for (; lower < *at; lower++)
			*lower = ascii_lower(*lower);
	}
	b->bundle.facts = (struct tls_facts){
		.not_before = leaf->not_before,
		.not_after = leaf->not_after,
		.key_type = leaf->key_type,
		.key_bits = leaf->key_bits,
		.subject = put(at, sv_cstr(t->subject)),
		.issuer = put(at, sv_cstr(t->issuer)),
		.serial = put(at, sv_cstr(t->serial)),
		.names = b->names,
		.n_names = n,
		.has_alt_names = leaf->alt_names.n > 0,
	};
}

struct tls_bundle *
bundle_new(const struct source *s, const struct chain *c, struct pieces *p, struct der_table *shared)
{
	const struct cert_view *leaf = &c->order[0]->view;
	struct texts t;

	gather(&t, s, leaf);
	size_t pointers = t.n_names * sizeof(const char *); /* a file of 1 MiB bounds it all */
	struct block *b = calloc(1, sizeof(*b) + pointers + t.size);
	if (b == NULL)
		return NULL;
	char *at = (char *)b->names + pointers;
	b->bundle.refs = 1;
	b->bundle.private = &b->private;
	b->bundle.name = put(&at, sv_cstr(s->name));
	b->bundle.where = put(&at, sv_cstr(s->where));
	put_facts(b, &t, leaf, &at);
	b->private.key = p->key;
	b->private.key_size = p->key_size;
	p->key = NULL;
	b->bundle.n_chain = c->n;
	for (unsigned i = 0; i < c->n; i++) {
		struct tls_der *der = tls_der_ref(c->order[i]->der);
		b->bundle.chain[i] = i == 0 ? der : der_intern(shared, der);
	}
	return &b->bundle;
}

struct tls_bundle *
tls_bundle_ref(struct tls_bundle *b)
{
	__atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

void
tls_bundle_unref(struct tls_bundle *b)
{
	if (b == NULL || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	struct tls_bundle_private *p = b->private;
	for (unsigned i = 0; p->slots != NULL && i < TLS_THREADS_MAX; i++)
		materials_free(p->slots[i]);
	free(p->slots);
	free(b->exposed);
	secret_wipe(p->key, p->key_size);
	for (unsigned i = 0; i < b->n_chain; i++)
		tls_der_unref(b->chain[i]);
	free(CONTAINER_OF(b, struct block, bundle));
}

static bool
name_covers(struct sv pattern, struct sv host)
{
	if (!sv_starts(pattern, SV("*.")))
		return sv_ieq(pattern, host);
	const char *dot = host.n > 0 ? memchr(host.p, '.', host.n) : NULL;
	if (dot == NULL || dot == host.p)
		return false;
	size_t label = (size_t)(dot - host.p);
	return sv_ieq(sv_of(pattern.p + 1, pattern.n - 1), sv_of(dot, host.n - label));
}

bool
tls_bundle_covers(const struct tls_bundle *b, const char *host)
{
	for (size_t i = 0; i < b->facts.n_names; i++)
		if (name_covers(sv_cstr(b->facts.names[i]), sv_cstr(host)))
			return true;
	return false;
}
