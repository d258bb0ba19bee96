/*
 * outlet.h: lines to a descriptor that may take no more.
 *
 * Logs go where an administrator sends them: a file, but a pipe, a socket or a
 * terminal as well, and nobody may read those. A line that would have to be
 * waited for is lost, and counted. The descriptor itself stays as it is: its
 * open file is shared with whoever started us, and they may want it to wait.
 *
 * A pipe that others write to as well can fill up between our look and our
 * write. Where we may open it anew (outlet_detach) not even that waits.
 */
#ifndef BASCULE_BASE_OUTLET_H
#define BASCULE_BASE_OUTLET_H

#include "base/sv.h"

struct outlet {
	int fd; /* borrowed */
	enum outlet_kind { OUTLET_FILE, OUTLET_SOCKET, OUTLET_PIPE /* or a terminal */ } kind;
	bool cut;      /* what was written last does not end a line */
	int error;     /* errno of the last loss */
	uint64_t lost; /* lines; its user sets it back */
};

#define OUTLET(number) ((struct outlet){.fd = (number)})

/* Write to `fd` from now on. What was lost stays counted. */
void outlet_set(struct outlet *o, int fd);

/* Write lines, each with its newline. One thread at a time. */
void outlet_put(struct outlet *o, struct sv lines);

/* Why the last line was lost. */
const char *outlet_why(const struct outlet *o);

/*
 * Put an open file of our own, which never waits, in the place of a pipe or terminal that was passed on to us. Where that
 * can not be (it is somebody else's, or there is no /proc) it stays as it is. Only for what nothing but a log is written to.
 */
void outlet_detach(int fd);

#endif
