/* import and export: PKCS#12 to PEM and back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pki/chains.h"
#include "pki/key.h"
#include "pki/password.h"
#include "pki/place.h"
#include "pki/things.h"

/* The chain of what was read, its leaf being the key's. */
static bool
make_chain(struct pki *p, const char *path, const struct pieces *pieces, struct chain *c)
{
	if (pieces->key == NULL)
		return err_set(&p->err, "%s: no private key in it", path);
	if (pieces->n_certs == 0)
		return err_set(&p->err, "%s: no certificate in it", path);
	switch (chain_make(c, pieces, p->thread, &p->err)) {
	case CHAIN_OK:
		return chain_links(p, c);
	case CHAIN_REFUSED:
		return false;
	case CHAIN_NOT_MATCHING:
		break;
	}
	return err_set(&p->err, "%s: the private key belongs to none of the certificates", path);
}

/* --- import --- */

static bool
write_pem(struct pki *p, const char *name, const struct chain *c, EVP_PKEY *key)
{
	const char *key_path = place(p, name, ".key"), *path = place(p, name, ".crt");
	struct writes w = {.n = 0};
	struct buf key_pem, pem;

	if (key_path == NULL || path == NULL)
		return false;
	pem_begin(&key_pem);
	pem_begin(&pem);
	bool ok = pem_add_key(&key_pem, key, &p->err) && chain_to_pem(&pem, c, 0, &p->err);
	writes_add(&w, key_path, buf_view(&key_pem), WRITE_SECRET);
	writes_add(&w, path, buf_view(&pem), WRITE_PUBLIC);
	ok = ok && place_new(p, &w);
	if (ok)
		(void)printf("%s: private key, readable by its owner only\n%s: %u certificate%s\n", key_path, path, c->n,
		    c->n == 1 ? "" : "s, each followed by its issuer");
	pem_wipe(&key_pem);
	pem_wipe(&pem);
	return ok;
}

static bool
import(struct pki *p, const char *path, const char *name)
{
	struct pieces pieces = {.n_certs = 0};
	struct buf content;
	struct chain c = {.n = 0};
	EVP_PKEY *key = NULL;

	buf_init(&content, PIECES_FILE_MAX);
	bool ok = files_read(files_direct(), path, &content, NULL, &p->err) &&
	    things_pkcs12(p, path, buf_view(&content), &pieces) && make_chain(p, path, &pieces, &c) &&
	    (key = key_of_pieces(p, &pieces)) != NULL && write_pem(p, name, &c, key);
	EVP_PKEY_free(key);
	pieces_free(&pieces);
	pem_wipe(&content);
	return ok;
}

int
cmd_import(struct pki *p)
{
	if (!base_name_check(p->args.v[1], &p->err))
		return PKI_FAILED;
	return import(p, p->args.v[0], p->args.v[1]) ? PKI_OK : PKI_FAILED;
}

/* --- export --- */

/* NAME.key, and NAME.crt or NAME.pem. */
static bool
read_pem(struct pki *p, const char *name, struct pieces *pieces)
{
	const char *key = place(p, name, ".key"), *crt = place(p, name, ".crt"), *pem = place(p, name, ".pem");
	struct buf content;

	if (key == NULL || crt == NULL || pem == NULL)
		return false;
	if (access(crt, F_OK) != 0 && access(pem, F_OK) == 0)
		crt = pem;
	buf_init(&content, PIECES_FILE_MAX);
	bool ok = files_read(files_direct(), key, &content, NULL, &p->err) &&
	    pieces_add_pem(pieces, key, buf_view(&content), p->thread, &p->err);
	pem_wipe(&content);
	return ok && things_to_pieces(p, crt, false, pieces);
}

static bool
write_pkcs12(struct pki *p, const char *name, const char *path, const struct chain *c, EVP_PKEY *key)
{
	char password[PASSWORD_MAX + 1] = "";
	struct writes w = {.n = 0};
	struct buf p12;

	pem_begin(&p12);
	bool ok = password_get(p, p->args.password_file, PASSWORD_NEW, password);
	if (ok && password[0] == '\0')
		ok = err_set(
		    &p->err, "%s: the password is empty, which protects nothing; put one there", p->args.password_file);
	ok = ok && chain_to_pkcs12(p, &p12, c, key, name, password);
	explicit_bzero(password, sizeof(password));
	writes_add(&w, path, buf_view(&p12), WRITE_SECRET);
	ok = ok && place_new(p, &w);
	if (ok)
		(void)printf("%s: private key and %u certificate%s, encrypted with the password\n", path, c->n,
		    c->n == 1 ? "" : "s");
	pem_wipe(&p12);
	return ok;
}

int
cmd_export(struct pki *p)
{
	const char *name = p->args.v[0], *path = p->args.v[1];
	struct pieces pieces = {.n_certs = 0};
	struct chain c = {.n = 0};
	EVP_PKEY *key = NULL;

	if (!base_name_check(name, &p->err))
		return PKI_FAILED;
	bool ok = read_pem(p, name, &pieces) && make_chain(p, name, &pieces, &c) &&
	    (key = key_of_pieces(p, &pieces)) != NULL && write_pkcs12(p, name, path, &c, key);
	EVP_PKEY_free(key);
	pieces_free(&pieces);
	return ok ? PKI_OK : PKI_FAILED;
}
