#include "pki/password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/files.h"

bool
password_read(const char *path, char out[PASSWORD_MAX + 1], struct err *err)
{
	struct buf content;

	out[0] = '\0';
	buf_init(&content, PASSWORD_MAX);
	bool ok = files_read(files_direct(), path, &content, NULL, err) &&
	    pieces_password(path, buf_view(&content), out, err);
	secret_wipe(content.data, content.capacity);
	return ok;
}

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	interrupted = number;
}

/* Up to the newline. False: none came, or too much. */
static bool
read_line(int fd, char out[PASSWORD_MAX + 1])
{
	size_t n = 0;

	while (interrupted == 0 && n < PASSWORD_MAX) {
		ssize_t got = read(fd, out + n, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		if (out[n] == '\n') {
			out[n] = '\0';
			return true;
		}
		n++;
	}
	return false;
}

/* The echo comes back whatever happens meanwhile; a signal is then sent again, to do what it is for. */
static bool
ask_once(int tty, const char *prompt, char out[PASSWORD_MAX + 1])
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	struct sigaction mine = {.sa_handler = on_signal}, before[COUNTOF(numbers)];
	struct termios shown, hidden;

	if (tcgetattr(tty, &shown) != 0)
		return false;
	interrupted = 0;
	for (size_t i = 0; i < COUNTOF(numbers); i++)
		(void)sigaction(numbers[i], &mine, &before[i]);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	(void)tcsetattr(tty, TCSAFLUSH, &hidden);
	(void)dprintf(tty, "%s: ", prompt);
	bool ok = read_line(tty, out);
	(void)tcsetattr(tty, TCSAFLUSH, &shown);
	for (size_t i = 0; i < COUNTOF(numbers); i++)
		(void)sigaction(numbers[i], &before[i], NULL);
	if (interrupted != 0) {
		(void)dprintf(tty, "\n");
		(void)raise(interrupted);
	}
	return ok;
}

bool
password_get(struct pki *p, const char *file, enum password_ask ask, char out[PASSWORD_MAX + 1])
{
	char again[PASSWORD_MAX + 1];
	bool ok;

	out[0] = '\0';
	if (file != NULL)
		return password_read(file, out, &p->err);
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0)
		return err_set(&p->err, "a password is needed, and there is no terminal to ask: give --password-file FILE");
	ok = ask_once(tty, "Password", out) || err_set(&p->err, "no password was given");
	if (ok && ask == PASSWORD_NEW && out[0] == '\0')
		ok = err_set(&p->err, "an empty password protects nothing; give one");
	if (ok && ask == PASSWORD_NEW) {
		ok = (ask_once(tty, "Once more", again) && strcmp(out, again) == 0) ||
		    err_set(&p->err, "the two are not the same; try again");
		explicit_bzero(again, sizeof(again));
	}
	close(tty);
	return ok;
}
