/*
 * sources.h: which bundles there are and which files they are made of.
 *
 * Directories are listed and stamps are taken; no file is read.
 */
#ifndef BASCULE_CERTS_SOURCES_H
#define BASCULE_CERTS_SOURCES_H

#include "certs/changes.h"
#include "certs/thread.h"
#include "conf/config.h"

enum { SOURCE_FILES_MAX = 3 };

enum source_role {
	SOURCE_CERTIFICATE,
	SOURCE_KEY,
	SOURCE_CHAIN,
	SOURCE_COMBINED,
	SOURCE_PKCS12,
	SOURCE_PASSWORD,
};

struct source_file {
	enum source_role role;
	const char *path;
	struct file_stamp stamp;
};

struct source {
	const char *name;   /* of the bundle */
	const char *where;  /* its directory, or the file with the certificate */
	const char *origin; /* name of the config's bundle that leads to it */
	const struct conf_bundle *conf; /* that bundle */
	bool listed;        /* comes from a directory */
	bool unlisted;      /* stands for a directory that could not be listed: what came from it before stays */
	struct source_file files[SOURCE_FILES_MAX];
	unsigned n_files;
	const char *problem; /* why it can not be read; NULL: it can */
	bool doubled;        /* the problem is another source of the same name */
	size_t sequence;     /* the place in the config, for the order of doubles */
};

/*
 * Is shown the sources of directories one by one, in place of their being kept; each lasts as long as the call. False: it has
 * seen enough.
 */
struct sources_viewer {
	bool (*view)(struct sources_viewer *v, const struct source *s);
};

struct sources {
	struct arena arena; /* all strings here */
	struct source *v;
	size_t n, capacity;
	const struct tls_changes *changes; /* NULL: all of it was looked at; else, of directories, only these: */
	struct sources_viewer *viewer; /* NULL: there is none */
	struct sought *sought;
	size_t n_sought, sought_capacity;
};

/* A NAME in a directory, all files of which were looked for. */
struct sought {
	const struct conf_bundle *conf;
	const char *name;
};

/* All that the config names, in order of name; of those with one name only the first is good. False: no memory. */
MUST_CHECK bool sources_find(struct sources *s, const struct conf *conf, struct files *files, struct err *err);

/* The same, but of directories only what `changes` names (NULL: all), and all of s->sought. */
MUST_CHECK bool sources_find_changed(struct sources *s, const struct conf *conf, const struct tls_changes *changes,
    struct files *files, struct err *err);
void sources_free(struct sources *s);

/* Show all of the config's directories. False: no memory, or the viewer has seen enough. */
MUST_CHECK bool sources_view(const struct conf *conf, struct files *files, struct sources_viewer *v);

/* The first of that name; NULL: none. */
struct source *sources_named(const struct sources *s, const char *name);

/* Identity of what is on disk: SHA-256 over roles, paths and stamps. False when OpenSSL fails. */
MUST_CHECK bool source_digest(const struct source *s, const struct tls_thread *t, unsigned char out[32]);

/* The file in this role; NULL: there is none. */
const char *source_path(const struct source *s, enum source_role role);

/* --- for sources.c and directory.c --- */

/* A new source of that bundle of the config, or NULL when memory is out. */
struct source *sources_add(struct sources *s, const char *name, const char *where, const struct conf_bundle *c);
void source_add_file(struct source *s, enum source_role role, const char *path, const struct file_stamp *stamp);

/* All bundles of a directory, or only those that may have changed. */
MUST_CHECK bool directory_find_changed(struct sources *s, const struct conf_bundle *c, struct files *files);
MUST_CHECK bool directory_find(struct sources *s, const struct conf_bundle *c, struct files *files);

#endif
