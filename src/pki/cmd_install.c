/* install: find, check, show, write, tell. */
#include "pki/install.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "certs/load.h"
#include "pki/compare.h"
#include "pki/key.h"
#include "pki/overlay.h"
#include "pki/place.h"
#include "pki/target.h"
#include "pki/things.h"

/* Whatever is needed on the way; freed at its end. */
struct installation {
	struct conf *conf;
	struct target target;
	struct sources now;   /* what the config names as it is on disk */
	struct peek old;      /* what is in place; empty: nothing */
	struct pieces pieces; /* the new certificate, its chain, its key */
	struct chain chain;
	EVP_PKEY *key;
	struct overlay overlay;
	unsigned accept; /* losses that are meant */
	struct err held; /* losses that are not, for the clients of what is in place */
};

/* --- the key --- */

/* Give it to the pieces and see whether it is the certificate's. Takes over nothing. */
static enum chain_result
try_key(struct pki *p, struct installation *in, const struct pieces *with)
{
	unsigned char *mine = malloc(with->key_size);

	if (mine == NULL) {
		err_no_memory(&p->err);
		return CHAIN_REFUSED;
	}
	memcpy(mine, with->key, with->key_size);
	secret_wipe(in->pieces.key, in->pieces.key_size);
	in->pieces.key = mine;
	in->pieces.key_size = with->key_size;
	in->pieces.key_path = with->key_path;
	return chain_make(&in->chain, &in->pieces, p->thread, &p->err);
}

/* The key in a PEM file. CHAIN_NOT_MATCHING, too, when there is no such file. */
static enum chain_result
try_file(struct pki *p, struct installation *in, const char *path)
{
	struct pieces pieces = {.n_certs = 0};
	enum chain_result result = CHAIN_NOT_MATCHING;
	struct buf content;

	if (path == NULL || access(path, F_OK) != 0)
		return CHAIN_NOT_MATCHING;
	buf_init(&content, PIECES_FILE_MAX);
	if (!files_read(files_direct(), path, &content, NULL, &p->err) ||
	    !pieces_add_pem(&pieces, path, buf_view(&content), p->thread, &p->err))
		result = CHAIN_REFUSED;
	else if (pieces.key != NULL)
		result = try_key(p, in, &pieces);
	pieces_free(&pieces);
	pem_wipe(&content);
	return result;
}

/* "DIR/shop.key" beside "DIR/shop.crt" */
static const char *
beside(struct pki *p, const char *cert)
{
	const char *slash = strrchr(cert, '/'), *dot = strrchr(slash != NULL ? slash : cert, '.');

	return arena_printf(&p->arena, "%.*s.key", (int)(dot != NULL ? (size_t)(dot - cert) : strlen(cert)), cert);
}

/* Where the certificate's key may be; the first that is it. */
static bool
find_key(struct pki *p, struct installation *in, const char *bundle, const char *cert, const char *given)
{
	const char *sibling = beside(p, cert), *here = place(p, bundle, ".key");
	enum chain_result r = CHAIN_NOT_MATCHING;

	if (sibling == NULL || here == NULL)
		return err_no_memory(&p->err);
	if (given != NULL) {
		if (access(given, F_OK) != 0)
			return err_set(&p->err, "%s: there is no such file", given);
		r = try_file(p, in, given);
		return r == CHAIN_OK || (r == CHAIN_NOT_MATCHING &&
		                            err_set(&p->err, "%s: is not the key of the certificate in %s", given, cert));
	}
	if (in->pieces.key != NULL)
		r = chain_make(&in->chain, &in->pieces, p->thread, &p->err);
	if (r == CHAIN_NOT_MATCHING)
		r = try_file(p, in, sibling);
	if (r == CHAIN_NOT_MATCHING && strchr(bundle, '/') == NULL)
		r = try_file(p, in, here);
	if (r == CHAIN_NOT_MATCHING && in->old.pieces.key != NULL)
		r = try_key(p, in, &in->old.pieces);
	if (r == CHAIN_NOT_MATCHING)
		err_set(&p->err,
		    "the key of the certificate in %s is neither in it, nor %s, nor %s, nor the one in place; name its "
		    "file with --key",
		    cert, sibling, here);
	return r == CHAIN_OK;
}

/* --- is it what the proxy would take? --- */

static bool
touches(const struct source *s, const struct overlay *o)
{
	for (unsigned i = 0; i < s->n_files; i++)
		if (overlay_has(o, s->files[i].path))
			return true;
	return false;
}

/* What is in place; NULL: nothing that can be served, and so nobody has anything to lose. */
static struct tls_bundle *
load_as_it_is(struct pki *p, const struct installation *in)
{
	const struct tls_load what = {.files = files_direct(), .thread = p->thread};
	struct loader l = {.what = &what, .now = (int64_t)time(NULL)};
	struct source *s = sources_named(&in->now, in->target.bundle);
	struct err why;

	struct tls_bundle *b = s != NULL ? load_bundle(&l, s, NULL, &why) : NULL;
	der_table_free(&l.shared);
	return b;
}

/* As the proxy compares them, which may have something else in service: the last word is its own. */
static void
compare_with_old(struct pki *p, struct installation *in, const struct source *s, const struct tls_bundle *new)
{
	const struct guard_rules rules = {
		.conf = in->conf, .bundle = s->conf, .accept = in->accept, .now = (int64_t)time(NULL)};
	struct tls_bundle *old = load_as_it_is(p, in);
	struct guard_findings findings = {.n = 0};

	if (old == NULL)
		return;
	guard_compare(old, new, &rules, &findings);
	old->generation = findings.refused != 0 ? p->host->generation(in->conf, in->target.bundle, old->chain[0]->sha256) : 0;
	if (guard_passes(&findings, old, new->where, s->conf->name, "bascule pki install …", &in->held))
		in->held.text[0] = '\0';
	tls_bundle_unref(old);
}

/* The loader itself on what would be there, for every bundle that has one of the files: another may share the key. */
static bool
load_as_it_would_be(struct pki *p, struct installation *in, struct sources *would)
{
	const struct tls_load what = {.files = &in->overlay.files, .thread = p->thread};
	struct loader l = {.what = &what, .now = (int64_t)time(NULL), .prove = true};
	bool ok = true, found = false;

	for (size_t i = 0; ok && i < would->n; i++) {
		struct source *s = &would->v[i];
		bool mine = strcmp(s->name, in->target.bundle) == 0;
		if (!mine && !touches(s, &in->overlay))
			continue;
		struct tls_bundle *b = load_bundle(&l, s, NULL, &p->err);
		ok = b != NULL;
		if (!ok)
			err_prefix(
			    &p->err, mine ? "refused" : "refused, because bundle \"%s\" shares a file with it", s->name);
		found = found || mine;
		if (ok && mine)
			compare_with_old(p, in, s, b);
		tls_bundle_unref(b);
	}
	der_table_free(&l.shared);
	return ok && (found || err_set(&p->err, "bundle \"%s\" would not be found in its directory", in->target.bundle));
}

static bool
check(struct pki *p, struct installation *in)
{
	struct sources would;

	overlay_init(&in->overlay);
	for (unsigned i = 0; i < in->target.n; i++)
		if (!overlay_add(&in->overlay, in->target.files[i].path, buf_view(&in->target.files[i].content), &p->err))
			return false;
	bool ok = sources_find(&would, in->conf, &in->overlay.files, &p->err) && load_as_it_would_be(p, in, &would);
	sources_free(&would);
	return ok;
}

/* --- writing --- */

static unsigned
mode_of(enum source_role role)
{
	return role == SOURCE_CERTIFICATE || role == SOURCE_CHAIN ? WRITE_PUBLIC : WRITE_SECRET;
}

static bool
replace(struct pki *p, struct installation *in, struct writes *w)
{
	const struct target *t = &in->target;

	/* The key first: a certificate that has its key already is never half of a pair. */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < t->n; i++) {
			const struct target_file *f = &t->files[i];
			if (f->changes && (f->role == SOURCE_KEY) == (pass == 0))
				writes_replace(w, f->real, f->previous, buf_view(&f->content), mode_of(f->role));
		}
	}
	if (!writes_commit(w, &p->err))
		return false;
	for (size_t i = 0; i < w->n; i++)
		(void)printf("wrote %s%s%s%s\n", w->v[i].path, w->v[i].kept ? " (before: " : "",
		    w->v[i].kept ? w->v[i].previous : "", w->v[i].kept ? ")" : "");
	if (w->n == 0)
		(void)puts("nothing to write: the files hold this already");
	return true;
}

/* The proxy's own words, but of what is accepted by a reload the files would be gone: it is told how this command does. */
static const char *
refusal(const struct installation *in, const struct err *why)
{
	return in->held.text[0] != '\0' && strstr(why->text, " --accept ") != NULL ? in->held.text : why->text;
}

static int
tell(struct pki *p, struct installation *in, struct writes *w)
{
	struct err why = {""};

	(void)fflush(stdout);
	switch (p->host->reload(in->conf, in->target.bundle, in->accept, &why)) {
	case PKI_RELOADED:
		(void)printf("the proxy serves it\n");
		return PKI_OK;
	case PKI_WAITS:
		(void)printf("the files are in place; %s\n", why.text);
		return PKI_OK;
	case PKI_NOT_ASKED:
		err_set(&p->err, "the files are in place, but no proxy was told: %s", why.text);
		return PKI_BUT;
	case PKI_RELOAD_HELD:
		break;
	}
	if (writes_undo(w, &p->err))
		err_set(&p->err, "the proxy refuses it, so the files are what they were before: %s", refusal(in, &why));
	else
		err_prefix(&p->err, "the proxy refuses it (%.200s), and the files could not be put back", why.text);
	return PKI_FAILED;
}

/* --- all of it --- */

static bool
gather(struct pki *p, struct installation *in, const char *bundle, const char *cert, const char *chain, const char *key)
{
	if ((in->conf = place_config(p, NULL)) == NULL || !target_find(p, in->conf, bundle, p->args.create, &in->target) ||
	    !sources_find(&in->now, in->conf, files_direct(), &p->err))
		return false;
	struct source *now = sources_named(&in->now, bundle);
	if (now != NULL)
		peek_source(p, now, files_direct(), &in->old);
	if (!things_to_pieces(p, cert, true, &in->pieces) ||
	    (chain != NULL && !things_to_pieces(p, chain, false, &in->pieces)))
		return false;
	return find_key(p, in, bundle, cert, key) && (in->key = key_of_pieces(p, &in->pieces)) != NULL &&
	    target_fill(p, &in->target, &in->chain, in->key);
}

static void
free_all(struct installation *in)
{
	overlay_close(&in->overlay);
	target_wipe(&in->target);
	EVP_PKEY_free(in->key);
	pieces_free(&in->pieces);
	peek_free(&in->old);
	sources_free(&in->now);
	conf_free(in->conf);
}

static int
dry_run(struct pki *p, const struct installation *in)
{
	if (in->held.text[0] != '\0') {
		err_set(&p->err, "nothing was changed (--dry-run), and the proxy would refuse it: %s", in->held.text);
		return PKI_FAILED;
	}
	(void)puts("the proxy would take it; nothing was changed (--dry-run)");
	return PKI_OK;
}

static int
carry_out(struct pki *p, struct installation *in, install_agree agree)
{
	bool loses = compare_print(p, in->conf, in->target.bundle, &in->old, &in->chain);
	struct writes w = {.n = 0};

	if (p->args.dry_run)
		return dry_run(p, in);
	if (agree != NULL && !agree(p, loses)) {
		(void)puts("Nothing was installed.");
		return p->err.text[0] == '\0' ? PKI_OK : PKI_FAILED;
	}
	if (agree != NULL)
		in->accept = (1u << CONF_LOSSES_N) - 1; /* whoever agreed has seen what it loses */
	if (!replace(p, in, &w))
		return PKI_FAILED;
	return p->args.no_reload ? PKI_OK : tell(p, in, &w);
}

int
install(struct pki *p, const char *bundle, const char *cert, const char *chain, const char *key, install_agree agree)
{
	struct installation in = {.conf = NULL};
	bool good = (p->args.accept == NULL || conf_losses(sv_cstr(p->args.accept), &in.accept, &p->err)) &&
	    gather(p, &in, bundle, cert, chain, key) && check(p, &in);
	int status = good ? carry_out(p, &in, agree) : PKI_FAILED;

	free_all(&in);
	return status;
}

int
cmd_install(struct pki *p)
{
	return install(p, p->args.v[0], p->args.v[1], p->args.n > 2 ? p->args.v[2] : NULL, p->args.key, NULL);
}
