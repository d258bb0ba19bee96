#include "worker/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	COMMANDS_MAX = 8, /* at a time: an event that comes in numbers is not to fill the machine */
	ARGUMENTS_MAX = 64,
};

/* A command that runs. */
struct notify_command {
	TAILQ_ENTRY(notify_command) link;
	struct notify *notify;
	struct hook *hook;
	char name[];
};

static void
on_ended(void *arg, const struct hook_end *how)
{
	struct notify_command *c = arg;
	struct notify *n = c->notify;

	if (how->killed)
		notices_fail(&n->told, "%s: it had not ended after %d seconds and was killed", c->name, HOOK_PATIENCE_MS / 1000);
	else if (how->signal != 0)
		notices_fail(&n->told, "%s: was killed by signal %d", c->name, how->signal);
	else if (how->status != 0)
		notices_fail(&n->told, "%s: ended with status %d", c->name, how->status);
	else
		n->told.delivered++;
	TAILQ_REMOVE(&n->commands, c, link);
	n->n_commands--;
	free(c);
}

static struct hook *
start(struct notify_command *c, const struct conf_strings *command, const struct notify_event *e, struct err *err)
{
	char *arguments[ARGUMENTS_MAX + 1] = {NULL};
	char event[64], bundle[1024], path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *const environment[] = {path, event, bundle, NULL};
	int in = hook_input(e->json.p, e->json.n);

	if (in < 0) {
		err_set(err, "%s", strerror(errno));
		return NULL;
	}
	for (size_t i = 0; i < command->n && i < ARGUMENTS_MAX; i++)
		arguments[i] = (char *)(uintptr_t)command->v[i];
	(void)snprintf(event, sizeof(event), "BASCULE_EVENT=%s", e->word);
	(void)snprintf(bundle, sizeof(bundle), "BASCULE_BUNDLE=%s", e->bundle);
	const struct hook_order order = {.path = arguments[0], .arguments = arguments, .environment = environment, .in = in,
	    .ended = on_ended, .arg = c};
	struct hook *h = hook_start(c->notify->loop, &order, err);
	close(in);
	return h;
}

static void
run(struct notify *n, const struct conf_strings *command, const struct notify_event *e)
{
	const char *name = command->v[0];
	struct err err = {"out of memory"};

	if (n->n_commands >= COMMANDS_MAX) {
		notices_fail(&n->told, "%s: not run for \"%s\": %d of them have not ended yet", name, e->word, COMMANDS_MAX);
		return;
	}
	struct notify_command *c = calloc(1, sizeof(*c) + strlen(name) + 1);
	if (c != NULL) {
		c->notify = n;
		memcpy(c->name, name, strlen(name) + 1);
		c->hook = start(c, command, e, &err);
	}
	if (c == NULL || c->hook == NULL) {
		notices_fail(&n->told, "%s: can not be run for \"%s\": %s; the worker's user must be able to execute it", name,
		    e->word, err.text);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&n->commands, c, link);
	n->n_commands++;
}

void
notify_init(struct notify *n, struct net_loop *loop, struct files *files)
{
	*n = (struct notify){.loop = loop};
	TAILQ_INIT(&n->commands);
	webhooks_init(&n->webhooks, loop, files, &n->told);
}

void
notify_tell(struct notify *n, const struct conf_notify *to, const struct notify_event *e)
{
	if (to->command.n > 0)
		run(n, &to->command, e);
	if (to->url != NULL)
		webhooks_post(&n->webhooks, to, e);
}

void
notify_end(struct notify *n)
{
	struct notify_command *after;

	for (struct notify_command *c = TAILQ_FIRST(&n->commands); c != NULL; c = after) {
		after = TAILQ_NEXT(c, link);
		TAILQ_REMOVE(&n->commands, c, link);
		hook_let_go(c->hook);
		free(c);
	}
	webhooks_end(&n->webhooks);
}
