#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/sdnotify.h"
#include "scratch.h"

TestSuite(sdnotify, .init = scratch_make, .fini = scratch_remove);

static struct sdnotify notify;

/* The manager's socket, `name` as the environment has it. */
static int
manager(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, name, strlen(name));
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	sdnotify_init(&notify);
	return fd;
}

static const char *
heard(int fd)
{
	static char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

Test(sdnotify, tells_the_manager)
{
	int fd = manager(scratch_path("notify"));
	char expected[128];

	sdnotify_ready(&notify, "Serving");
	(void)snprintf(expected, sizeof(expected), "READY=1\nMAINPID=%d\nSTATUS=Serving\n", (int)getpid());
	cr_expect_str_eq(heard(fd), expected);
	sdnotify_reloading(&notify);
	cr_expect_eq(strncmp(heard(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	sdnotify_status(&notify, "One line\nREADY=1");
	cr_expect_str_eq(heard(fd), "STATUS=One line\n", "a status can not say other things");
	sdnotify_stopping(&notify, "Stopping");
	cr_expect_str_eq(heard(fd), "STOPPING=1\nSTATUS=Stopping\n");
	sdnotify_extend(&notify, 30000);
	cr_expect_str_eq(heard(fd), "EXTEND_TIMEOUT_USEC=30000000\n");
	close(fd);
}

Test(sdnotify, in_the_abstract_name_space)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "@bascule-unit-%d", (int)getpid());
	int fd = manager(name);
	sdnotify_status(&notify, "x");
	cr_expect_str_eq(heard(fd), "STATUS=x\n");
	close(fd);
}

Test(sdnotify, the_environment_is_for_us_alone)
{
	int fd = manager(scratch_path("notify"));

	cr_expect_null(getenv("NOTIFY_SOCKET"));
	close(fd);
}

Test(sdnotify, nobody_to_tell)
{
	static const char *const names[] = {"", "x", "relative/path", "@", "vsock:2:1234"};

	for (size_t i = 0; i < COUNTOF(names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		sdnotify_init(&notify);
		cr_expect_eq(notify.fd, -1, "%s", names[i]);
		sdnotify_ready(&notify, "x");
	}
}
