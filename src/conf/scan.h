/*
 * scan.h: the tokens of JSON text with their places.
 *
 * jansson parses, but forgets where things stood. This scanner knows nothing
 * of grammar, so it also reads text that is not JSON: to point at the fault.
 */
#ifndef BASCULE_CONF_SCAN_H
#define BASCULE_CONF_SCAN_H

#include "base/sv.h"

struct scan {
	struct sv text;
	size_t at;
	unsigned line, column; /* of `at`, from 1; a column is a character */
};

enum { TOKEN_END = 0, TOKEN_STRING = '"', TOKEN_WORD = 'w' }; /* else the character itself, one of {}[],: */

struct token {
	char kind;
	size_t start, end; /* [start, end) in the text */
	unsigned line, column;
};

void scan_init(struct scan *s, struct sv text);

/* False at the end of the text; `t` then tells the place of the end. */
bool scan_next(struct scan *s, struct token *t);

/* Move on to `at`, which must not lie behind. */
void scan_to(struct scan *s, size_t at);

/*
 * Overwrite comments (//, #, and those between slash-asterisks) with white space of the same length, so that every
 * place stays what it was. Returns where a comment begins that is never closed; n when there is none.
 */
size_t scan_blank_comments(char *p, size_t n);

#endif
