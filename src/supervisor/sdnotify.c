#include "supervisor/sdnotify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void
sdnotify_init(struct sdnotify *s)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path != NULL ? strlen(path) : 0;

	*s = (struct sdnotify){.fd = -1, .to.sun_family = AF_UNIX};
	if (n > 1 && n < sizeof(s->to.sun_path) && (path[0] == '/' || path[0] == '@')) {
		memcpy(s->to.sun_path, path, n);
		if (path[0] == '@')
			s->to.sun_path[0] = '\0'; /* the abstract name space */
		s->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
		s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	unsetenv("NOTIFY_SOCKET");
}

static void PRINTF_LIKE(2, 3)
send_lines(const struct sdnotify *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (s->fd < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)sendto(s->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&s->to, s->length);
}

/* A status is one line. */
static int
line_length(const char *status)
{
	return (int)MIN_OF(strcspn(status, "\n"), (size_t)256);
}

void
sdnotify_ready(const struct sdnotify *s, const char *status)
{
	send_lines(s, "READY=1\nMAINPID=%d\nSTATUS=%.*s\n", (int)getpid(), line_length(status), status);
}

void
sdnotify_reloading(const struct sdnotify *s)
{
	struct timespec now;

	/* The manager tells a reload that began before its signal from one that answers it by this clock. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	send_lines(s, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading\n",
	    (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void
sdnotify_stopping(const struct sdnotify *s, const char *status)
{
	send_lines(s, "STOPPING=1\nSTATUS=%.*s\n", line_length(status), status);
}

void
sdnotify_extend(const struct sdnotify *s, uint64_t ms)
{
	send_lines(s, "EXTEND_TIMEOUT_USEC=%llu\n", (unsigned long long)ms * 1000);
}

void
sdnotify_status(const struct sdnotify *s, const char *status)
{
	send_lines(s, "STATUS=%.*s\n", line_length(status), status);
}
