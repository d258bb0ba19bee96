/*
 * gather.h: all files of a config, by way of its includes.
 */
#ifndef BASCULE_CONF_GATHER_H
#define BASCULE_CONF_GATHER_H

#include "conf/text.h"

enum { GATHER_DEPTH_MAX = 8 }; /* files that include each other in turn */

struct gathered {
	struct conf_text *texts; /* in the order of their inclusion; owned */
	bool whole;              /* every file could be read and parsed */
};

/* Paths of the texts are in `arena`. What is wrong is in `problems`. Free it in any case. */
struct gathered conf_gather(struct files *files, const char *path, struct arena *arena, struct conf_problems *problems);
void gathered_free(struct gathered *g);

#endif
