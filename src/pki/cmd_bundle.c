/* bundle: a chain in order, and what it lacks. */
#include <stdio.h>
#include <time.h>

#include "pki/chains.h"
#include "pki/describe.h"
#include "pki/key.h"
#include "pki/place.h"
#include "pki/things.h"

/* Has it issued another of them? */
static bool
has_issued(const struct pieces *p, size_t i)
{
	for (size_t k = 0; k < p->n_certs; k++)
		if (k != i && cert_issued_by(&p->certs[k].view, &p->certs[i].view))
			return true;
	return false;
}

/* The one that has issued none; among several, the one that is no CA. */
static bool
find_leaf(struct pki *p, const struct pieces *all, size_t *leaf)
{
	size_t ends = 0, plain = 0, end = 0;

	for (size_t i = 0; i < all->n_certs; i++) {
		if (has_issued(all, i))
			continue;
		ends++;
		end = i;
		if (!cert_is_ca(&all->certs[i].view)) {
			plain++;
			*leaf = i;
		}
	}
	if (plain == 0 && ends == 1)
		*leaf = end;
	return plain == 1 || (plain == 0 && ends == 1) ||
	    err_set(&p->err, "which of the certificates is to be served can not be told: %s; give those of one chain",
	        plain > 1 ? "several of them have issued none and are no CA" : "none of them is the end of a chain");
}

static const struct piece *
find_root(const struct pieces *all, const struct piece *last)
{
	for (size_t i = 0; i < all->n_certs; i++)
		if (&all->certs[i] != last && cert_self_issued(&all->certs[i].view) &&
		    cert_issued_by(&last->view, &all->certs[i].view))
			return &all->certs[i];
	return NULL;
}

/* Where the end of the chain leads. Is what is there likely to be enough for clients? */
static bool
tell_end(struct pki *p, const struct chain *c, const struct piece *root)
{
	const struct piece *last = c->order[c->n - 1];
	const unsigned char *at = last->der->bytes;
	char subject[NAME_TEXT], issuer[NAME_TEXT];

	if (root != NULL || cert_self_issued(&last->view))
		return true;
	cert_name_text(last->view.subject, subject, sizeof(subject));
	cert_name_text(last->view.issuer, issuer, sizeof(issuer));
	X509 *x = d2i_X509(NULL, &at, (long)last->der->size);
	const char *url = x != NULL ? describe_issuer_url(p, x) : NULL;
	X509_free(x);
	note("the chain ends with \"%s\"; its issuer \"%s\" is not among the files%s%s: %s", subject, issuer,
	    url != NULL ? " (it is to be had at " : "", url != NULL ? url : "",
	    cert_is_ca(&last->view) ? "fine if that is a root that clients trust, else add its certificate"
	                            : "add its certificate, unless clients trust it as it is");
	if (url != NULL)
		note("what is fetched from %s is proved by the signatures in it, not by where it came from", url);
	return cert_is_ca(&last->view);
}

static bool
write_out(struct pki *p, struct buf *pem)
{
	struct writes w = {.n = 0};

	if (p->args.out == NULL)
		return fwrite(pem->data + pem->head, 1, buf_len(pem), stdout) == buf_len(pem) ||
		    err_set(&p->err, "can not write the output");
	writes_add(&w, p->args.out, buf_view(pem), WRITE_PUBLIC);
	return place_new(p, &w);
}

static int
bundle(struct pki *p, const struct pieces *all)
{
	struct chain c = {.n = 0};
	struct err doubt = {""};
	struct buf pem;
	size_t leaf = 0;

	if (!find_leaf(p, all, &leaf) || !chain_follow(&c, all, leaf, &p->err) || !chain_links(p, &c))
		return PKI_FAILED;
	const struct piece *root = find_root(all, c.order[c.n - 1]);
	if (p->args.with_root && root == NULL && !cert_self_issued(&c.order[c.n - 1]->view)) {
		err_set(&p->err, "--with-root: the root is not among the files; add it");
		return PKI_FAILED;
	}
	if (!chain_check(&c, (int64_t)time(NULL), &doubt))
		note("the proxy will refuse it: %s", doubt.text);
	pem_begin(&pem);
	bool ok = chain_to_pem(&pem, &c, 0, &p->err);
	if (ok && p->args.with_root && root != NULL)
		ok = pem_add_der(&pem, "CERTIFICATE", root->der->bytes, root->der->size, &p->err);
	ok = ok && write_out(p, &pem);
	pem_wipe(&pem);
	if (!ok)
		return PKI_FAILED;
	if (p->args.out != NULL)
		(void)printf("%s: %u certificate%s%s\n", p->args.out, c.n, c.n == 1 ? "" : "s, each followed by its issuer",
		    p->args.with_root && root != NULL ? ", and the root" : "");
	return tell_end(p, &c, root) ? PKI_OK : PKI_BUT;
}

int
cmd_bundle(struct pki *p)
{
	struct pieces all = {.n_certs = 0};
	bool ok = true;

	for (size_t i = 0; ok && i < p->args.n; i++)
		ok = things_to_pieces(p, p->args.v[i], false, &all);
	int status = ok ? bundle(p, &all) : PKI_FAILED;
	pieces_free(&all);
	return status;
}
