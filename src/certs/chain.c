#include "certs/chain.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <time.h>

#include "certs/keys.h"

enum { NAME_TEXT = 160 };

/* --- the leaf --- */

/* The key has no public part to compare: build it, and compare. */
static enum chain_result
compare_built(const struct pieces *p, const bool unsure[], bool matches[], const struct tls_thread *t, struct err *err)
{
	const unsigned char *at = p->key;
	EVP_PKEY *key = d2i_AutoPrivateKey_ex(NULL, &at, (long)p->key_size, t->lib, NULL);

	if (key == NULL) {
		char why[256];
		tls_error_text(why, sizeof(why));
		err_set(err, "%s: the private key can not be read: %s; write the file anew", p->key_path, why);
		return CHAIN_REFUSED;
	}
	for (size_t i = 0; i < p->n_certs; i++) {
		if (!unsure[i])
			continue;
		const unsigned char *der = p->certs[i].der->bytes;
		X509 *x = X509_new_ex(t->lib, NULL);
		if (x != NULL && d2i_X509(&x, &der, (long)p->certs[i].der->size) != NULL)
			matches[i] = EVP_PKEY_eq(X509_get0_pubkey(x), key) == 1;
		X509_free(x);
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
	return CHAIN_OK;
}

/* The certificate that the key belongs to. */
static enum chain_result
find_leaf(const struct pieces *p, const struct tls_thread *t, size_t *leaf, struct err *err)
{
	bool matches[PIECES_MAX] = {false}, unsure[PIECES_MAX] = {false}, any_unsure = false;
	size_t n = 0;

	for (size_t i = 0; i < p->n_certs; i++) {
		enum key_match m = key_claims(p->key, p->key_size, &p->certs[i].view);
		matches[i] = m == KEY_MATCHES;
		unsure[i] = m == KEY_UNSURE;
		any_unsure = any_unsure || unsure[i];
	}
	if (any_unsure && compare_built(p, unsure, matches, t, err) != CHAIN_OK)
		return CHAIN_REFUSED;
	for (size_t i = 0; i < p->n_certs; i++) {
		if (!matches[i])
			continue;
		*leaf = i;
		n++;
	}
	if (n <= 1)
		return n == 1 ? CHAIN_OK : CHAIN_NOT_MATCHING;
	err_set(err, "%s: %zu certificates for one private key; leave the one that is to be served",
	    p->certs[*leaf].path, n);
	return CHAIN_REFUSED;
}

/* --- what follows --- */

/* The unused certificate that issued `c`; where a cross-signed one and the root itself are given, not the root. */
static const struct piece *
issuer_of(const struct pieces *p, const struct piece *c, const bool used[])
{
	const struct piece *root = NULL;

	for (size_t i = 0; i < p->n_certs; i++) {
		const struct piece *other = &p->certs[i];
		if (used[i] || !cert_issued_by(&c->view, &other->view))
			continue;
		if (!cert_self_issued(&other->view))
			return other;
		if (root == NULL)
			root = other;
	}
	return root;
}

/*
 * What is left over must be a root: of this chain, or of one that a cross-signed member replaces. RFC 8446, 4.4.2 lets
 * the root be left out, for a client that trusts it has it, and it costs every handshake a kilobyte.
 */
static bool
refuse_strangers(const struct chain *c, const struct pieces *p, const bool used[], struct err *err)
{
	for (size_t i = 0; i < p->n_certs; i++) {
		const struct piece *left = &p->certs[i];
		bool belongs = false;
		for (unsigned j = 0; j < c->n && cert_self_issued(&left->view); j++)
			belongs = belongs || asn1_eq(c->order[j]->view.issuer, left->view.subject) ||
			    asn1_eq(c->order[j]->view.subject, left->view.subject);
		if (used[i] || belongs)
			continue;
		char stranger[NAME_TEXT], last[NAME_TEXT];
		cert_name_text(left->view.subject, stranger, sizeof(stranger));
		cert_name_text(c->order[c->n - 1]->view.issuer, last, sizeof(last));
		return err_set(err,
		    "%s: the certificate of \"%s\" does not belong to the chain, which goes on with \"%s\"; "
		    "remove it, or add what lies between",
		    left->path, stranger, last);
	}
	return true;
}

/* Did the files have the same certificates in this order, the leaf first? */
static bool
was_in_order(const struct chain *c)
{
	for (unsigned i = 1; i < c->n; i++)
		if (c->order[i] < c->order[i - 1]) /* all in one array */
			return false;
	return true;
}

bool
chain_follow(struct chain *c, const struct pieces *p, size_t leaf, struct err *err)
{
	bool used[PIECES_MAX] = {false};

	c->n = 1;
	c->order[0] = &p->certs[leaf];
	used[leaf] = true;
	for (;;) {
		const struct piece *last = c->order[c->n - 1], *next = NULL;
		if (!cert_self_issued(&last->view))
			next = issuer_of(p, last, used);
		if (next == NULL || cert_self_issued(&next->view))
			break;
		if (c->n == TLS_CHAIN_MAX)
			return err_set(err, "%s: a chain of more than %d certificates; leave out what is not needed",
			    next->path, TLS_CHAIN_MAX);
		used[next - p->certs] = true;
		c->order[c->n++] = next;
	}
	c->reordered = p->ordered && (leaf != 0 || !was_in_order(c));
	return refuse_strangers(c, p, used, err);
}

enum chain_result
chain_make(struct chain *c, const struct pieces *p, const struct tls_thread *t, struct err *err)
{
	size_t leaf = 0;

	enum chain_result result = find_leaf(p, t, &leaf, err);
	if (result != CHAIN_OK)
		return result;
	return chain_follow(c, p, leaf, err) ? CHAIN_OK : CHAIN_REFUSED;
}

/* --- may it be served --- */

static void
date_text(int64_t at, char out[32])
{
	time_t seconds = (time_t)at;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		out[0] = '\0';
}

static bool
check_validity(const struct piece *c, const char *subject, int64_t now, struct err *err)
{
	char date[32];

	if (now > c->view.not_after) {
		date_text(c->view.not_after, date);
		return err_set(err, "%s: the certificate of \"%s\" expired on %s; renew it", c->path, subject, date);
	}
	if (now < c->view.not_before) {
		date_text(c->view.not_before, date);
		return err_set(err,
		    "%s: the certificate of \"%s\" is not valid before %s; wait, or set this machine's clock right",
		    c->path, subject, date);
	}
	return true;
}

static bool
check_key(const struct piece *c, const char *subject, struct err *err)
{
	const struct cert_view *v = &c->view;

	switch (v->key_type) {
	case TLS_KEY_RSA:
		return v->key_bits >= RSA_BITS_MIN ||
		    err_set(err, "%s: the RSA key of \"%s\" has only %u bits; make one with %d or more", c->path,
		        subject, v->key_bits, RSA_BITS_MIN);
	case TLS_KEY_EC:
		return v->key_bits >= EC_BITS_MIN ||
		    err_set(err, "%s: the EC key of \"%s\" has only %u bits; make one with %d or more (P-256)", c->path,
			subject, v->key_bits, EC_BITS_MIN);
	case TLS_KEY_ED:
		return true;
	case TLS_KEY_OTHER:
		break;
	}
	return err_set(
	    err, "%s: the key of \"%s\" is of a kind that TLS does not use; make an EC or RSA key", c->path, subject);
}

/* OpenSSL would refuse these in every handshake. */
static bool
is_weak_signature(struct asn1 oid)
{
	static const unsigned char md5_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04};
	static const unsigned char sha1_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05};
	static const unsigned char sha1_ecdsa[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01};

	return asn1_eq(oid, (struct asn1){md5_rsa, sizeof(md5_rsa)}) ||
	    asn1_eq(oid, (struct asn1){sha1_rsa, sizeof(sha1_rsa)}) ||
	    asn1_eq(oid, (struct asn1){sha1_ecdsa, sizeof(sha1_ecdsa)});
}

bool
chain_check(const struct chain *c, int64_t now, struct err *err)
{
	char subject[NAME_TEXT];

	for (unsigned i = 0; i < c->n; i++) {
		const struct piece *one = c->order[i];
		cert_name_text(one->view.subject, subject, sizeof(subject));
		if (!check_validity(one, subject, now, err) || !check_key(one, subject, err))
			return false;
		if (!cert_self_issued(&one->view) && is_weak_signature(one->view.signature_oid))
			return err_set(err,
			    "%s: the certificate of \"%s\" is signed with SHA-1 or MD5; have it issued anew", one->path,
			    subject);
		if (i > 0 && !cert_is_ca(&one->view))
			return err_set(err,
			    "%s: \"%s\" stands in the chain but is not a CA; put its issuer's certificate there",
			    one->path, subject);
	}
	return true;
}
