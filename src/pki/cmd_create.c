/* csr, selfsigned and ca: a new key and what says whose it is. */
#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>

#include "pki/create.h"
#include "pki/key.h"
#include "pki/place.h"
#include "pki/subject.h"

enum { PATH_LENGTH_MAX = 10 };

/* What is made before anything is written. */
struct creation {
	struct subject subject;
	X509_NAME *name;
	GENERAL_NAMES *names;
	EVP_PKEY *key;
	struct issuer issuer; /* of a CA that another signs */
	struct buf key_pem, pem;
};

static bool
add_request(struct pki *p, struct creation *c)
{
	X509_REQ *r = make_request(p, c->name, c->names, c->key);
	unsigned char *der = NULL;
	int n = r != NULL ? i2d_X509_REQ(r, &der) : 0;
	bool ok = n > 0 && pem_add_der(&c->pem, PEM_STRING_X509_REQ, der, (size_t)n, &p->err);

	OPENSSL_free(der);
	X509_REQ_free(r);
	return ok;
}

/* How deep below the issuer may it go? */
static bool
check_issuer(struct pki *p, const struct issuer *i, uint64_t path_length)
{
	long allowed = X509_get_pathlen(i->cert);

	return allowed < 0 || (uint64_t)allowed > path_length ||
	    err_set(&p->err,
	        "%s: allows %ld CAs in a row below it; make it with a larger --path-length, or this one with a smaller",
	        i->path, allowed);
}

static bool
add_certificate(struct pki *p, struct creation *c, enum create_kind kind)
{
	uint64_t days, path_length, preset = kind == CREATE_CA ? MAKE_CA_DAYS : MAKE_LEAF_DAYS;

	if (!args_number("--days", p->args.days, 1, MAKE_DAYS_MAX, preset, &days, &p->err) ||
	    !args_number("--path-length", p->args.path_length, 0, PATH_LENGTH_MAX, 0, &path_length, &p->err))
		return false;
	if (p->args.issuer != NULL &&
	    (!issuer_read(p, p->args.issuer, &c->issuer) || !check_issuer(p, &c->issuer, path_length)))
		return false;
	const struct make_spec spec = {
		.kind = kind == CREATE_CA ? MAKE_CA : MAKE_SERVER,
		.subject = c->name,
		.names = c->names,
		.key = c->key,
		.issuer = c->issuer.cert != NULL ? &c->issuer : NULL,
		.days = days,
		.path_length = (long)path_length,
	};
	X509 *x = make_cert(p, &spec);
	bool ok = x != NULL && pem_add_cert(&c->pem, x, &p->err);
	X509_free(x);
	return ok;
}

static bool
prepare(struct pki *p, struct creation *c, enum create_kind kind, const char *name)
{
	c->subject = p->args.subject;
	if (kind == CREATE_CA && c->subject.n_san > 0)
		return err_set(&p->err, "a CA has no subjectAltName: it is no host; give it a common name (CN:…)");
	if (kind == CREATE_CA && c->subject.cn == NULL)
		return err_set(&p->err, "a CA needs a common name, by which people know it; write it behind that of the files: %s 'CN:%s CA'",
		    name, name);
	if (!subject_complete(p, &c->subject))
		return false;
	if (kind == CREATE_CA)
		c->subject.n_san = 0;
	if ((c->name = subject_name(&c->subject, &p->err)) == NULL ||
	    (c->subject.n_san > 0 && (c->names = subject_alt_names(&c->subject, &p->err)) == NULL))
		return false;
	return (c->key = key_for(p)) != NULL && (p->args.use_key != NULL || pem_add_key(&c->key_pem, c->key, &p->err)) &&
	    (kind == CREATE_REQUEST ? add_request(p, c) : add_certificate(p, c, kind));
}

static bool
write_files(struct pki *p, const struct creation *c, const char *key_path, const char *path)
{
	struct writes w = {.n = 0};
	char kind[96];

	if (p->args.use_key == NULL)
		writes_add(&w, key_path, buf_view(&c->key_pem), WRITE_SECRET);
	writes_add(&w, path, buf_view(&c->pem), WRITE_PUBLIC);
	if (!place_new(p, &w))
		return false;
	key_text(c->key, kind, sizeof(kind));
	if (p->args.use_key == NULL)
		(void)printf("%s: private key (%s), readable by its owner only\n", key_path, kind);
	return true;
}

static bool
check_base_name(struct pki *p, const char *name)
{
	struct err why;

	if (base_name_check(name, &why))
		return true;
	if (p->args.subject.cn != NULL)
		return err_set(&p->err, "%s", why.text);
	return err_set(&p->err, "%s; the name in the certificate is written behind it: 'CN:%.64s'", why.text, name);
}

bool
create(struct pki *p, enum create_kind kind, const char *name)
{
	struct creation c = {.name = NULL};
	const char *key_path = place(p, name, ".key");
	const char *path = place(p, name, kind == CREATE_REQUEST ? ".csr" : ".crt");
	static const char *const what[] = {"request, for the CA", "certificate, signed by itself", "certificate of the CA"};

	if (!check_base_name(p, name) || key_path == NULL || path == NULL)
		return false;
	pem_begin(&c.key_pem);
	pem_begin(&c.pem);
	bool ok = prepare(p, &c, kind, name) && write_files(p, &c, key_path, path);
	if (ok)
		(void)printf("%s: %s\n", path, what[kind]);
	for (size_t i = 0; ok && i < c.subject.n_san; i++)
		(void)printf("%s%s%s", i == 0 ? "  for " : ", ", c.subject.san[i], i + 1 == c.subject.n_san ? "\n" : "");
	pem_wipe(&c.key_pem);
	pem_wipe(&c.pem);
	issuer_free(&c.issuer);
	EVP_PKEY_free(c.key);
	GENERAL_NAMES_free(c.names);
	X509_NAME_free(c.name);
	return ok;
}

int
cmd_csr(struct pki *p)
{
	return create(p, CREATE_REQUEST, p->args.v[0]) ? PKI_OK : PKI_FAILED;
}

int
cmd_selfsigned(struct pki *p)
{
	return create(p, CREATE_SELF_SIGNED, p->args.v[0]) ? PKI_OK : PKI_FAILED;
}

int
cmd_ca(struct pki *p)
{
	return create(p, CREATE_CA, p->args.v[0]) ? PKI_OK : PKI_FAILED;
}
