/* match and verify: questions with yes and no for an answer. */
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/materials.h"
#include "pki/describe.h"
#include "pki/key.h"
#include "pki/things.h"

/* --- match --- */

/* A signature tells: what a private key's file says of its public half may be wrong. */
static bool
proves(struct pki *p, X509 *x, EVP_PKEY *key)
{
	const struct tls_materials m = {.leaf = x, .key = key};

	return materials_prove(&m, p->thread, NULL);
}

static bool
matches_request(struct pki *p, X509_REQ *r, EVP_PKEY *key)
{
	X509 *stand_in = X509_new_ex(p->thread->lib, NULL); /* materials_prove() wants a certificate: of this key */
	bool ok = stand_in != NULL && X509_set_pubkey(stand_in, X509_REQ_get0_pubkey(r)) == 1 && proves(p, stand_in, key);

	X509_free(stand_in);
	ERR_clear_error();
	return ok;
}

/* The number, from 1, of the thing in the file that the key belongs to; 0: none, or one is damaged, with err set. */
static size_t
find_match(struct pki *p, const char *path, const struct things *t, EVP_PKEY *key)
{
	for (size_t i = 0; i < t->n; i++) {
		bool ok = false;
		if (t->v[i].kind == THING_CERT) {
			X509 *x = thing_cert(p, path, &t->v[i]);
			ok = x != NULL && proves(p, x, key);
			X509_free(x);
		} else if (t->v[i].kind == THING_REQUEST) {
			X509_REQ *r = thing_request(p, path, &t->v[i]);
			ok = r != NULL && matches_request(p, r, key);
			X509_REQ_free(r);
		}
		if (ok)
			return i + 1;
		if (p->err.text[0] != '\0')
			return 0;
	}
	return 0;
}

static bool
match(struct pki *p, const char *key_path, const char *path, EVP_PKEY *key)
{
	struct things t;
	bool ok = things_read(p, path, &t);

	if (ok && things_first(&t, THING_CERT) == NULL && things_first(&t, THING_REQUEST) == NULL)
		ok = err_set(&p->err, "%s: neither a certificate nor a request in it", path);
	size_t found = ok ? find_match(p, path, &t, key) : 0;
	if (found > 0)
		(void)printf("%s belongs to %s (%s %zu of %zu in it)\n", key_path, path,
		    t.v[found - 1].kind == THING_CERT ? "certificate" : "request", found, t.n);
	else if (ok && p->err.text[0] == '\0')
		err_set(&p->err, "%s does NOT belong to %s: what it signs does not verify with anything in there", key_path,
		    path);
	things_free(&t);
	return found > 0;
}

int
cmd_match(struct pki *p)
{
	EVP_PKEY *key = key_read(p, p->args.v[0]);
	bool ok = key != NULL && match(p, p->args.v[0], p->args.v[1], key);

	EVP_PKEY_free(key);
	return ok ? PKI_OK : PKI_FAILED;
}

/* --- verify --- */

/* What is verified, by what, and what may lie between. */
struct question {
	X509 *cert;
	STACK_OF(X509) *between;
	X509_STORE *store;
};

/* All certificates of a file to a stack. */
static bool
read_certs(struct pki *p, const char *path, STACK_OF(X509) *to)
{
	struct things t;
	bool ok = things_read(p, path, &t);

	if (ok && things_first(&t, THING_CERT) == NULL)
		ok = err_set(&p->err, "%s: no certificate in it", path);
	for (size_t i = 0; ok && i < t.n; i++) {
		if (t.v[i].kind != THING_CERT)
			continue;
		X509 *x = thing_cert(p, path, &t.v[i]);
		ok = x != NULL && sk_X509_push(to, x) > 0;
		if (!ok)
			X509_free(x);
	}
	things_free(&t);
	return ok;
}

/* A CA that is none would make the answer worthless. */
static bool
fill_store(struct pki *p, const char *path, X509_STORE *store)
{
	STACK_OF(X509) *cas = sk_X509_new_null();
	bool ok = cas != NULL && read_certs(p, path, cas);

	for (int i = 0; ok && i < sk_X509_num(cas); i++) {
		X509 *x = sk_X509_value(cas, i);
		/* A certificate that is signed by itself and pinned is its own CA. */
		if (X509_check_ca(x) == 0 && X509_self_signed(x, 0) != 1)
			ok = err_set(&p->err, "%s: certificate %d in it is not a CA", path, i + 1);
		else
			ok = X509_STORE_add_cert(store, x) == 1;
	}
	sk_X509_pop_free(cas, X509_free);
	return ok;
}

static bool
ask_for(struct pki *p, X509_STORE_CTX *ctx)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	unsigned char address[16];
	const char *name = p->args.name;

	/* A CA that is itself an intermediate is as good a beginning as a root. */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set_purpose(param, p->args.client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER) != 1)
		return false;
	if (name == NULL)
		return true;
	if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

static void
subject_text(X509 *x, char out[NAME_TEXT])
{
	unsigned char *der = NULL;
	int n = x != NULL ? i2d_X509_NAME(X509_get_subject_name(x), &der) : 0;

	cert_name_text((struct asn1){der, n > 0 ? (size_t)n : 0}, out, NAME_TEXT);
	OPENSSL_free(der);
}

static void
explain_refusal(struct pki *p, X509_STORE_CTX *ctx)
{
	int code = X509_STORE_CTX_get_error(ctx);
	char subject[NAME_TEXT];

	subject_text(X509_STORE_CTX_get_current_cert(ctx), subject);
	if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)
		err_set(&p->err, "%s: is not good for %s; `bascule pki inspect` shows its names", p->args.v[0], p->args.name);
	else
		err_set(&p->err, "%s: does NOT verify against %s: %s (depth %d, \"%s\")", p->args.v[0], p->args.v[1],
		    X509_verify_cert_error_string(code), X509_STORE_CTX_get_error_depth(ctx), subject);
}

static bool
verify(struct pki *p, const struct question *q)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(p->thread->lib, NULL);
	bool ok = false;
	char subject[NAME_TEXT];

	if (ctx == NULL || X509_STORE_CTX_init(ctx, q->store, q->cert, q->between) != 1 || !ask_for(p, ctx))
		err_no_memory(&p->err);
	else if (X509_verify_cert(ctx) != 1)
		explain_refusal(p, ctx);
	else
		ok = true;
	if (ok) {
		STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
		const char *name = p->args.name;
		(void)printf("%s verifies against %s%s%s:\n", p->args.v[0], p->args.v[1], name != NULL ? " for " : "",
		    name != NULL ? name : "");
		for (int i = 0; i < sk_X509_num(chain); i++) {
			subject_text(sk_X509_value(chain, i), subject);
			(void)printf("  %d ", i);
			show_safe(stdout, subject);
			(void)putchar('\n');
		}
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

int
cmd_verify(struct pki *p)
{
	struct question q = {.between = sk_X509_new_null(), .store = X509_STORE_new()};
	bool ok = q.between != NULL && q.store != NULL;

	if (!ok)
		err_no_memory(&p->err);
	ok = ok && read_certs(p, p->args.v[0], q.between) && fill_store(p, p->args.v[1], q.store) &&
	    (p->args.n < 3 || read_certs(p, p->args.v[2], q.between));
	if (ok) {
		q.cert = sk_X509_shift(q.between);
		ok = verify(p, &q);
	}
	X509_free(q.cert);
	sk_X509_pop_free(q.between, X509_free);
	X509_STORE_free(q.store);
	return ok ? PKI_OK : PKI_FAILED;
}
