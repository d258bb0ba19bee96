/*
 * access_log.h: one line a request, in JSON or the combined form.
 *
 * Lines gather in the thread's buffer and are written with one write(2) that
 * ends at a line, when the buffer is full and once a second: a line comes up to
 * a second late. What is not taken at once (a pipe that nobody reads, a full
 * disk) is lost and counted. What came from a peer is escaped, so a client can
 * not forge a line or a field.
 */
#ifndef BASCULE_PROXY_ACCESS_LOG_H
#define BASCULE_PROXY_ACCESS_LOG_H

#include "base/buf.h"
#include "base/outlet.h"
#include "conf/config.h"

struct exchange;

struct access_log {
	struct outlet to; /* its descriptor -1: none; borrowed: all threads write to one */
	enum conf_access_format format;
	struct buf lines;
	uint64_t *lost;           /* a counter, borrowed */
	uint64_t silent_until_ms; /* that lines were lost has been told */
};

/* `lost` counts the lines that were; it must outlive the log. */
void access_log_init(struct access_log *l, uint64_t *lost);

/* Write what has gathered where it belongs, and log to `fd` from now on (-1: no more). The old one is not used any more. */
void access_log_set(struct access_log *l, int fd, enum conf_access_format format);

void access_log_write(struct access_log *l, const struct exchange *x);
void access_log_flush(struct access_log *l);

#endif
