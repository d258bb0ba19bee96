#include <stdio.h>
#include <string.h>

#include "admin/client.h"
#include "cli/cli.h"
#include "conf/config.h"

enum { SOCKET_PATH_SIZE = 108 }; /* of struct sockaddr_un */

static int
fail(const char *command, const char *text)
{
	(void)fprintf(stderr, "bascule %s: %s\n", command, text);
	return CLI_FAILED;
}

/* As its config says, which may be broken by now: the proxy goes on by the one that it was started with. */
static bool
read_socket(const char *command, const char *config, char out[SOCKET_PATH_SIZE], struct err *err)
{
	struct arena arena = ARENA_EMPTY;
	struct conf_problems problems;
	bool ok;

	conf_problems_init(&problems);
	const char *path = conf_find_admin_socket(files_direct(), config, &arena, &problems);
	struct sv wrong = buf_view(&problems.text);
	if (path == NULL && problems.errors > 0)
		ok = err_set(err, "%s can not be read; name the admin socket with --socket PATH. What is wrong:\n%.*s",
		    config, (int)MIN_OF(wrong.n, (size_t)400), wrong.p);
	else if (path == NULL)
		ok = err_set(err, "%s has no admin.socket: add one and restart, or name one with --socket PATH", config);
	else if (!sv_copy(sv_cstr(path), out, SOCKET_PATH_SIZE))
		ok = err_set(err, "%s: the path of a socket has at most %d bytes", path, SOCKET_PATH_SIZE - 1);
	else
		ok = true;
	if (ok && problems.errors > 0)
		(void)fprintf(stderr, "bascule %s: %s is broken, see `bascule check`; asking at %s, which it names\n",
		    command, config, out);
	conf_problems_free(&problems);
	arena_free(&arena);
	return ok;
}

/* Where the running proxy listens: as told, or as its config says. */
static bool
find_socket(const char *command, const struct cli_options *o, char out[SOCKET_PATH_SIZE], struct err *err)
{
	if (o->socket == NULL)
		return read_socket(command, o->config, out, err);
	return sv_copy(sv_cstr(o->socket), out, SOCKET_PATH_SIZE) ||
	       err_set(err, "%s: the path of a socket has at most %d bytes", o->socket, SOCKET_PATH_SIZE - 1);
}

bool
cli_ask(const char *command, const struct cli_options *o, const char *method, const char *path, struct admin_reply *reply,
    struct err *err)
{
	char socket[SOCKET_PATH_SIZE];

	return find_socket(command, o, socket, err) && admin_request(socket, method, path, reply, err);
}

bool
cli_put_segment(char *out, size_t size, const char *name)
{
	size_t n = strlen(out);

	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL;
		int put = snprintf(out + n, size - n, plain ? "%c" : "%%%02X", c);
		if (put < 0 || (size_t)put >= size - n)
			return false;
		n += (size_t)put;
	}
	return true;
}

void
cli_accept_path(const char *path, unsigned accept, char out[CLI_PATH_SIZE])
{
	size_t n = (size_t)snprintf(out, CLI_PATH_SIZE, "%s", path);
	const char *before = "?accept=";

	for (unsigned i = 0; i < CONF_LOSSES_N; i++) {
		if ((accept & 1u << i) == 0 || n >= CLI_PATH_SIZE)
			continue;
		n += (size_t)snprintf(out + n, CLI_PATH_SIZE - n, "%s%s", before, conf_loss_words[i]);
		before = ",";
	}
}

/* Parse the options, send the request and have the reply printed by `print`, whose value is the exit status. */
static int
ask(int argc, char **argv, unsigned takes, const char *method, const char *path,
    int (*print)(const struct admin_reply *, bool json, struct err *))
{
	struct cli_options o;
	struct admin_reply reply;
	struct err err = {""};
	char target[CLI_PATH_SIZE];

	if (!cli_options(&o, takes, argc, argv))
		return CLI_USAGE;
	cli_accept_path(path, o.accept, target);
	if (!cli_ask(argv[0], &o, method, target, &reply, &err))
		return fail(argv[0], err.text);
	int status = print(&reply, o.json, &err);
	admin_reply_free(&reply);
	return status == CLI_OK || err.text[0] == '\0' ? status : fail(argv[0], err.text);
}

static int
print_status(const struct admin_reply *reply, bool json, struct err *err)
{
	bool ok = reply->status != 200 ? admin_unexpected(reply, err)
	          : json               ? admin_print_body(reply, stdout, err)
	                               : admin_print_status(reply, stdout, err);
	return ok ? CLI_OK : CLI_FAILED;
}

/* A refused reload is an answer too: the reply tells what was wrong. */
static int
print_reload(const struct admin_reply *reply, bool json, struct err *err)
{
	bool done = false, whole = false;

	if (!admin_reload_outcome(reply, &done, &whole, err))
		return CLI_FAILED;
	bool printed = json ? admin_print_body(reply, stdout, err) : admin_print_reload(reply, stdout, err);
	return !printed || !done ? CLI_FAILED : whole ? CLI_OK : CLI_HELD;
}

static int
print_metrics(const struct admin_reply *reply, bool json, struct err *err)
{
	(void)json;
	bool ok = reply->status == 200 ? admin_print_body(reply, stdout, err) : admin_unexpected(reply, err);
	return ok ? CLI_OK : CLI_FAILED;
}

int
cli_status(int argc, char **argv)
{
	return ask(argc, argv, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON, "GET", "/v1/status", print_status);
}

int
cli_reload(int argc, char **argv)
{
	return ask(argc, argv, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON | CLI_TAKES_ACCEPT, "POST", "/v1/reload",
	    print_reload);
}

int
cli_metrics(int argc, char **argv)
{
	return ask(argc, argv, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET, "GET", "/metrics", print_metrics);
}
