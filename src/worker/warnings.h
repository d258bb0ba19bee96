/*
 * warnings.h: what serves but may not be meant so.
 *
 * Names that no certificate covers, certificates that expire soon, stand in
 * the wrong order or have no names that clients go by, keys that everybody
 * can read. Said at each load, and by `bascule check`.
 */
#ifndef BASCULE_WORKER_WARNINGS_H
#define BASCULE_WORKER_WARNINGS_H

#include "proxy/snapshot.h"

enum {
	BUNDLE_KEY_TEXT = 256,
	WARNINGS_NAMED = 20, /* at a load: where a thousand bundles have the same fault, a log is no list of them */
};

/*
 * `whole`: no bundle is missing, so that a name which none covers is one. Of bundles with the same fault at most
 * `named_max` are named, the rest is counted.
 */
void warnings_of(const struct snapshot *s, bool whole, size_t named_max, struct conf_problems *problems);

/* Where the config has this bundle, and as which key: the one of `path`, if there is one. */
struct conf_where bundle_place(const struct conf *conf, const char *name, struct sv path, char key[BUNDLE_KEY_TEXT]);

#endif
