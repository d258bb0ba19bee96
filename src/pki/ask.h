/*
 * ask.h: questions on standard output, answers from standard input, a terminal or not.
 *
 * Each question shows what Enter answers. A terminal is asked again when an
 * answer will not do; a pipe is not, for the next line is the answer to another
 * question. The end of the input ends the asking: false with err set.
 */
#ifndef BASCULE_PKI_ASK_H
#define BASCULE_PKI_ASK_H

#include "pki/command.h"

/* Judges an answer; false with err set. */
typedef bool (*ask_check)(struct pki *p, const char *answer);

/* `check` NULL: anything. The answer is in the arena; empty when it and `preset` are. */
MUST_CHECK bool ask_text(struct pki *p, const char *question, const char *preset, ask_check check, const char **out);
MUST_CHECK bool ask_yes(struct pki *p, const char *question, bool preset, bool *out);

/* One of n, from 0; people count from 1. */
MUST_CHECK bool ask_choice(struct pki *p, const char *question, const char *const *choices, size_t n, size_t preset,
    size_t *out);

#endif
