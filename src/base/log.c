#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = 2048 };

static const char *const level_texts[] = {
#define X(name, text) [name] = text,
	LOG_LEVELS(X)
#undef X
};

static struct {
	const char *program;
	int level; /* enum log_level; read without a lock */
	int fd;
	bool echo, elsewhere; /* wanted; the log is another file than standard error */
	pthread_mutex_t lock; /* guards fd against being closed under a writer */
} logger = {.program = "bascule", .level = LOG_NOTICE, .fd = STDERR_FILENO, .lock = PTHREAD_MUTEX_INITIALIZER};

const char *
log_level_text(enum log_level level)
{
	return level_texts[level];
}

void
log_init(const char *program, enum log_level level)
{
	logger.program = program;
	log_set_level(level);
}

void
log_set_level(enum log_level level)
{
	__atomic_store_n(&logger.level, (int)level, __ATOMIC_RELAXED);
}

static bool
is_elsewhere(int fd)
{
	struct stat a, b;

	return fstat(fd, &a) != 0 || fstat(STDERR_FILENO, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino;
}

void
log_set_fd(int fd)
{
	pthread_mutex_lock(&logger.lock);
	int old = logger.fd;
	logger.fd = fd;
	logger.elsewhere = is_elsewhere(fd);
	pthread_mutex_unlock(&logger.lock);
	if (old != STDERR_FILENO && old != fd)
		close(old);
}

int
log_fd(void)
{
	return logger.fd;
}

void
log_echo(bool on)
{
	pthread_mutex_lock(&logger.lock);
	logger.echo = on;
	pthread_mutex_unlock(&logger.lock);
}

bool
log_enabled(enum log_level level)
{
	return (int)level <= __atomic_load_n(&logger.level, __ATOMIC_RELAXED);
}

bool
log_allows(struct log_bound *b, enum log_level level, uint64_t now_ms)
{
	if (!log_enabled(level))
		return false;
	if (now_ms >= b->until_ms) {
		if (b->left_out > 0)
			log_line(level, "%u more lines like these were left out", b->left_out);
		*b = (struct log_bound){.until_ms = now_ms + 1000};
	}
	if (b->said == LOG_LINES_A_SECOND) {
		b->left_out++;
		return false;
	}
	b->said++;
	return true;
}

/* Control bytes become \xNN: a line stays a line and a terminal is not commanded. */
static size_t
escape(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && n + 5 < size; c++) {
		if (*c >= 0x20 && *c != 0x7f)
			out[n++] = (char)*c;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", *c);
	}
	return n;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES / 2], line[LINE_MAX_BYTES], when[CLOCK_TEXT_SIZE];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_text(clock_wall_us(), when);
	int n = snprintf(line, sizeof(line), "%s %s %s[%d]: ", when, level_texts[level], logger.program, (int)getpid());
	size_t len = (size_t)n + escape(text, line + n, sizeof(line) - (size_t)n - 1);
	line[len++] = '\n';
	pthread_mutex_lock(&logger.lock);
	ssize_t written = write(logger.fd, line, len);
	if (logger.echo && logger.elsewhere && level <= LOG_WARNING)
		written = write(STDERR_FILENO, line, len);
	pthread_mutex_unlock(&logger.lock);
	(void)written; /* a log that can not be written can not be complained of */
}
