/*
 * text.h: one config file: its bytes, its JSON, and where each value stands.
 *
 * The nodes are the values in the order of the text, so that a walk over the
 * JSON (which jansson keeps in the order of the text as well) goes along with
 * them: the children of a node i begin at i + 1, and what follows node i and all that is in
 * it begins at nodes[i].end.
 */
#ifndef BASCULE_CONF_TEXT_H
#define BASCULE_CONF_TEXT_H

#include <jansson.h>

#include "conf/config.h"
#include "conf/hash.h"

enum {
	TEXT_SIZE_MAX = 64 << 20, /* bytes of one file */
	TEXT_DEPTH_MAX = 32,      /* objects and lists in each other; the keys need no more than seven */
	TEXT_PATH_SIZE = 256,     /* "sites[3].routes[0].upstream" */
	TEXT_RAW_SIZE = 48,       /* a value as it was written, shortened */
};

struct conf_node {
	uint32_t value, value_end; /* offsets in the text */
	uint32_t key, key_end;     /* of the key with its quotes; both 0 in a list and at the top */
	uint32_t line, column;     /* of the value */
	uint32_t key_line, key_column;
	uint32_t parent; /* of the top: itself */
	uint32_t end;    /* the node after this one and all in it */
	uint32_t index;  /* among its siblings */
	uint32_t children;
	bool faulty;     /* an error was reported here or within: what follows from it is not worth telling */
};

struct conf_text {
	struct conf_text *next; /* of all that were read, in the order of their inclusion */
	UT_hash_handle hh;      /* of all, by device and inode */
	const char *path;       /* absolute; in the config's arena */
	const struct conf_text *from; /* the file that includes this one; NULL: the first */
	struct file_stamp stamp;
	struct buf bytes;
	struct sv json; /* the bytes without a byte order mark */
	json_t *root;   /* an object; NULL when the text is at fault */
	struct conf_node *nodes;
	uint32_t n_nodes, capacity;
};

/* A text that is still empty; NULL when memory is out. `path` is not copied. */
struct conf_text *conf_text_new(const char *path, const struct conf_text *from);
void conf_text_free(struct conf_text *t);

/* Parse t->bytes, which the caller has filled. False when something is wrong, which is then in `problems`. */
bool conf_text_parse(struct conf_text *t, struct conf_problems *problems);

/* What is wrong with a text that jansson refused. */
void conf_text_explain(const struct conf_text *t, const json_error_t *refusal, struct conf_problems *problems);

struct conf_where conf_text_where(const struct conf_text *t, uint32_t node);
void conf_text_path(const struct conf_text *t, uint32_t node, char out[TEXT_PATH_SIZE]);
void conf_text_raw(const struct conf_text *t, uint32_t node, char out[TEXT_RAW_SIZE]);

/* An error at a value, or at its key. Marks the node and all around it as faulty. */
void conf_text_error(struct conf_text *t, uint32_t node, struct conf_problems *problems, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void conf_text_key_error(struct conf_text *t, uint32_t node, struct conf_problems *problems, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
