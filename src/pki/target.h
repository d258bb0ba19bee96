/*
 * target.h: the files of a bundle that are to be written, in the form that the config has it in.
 */
#ifndef BASCULE_PKI_TARGET_H
#define BASCULE_PKI_TARGET_H

#include "pki/chains.h"

struct target_file {
	enum source_role role;
	const char *path;     /* as the config has it */
	const char *real;     /* what is written: where links lead */
	const char *previous; /* where what is there goes */
	struct buf content;   /* to be; wiped by target_wipe() */
	bool changes;         /* it is not what is there already */
};

struct target {
	const char *bundle;
	struct target_file files[SOURCE_FILES_MAX]; /* SOURCE_PASSWORD is not written */
	unsigned n;
	const char *password_file; /* of PKCS#12; NULL: none */
};

/*
 * The bundle's files; with `create`, new ones in the config's directory when there is no such bundle. Strings are in
 * the arena or in conf. False with err set.
 */
MUST_CHECK bool target_find(struct pki *p, const struct conf *conf, const char *bundle, bool create, struct target *out);

/* What each is to hold. False with err set; target_wipe() in either case. */
MUST_CHECK bool target_fill(struct pki *p, struct target *t, const struct chain *c, EVP_PKEY *key);
void target_wipe(struct target *t);

#endif
