#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/outlet.h"

enum { LINE_MAX_BYTES = 2048 };

static const char *const level_texts[] = {
#define X(name, text) [name] = text,
	LOG_LEVELS(X)
#undef X
};

static struct {
	const char *program;
	int level; /* enum log_level; read without a lock */
	struct outlet to;
	uint64_t lost;        /* lines since the start; read without a lock */
	bool echo, elsewhere; /* wanted; the log is another file than standard error */
	pthread_mutex_t lock; /* guards the descriptor against being closed under a writer */
} logger = {.program = "bascule", .level = LOG_NOTICE, .to = OUTLET(STDERR_FILENO), .lock = PTHREAD_MUTEX_INITIALIZER};

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
	int old = logger.to.fd;
	outlet_set(&logger.to, fd);
	logger.elsewhere = is_elsewhere(fd);
	pthread_mutex_unlock(&logger.lock);
	if (old != STDERR_FILENO && old != fd)
		close(old);
}

int
log_fd(void)
{
	return logger.to.fd;
}

uint64_t
log_lost(void)
{
	return __atomic_load_n(&logger.lost, __ATOMIC_RELAXED);
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

/* TIME LEVEL program[PID]: text */
static struct sv
make_line(char line[LINE_MAX_BYTES], enum log_level level, const char *text)
{
	char when[CLOCK_TEXT_SIZE];

	clock_text(clock_wall_us(), when);
	int n = snprintf(line, LINE_MAX_BYTES, "%s %s %s[%d]: ", when, level_texts[level], logger.program, (int)getpid());
	size_t len = (size_t)n + escape(text, line + n, LINE_MAX_BYTES - (size_t)n - 1);
	line[len++] = '\n';
	return sv_of(line, len);
}

/* With the first line that gets through again. Under the lock. */
static void
tell_lost(void)
{
	char text[128], line[LINE_MAX_BYTES];
	uint64_t lost = logger.to.lost;

	if (lost == 0)
		return;
	(void)snprintf(text, sizeof(text), "%llu line%s lost: %s", (unsigned long long)lost, lost == 1 ? " was" : "s were",
	    outlet_why(&logger.to));
	outlet_put(&logger.to, make_line(line, LOG_ERROR, text));
	logger.to.lost = logger.to.lost > lost ? lost : 0;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES / 2], line[LINE_MAX_BYTES];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct sv all = make_line(line, level, text);
	pthread_mutex_lock(&logger.lock);
	tell_lost();
	uint64_t before = logger.to.lost;
	outlet_put(&logger.to, all);
	__atomic_store_n(&logger.lost, logger.lost + logger.to.lost - before, __ATOMIC_RELAXED);
	if (logger.echo && logger.elsewhere && level <= LOG_WARNING) {
		struct outlet echo = OUTLET(STDERR_FILENO);
		outlet_set(&echo, STDERR_FILENO);
		outlet_put(&echo, all);
	}
	pthread_mutex_unlock(&logger.lock);
}
