/*
 * changes.h: of which bundles the files may differ from those that were loaded.
 *
 * Ten thousand bundles are too many to look at for one that has changed. Who
 * watches the directories can name it: then only that one is looked at. When
 * it can not be told, all are. Background thread only.
 */
#ifndef BASCULE_CERTS_CHANGES_H
#define BASCULE_CERTS_CHANGES_H

#include "base/arena.h"

enum { TLS_CHANGES_MAX = 256 }; /* beyond, a look at everything is not dearer */

struct tls_change {
	const char *directory; /* as the config names it */
	const char *entry;     /* of it: a file, a folder, or the NAME of a bundle */
};

struct tls_changes {
	bool known; /* all that is not named is as the store in service has it; else anything may have changed */
	struct tls_change v[TLS_CHANGES_MAX];
	size_t n;
	struct arena arena;
};

#define TLS_CHANGES_UNKNOWN ((struct tls_changes){.known = false})

/* Anything may have changed. */
void tls_changes_forget(struct tls_changes *c);

/* Nothing has. */
void tls_changes_none(struct tls_changes *c);

/* Copies both. When it does not fit, it is not known any more. */
void tls_changes_add(struct tls_changes *c, const char *directory, const char *entry);

#endif
