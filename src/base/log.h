/*
 * log.h: the error log.
 *
 * One line an event: time, level, process, text. Any thread may call; a line
 * is one write(2), so lines of several threads do not mix. It waits for nobody:
 * a line that a pipe, a socket or a terminal does not take is lost, and the next
 * that gets through tells how many were (base/outlet.h). Secrets are never
 * passed here. Bytes that came from a peer are escaped by the logger, so a
 * peer can not forge a line.
 */
#ifndef BASCULE_BASE_LOG_H
#define BASCULE_BASE_LOG_H

#include "base/defs.h"

/* X(name, text) from the gravest down; the order is the filter. */
#define LOG_LEVELS(X)                                                                                        \
	X(LOG_ERROR, "error")     /* somebody must act: something that should work does not */               \
	X(LOG_WARNING, "warning") /* works, but not as intended: a bundle held back, an origin failing */    \
	X(LOG_NOTICE, "notice")   /* what an administrator did or would want to know: start, reload, drain */ \
	X(LOG_INFO, "info")       /* one line for a connection that ended unusually */                       \
	X(LOG_DEBUG, "debug")

enum log_level {
#define X(name, text) name,
	LOG_LEVELS(X)
#undef X
};

/* The word for a level, as in the config. */
const char *log_level_text(enum log_level level);

/* `program` stands in every line ("bascule", "worker"); not copied, must outlive the logger. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);

/*
 * A bound on lines of one kind that peers can cause: they must not fill the disk. Of one thread; zeroed to begin with.
 * False: leave this one out, or the level is not logged; how many were left out is said later.
 */
enum { LOG_LINES_A_SECOND = 20 };
struct log_bound {
	uint64_t until_ms; /* the second that is being counted ends */
	unsigned said, left_out;
};
bool log_allows(struct log_bound *b, enum log_level level, uint64_t now_ms);

/* Write to fd from now on; takes ownership and closes the one before unless that was standard error. */
void log_set_fd(int fd);

/* What lines are written to now. Borrowed. */
int log_fd(void);

/* How many lines were lost since the start. Any thread. */
uint64_t log_lost(void);

/*
 * While a start has not succeeded yet: errors and warnings go to standard error, too, when the log is another file.
 * Whoever has started it looks there.
 */
void log_echo(bool on);

bool log_enabled(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
/* The arguments of the chatty levels are not even computed when nobody listens. */
#define log_at(level, ...)                          \
	do {                                        \
		if (log_enabled(level))             \
			log_line(level, __VA_ARGS__); \
	} while (0)

#endif
