/*
 * losses.c: the words for what a new certificate may lose.
 */
#include <stdio.h>

#include "base/nearest.h"
#include "conf/config.h"

enum { WORD_SIZE = 64 };

const char *const conf_loss_words[] = {
#define X(name, word) [name] = word,
	CONF_LOSSES(X)
#undef X
	[CONF_LOSSES_N] = NULL,
};

/* CONF_LOSSES_N: there is none. */
static unsigned
find(struct sv word)
{
	unsigned i = 0;

	while (i < CONF_LOSSES_N && !sv_eq(word, sv_cstr(conf_loss_words[i])))
		i++;
	return i;
}

static bool
refuse(struct sv word, struct err *err)
{
	const char *meant = NULL;
	char copy[WORD_SIZE], known[256];
	size_t n = 0;

	if (sv_copy(word, copy, sizeof(copy)))
		meant = nearest_word(copy, conf_loss_words, CONF_LOSSES_N);
	if (meant != NULL)
		return err_set(err, "\"%s\" is nothing to accept; did you mean \"%s\"?", copy, meant);
	for (unsigned i = 0; i < CONF_LOSSES_N && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", conf_loss_words[i]);
	return err_set(err, "\"%.*s\" is nothing to accept; known are: %s", (int)MIN_OF(word.n, (size_t)WORD_SIZE),
	    word.n > 0 ? word.p : "", known);
}

bool
conf_losses(struct sv words, unsigned *set, struct err *err)
{
	*set = 0;
	do {
		struct sv word = sv_cut(&words, ',');
		unsigned i = find(word);
		if (i == CONF_LOSSES_N)
			return refuse(word, err);
		*set |= 1u << i;
	} while (words.p != NULL);
	return true;
}
