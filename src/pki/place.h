/*
 * place.h: where files go, and which must be left alone.
 */
#ifndef BASCULE_PKI_PLACE_H
#define BASCULE_PKI_PLACE_H

#include "pki/command.h"
#include "pki/write.h"

/* Letters, digits, - and _ only. False with err set. */
MUST_CHECK bool base_name_check(const char *name, struct err *err);

/* "DIR/NAMEsuffix" of --dir. NULL with err set. In the arena, as all below. */
const char *place(struct pki *p, const char *name, const char *suffix);

/*
 * Does the config, if there is one, name this path, by whatever spelling, or a directory of bundles around it? Then it is
 * refused, whether the file exists or not: what is made here must not come into service by the way.
 */
MUST_CHECK bool place_is_free(struct pki *p, const char *path);

/* The config that -c names, or the default one; NULL: with err set, or, if `*absent` (may be NULL), there is none. */
struct conf *place_config(struct pki *p, bool *absent);

/*
 * The path without links, dots and double slashes; what does not exist yet is fine at its end, also when a link leads
 * there. False: its directory does not exist.
 */
bool place_real(const char *path, char out[PATH_MAX]);

/* Write new files, none of which the config names, or none of them. */
MUST_CHECK bool place_new(struct pki *p, struct writes *w);

/* "./DIR/.NAME.previous" of "./DIR/NAME" */
const char *place_previous(struct pki *p, const char *path);

#endif
