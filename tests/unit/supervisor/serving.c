#include "serving.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "scratch.h"

struct broker broker;
int worker_end, supervisor_end;
const char *config_path;
static char config_file[256];
static pthread_t supervisor;

static void *
serve(void *arg)
{
	struct message m;
	int fd;

	(void)arg;
	while (message_receive(supervisor_end, &m, &fd, 0) == MESSAGE_GOT)
		if (!broker_serve(&broker, supervisor_end, &m, fd))
			break;
	return NULL;
}

void
serving_config(const char *more)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
	    "{ %s \"listeners\": [ { \"address\": \"unix:%s/listen.sock\" } ], \"admin\": { \"socket\": \"admin.sock\" },\n"
	    "  \"bundles\": { \"one\": { \"certificate\": \"one.pem\", \"key\": \"one.key\" }, \"*\": { \"directory\": \"all\" } },\n"
	    "  \"log\": { \"error\": \"error.log\" },\n"
	    "  \"sites\": [ { \"names\": [ \"a.test\" ], \"bundle\": \"one\", \"upstream\": \"u\" } ],\n"
	    "  \"upstreams\": { \"u\": { \"servers\": [ \"127.0.0.1:1\" ] } } }\n",
	    more, scratch);
	(void)snprintf(config_file, sizeof(config_file), "%s", scratch_write("bascule.json", text));
	config_path = config_file;
}

void
serving_start(void)
{
	struct conf_problems problems;
	int ends[2];

	log_init("test", LOG_ERROR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	scratch_make();
	scratch_write("one.pem", "certificate");
	scratch_write("one.key", "key");
	scratch_write("secret.txt", "nobody's business");
	cr_assert_eq(mkdir(scratch_path("all"), 0700), 0);
	serving_config("");
	conf_problems_init(&problems);
	cr_assert(broker_init(&broker, config_path, &problems), "%.*s", SV_FMT(buf_view(&problems.text)));
	conf_problems_free(&problems);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	supervisor_end = ends[0];
	worker_end = ends[1];
	cr_assert_eq(pthread_create(&supervisor, NULL, serve, NULL), 0);
}

void
serving_stop(void)
{
	(void)shutdown(worker_end, SHUT_RDWR);
	pthread_join(supervisor, NULL);
	broker_free(&broker);
	close(supervisor_end);
	scratch_remove();
}

struct message
ask(enum message_kind kind, const char *text, int *fd)
{
	struct message m = {.kind = kind, .count = 1};

	cr_assert(sv_copy(sv_cstr(text), m.text, sizeof(m.text)));
	cr_assert(message_send(worker_end, &m, -1, 0));
	cr_assert_eq(message_receive(worker_end, &m, fd, 0), MESSAGE_GOT);
	cr_assert_eq(m.kind, MESSAGE_REPLY);
	return m;
}

struct control *
attach(void)
{
	struct err err = {""};
	struct control *c = control_attach(dup(worker_end), &err);

	cr_assert_not_null(c, "%s", err.text);
	return c;
}

/* The broker closes its own after it has answered: so one more answer is waited for. */
int
count_descriptors(void)
{
	int none, n = 0;

	(void)ask(MESSAGE_STAMP, "/nowhere", &none);
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}
