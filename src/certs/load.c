#include "certs/load.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "certs/materials.h"

bool
chain_fingerprint(const struct chain *c, const struct tls_thread *t, unsigned char out[32])
{
	unsigned char all[TLS_CHAIN_MAX * 32];

	for (unsigned i = 0; i < c->n; i++)
		memcpy(all + i * 32, c->order[i]->der->sha256, 32);
	return EVP_Digest(all, c->n * 32, out, NULL, t->sha256, NULL) == 1;
}

/*
 * A renewal writes two files, one after the other, and a reload may come in between. So a pair that does not match is
 * no alarm as long as there is something to serve.
 */
static bool
refuse_mismatch(const struct source *s, const struct pieces *p, const struct tls_bundle *previous, struct err *err)
{
	const char *certs = p->certs[0].path;

	if (p->key_path == certs)
		return err_set(err, "%s: %scertificate and key do not match%s; put the certificate's own key there",
		    certs, previous != NULL ? "pending: " : "", previous != NULL ? " yet" : "");
	if (previous != NULL)
		return err_set(err,
		    "%s: pending: certificate and key do not match yet; the pair is tried again when a file of it "
		    "changes: put the key of this certificate in %s",
		    certs, p->key_path);
	return err_set(err,
	    "%s: the private key in %s belongs to none of its certificates; put there the key that bundle \"%s\" "
	    "was certified with",
	    certs, p->key_path, s->name);
}

static struct tls_bundle *
prove(struct loader *l, struct tls_bundle *b, struct err *err)
{
	struct tls_materials *m = materials_make(b, l->what->thread, err);
	bool ok = m != NULL && materials_prove(m, l->what->thread, err) && materials_check_links(m, err);

	materials_free(m);
	if (ok) {
		b->private->proved = true;
		return b;
	}
	err_prefix(err, "%s", b->where);
	tls_bundle_unref(b);
	return NULL;
}

/* The key counts too: a damaged one may have been replaced. Without it, a bundle is only there to be compared with. */
static bool
is_same(const struct tls_bundle *b, const unsigned char print[32], const struct pieces *p)
{
	return memcmp(b->fingerprint, print, 32) == 0 &&
	    (b->private->key == NULL ||
	        (b->private->key_size == p->key_size && memcmp(b->private->key, p->key, p->key_size) == 0)) &&
	    !__atomic_load_n(&b->private->unusable, __ATOMIC_RELAXED);
}

/* What can not be used has no clients that would lose something. What is fine may have to wait for a word. */
static bool
guard_against(struct loader *l, const struct source *s, const struct chain *c, const struct tls_bundle *previous,
    const struct tls_bundle *new, struct err *err)
{
	const struct guard_rules rules = {
		.conf = l->what->conf, .bundle = s->conf, .accept = l->what->accept, .now = l->now};
	char command[320]; /* a bundle's name is that of a file, or in the config */

	if (previous == NULL || __atomic_load_n(&previous->private->unusable, __ATOMIC_RELAXED))
		return true;
	guard_compare(previous, new, &rules, &l->findings);
	(void)snprintf(command, sizeof(command), "bascule rotation start %s", previous->name);
	if (!guard_passes(&l->findings, previous, c->order[0]->path, s->conf->name, command, err))
		return false;
	l->waits = s->conf->rotation.start == CONF_START_MANUAL && !l->started;
	return !l->waits || guard_awaits_start(&l->findings, &rules, c->order[0]->path, s->name, err);
}

/* What is rolled back, nobody has come to trust: clients are shown the one before, and so that is what they can lose. */
static bool
guard(struct loader *l, const struct source *s, const struct chain *c, const struct tls_bundle *previous,
    const struct tls_bundle *new, struct err *err)
{
	struct tls_bundle *shown = NULL;

	if (previous != NULL && l->what->rolled_back_to != NULL)
		shown = l->what->rolled_back_to(l->what->arg, previous->name);
	bool ok = guard_against(l, s, c, shown != NULL ? shown : previous, new, err);
	tls_bundle_unref(shown);
	return ok;
}

/*
 * Clients that have not met the issuer by another way can not get from the leaf to a root. But a private root may have
 * issued the leaf itself, so that is said only where the certificate, or what was there before, tells that there is more.
 */
static bool
lacks_issuer(const struct pieces *p, const struct chain *c, bool had_one)
{
	const struct cert_view *leaf = &c->order[0]->view;

	if (c->n > 1 || cert_self_issued(leaf) || (!had_one && leaf->issuer_url.n == 0))
		return false;
	for (size_t i = 0; i < p->n_certs; i++)
		if (cert_issued_by(leaf, &p->certs[i].view))
			return false; /* a root, which need not be served */
	return true;
}

enum { FOR_OTHERS = 06 };

/* A file that is to be secret and is not: with the key in the clear, or the password of one that is encrypted. */
static const struct source_file *
exposed_file(const struct source *s)
{
	bool has_password = source_path(s, SOURCE_PASSWORD) != NULL;

	for (unsigned i = 0; i < s->n_files; i++) {
		const struct source_file *f = &s->files[i];
		bool secret = f->role == SOURCE_KEY || f->role == SOURCE_COMBINED || f->role == SOURCE_PASSWORD ||
		    (f->role == SOURCE_PKCS12 && !has_password);
		if (secret && (f->stamp.mode & FOR_OTHERS) != 0)
			return f;
	}
	return NULL;
}

/* False: no memory, and what was noted stays. */
static bool
note_exposed(struct tls_bundle *b, const struct source *s)
{
	const struct source_file *f = exposed_file(s);
	char *path = NULL;

	if (f != NULL && (path = strdup(f->path)) == NULL)
		return false;
	free(b->exposed);
	b->exposed = path;
	b->exposed_mode = f != NULL ? (unsigned)f->stamp.mode : 0;
	return true;
}

/* All is well with it: the bundle in service when it has the same content, else a new one. */
static struct tls_bundle *
accept(struct loader *l, const struct source *s, struct pieces *p, const struct chain *c, struct tls_bundle *previous,
    struct err *err)
{
	unsigned char print[32], files[32];

	if (!chain_fingerprint(c, l->what->thread, print) || !source_digest(s, l->what->thread, files)) {
		err_no_memory(err);
		return NULL;
	}
	if (previous != NULL && is_same(previous, print, p)) {
		previous->reordered = c->reordered;
		previous->lacks_issuer = lacks_issuer(p, c, previous->lacks_issuer);
		memcpy(previous->private->files, files, sizeof(files));
		if (note_exposed(previous, s))
			return tls_bundle_ref(previous);
		err_no_memory(err);
		return NULL;
	}
	struct tls_bundle *b = bundle_new(s, c, p, &l->shared);
	if (b == NULL || !note_exposed(b, s)) {
		tls_bundle_unref(b);
		err_no_memory(err);
		return NULL;
	}
	b->generation = previous != NULL ? previous->generation + 1 : 1;
	b->reordered = c->reordered;
	b->lacks_issuer = lacks_issuer(p, c, previous != NULL && (previous->n_chain > 1 || previous->lacks_issuer));
	memcpy(b->fingerprint, print, sizeof(print));
	memcpy(b->private->files, files, sizeof(files));
	if (l->prove && (b = prove(l, b, err)) == NULL)
		return NULL;
	if (guard(l, s, c, previous, b, err))
		return b;
	tls_bundle_unref(b);
	return NULL;
}

static struct tls_bundle *
judge(struct loader *l, const struct source *s, struct pieces *p, struct tls_bundle *previous, struct err *err)
{
	struct chain c;

	switch (chain_make(&c, p, l->what->thread, err)) {
	case CHAIN_OK:
		break;
	case CHAIN_REFUSED:
		return NULL;
	case CHAIN_NOT_MATCHING:
		refuse_mismatch(s, p, previous, err);
		return NULL;
	}
	if (!chain_check(&c, l->now, err))
		return NULL;
	return accept(l, s, p, &c, previous, err);
}

struct tls_bundle *
load_bundle(struct loader *l, struct source *s, struct tls_bundle *previous, struct err *err)
{
	struct pieces p;

	l->findings = (struct guard_findings){.n = 0};
	l->waits = false;
	if (s->problem != NULL) {
		err_set(err, "%s", s->problem);
		return NULL;
	}
	bool ok = pieces_read(&p, s, l->what->files, l->what->thread, err);
	struct tls_bundle *b = ok ? judge(l, s, &p, previous, err) : NULL;
	pieces_free(&p);
	return b;
}
