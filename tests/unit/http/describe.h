/*
 * describe.h: what the codec makes of some bytes, as text.
 *
 * A message is parsed whole or in small pieces and what came of it is written
 * down line by line; two ways of feeding must give the same text, and a test
 * case lists lines that must be in it.
 */
#ifndef BASCULE_TESTS_HTTP_DESCRIBE_H
#define BASCULE_TESTS_HTTP_DESCRIBE_H

#include "http/h1.h"

struct message {
	bool is_response;
	enum http_method answered; /* of a response */
	struct h1_limits limits;
	struct buf bytes;
};

/* Forget what is there; default limits. */
void message_clear(struct message *m);

/*
 * Feed the message to the codec, `step` bytes at a time, and describe the outcome in `out`. Every call of the codec
 * gets its bytes in a heap block of just their size, so that a sanitizer sees a read beyond them.
 */
void describe(const struct message *m, size_t step, struct buf *out);

/* Is there a line in `text` that is just this? */
bool text_has_line(const struct buf *text, struct sv line);

const char *fault_name(enum h1_fault f);

#endif
