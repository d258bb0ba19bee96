#include "worker/webhooks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "certs/pem.h"
#include "webhook/webhook.h"
#include "worker/hook.h"

enum {
	WAITING_MAX = 512,
	BYTES_MAX = 16 * 1024 * 1024, /* of all that waits */
	TRYING_MAX = 4,
	CA_MAX = 1024 * 1024,
	AUTHORIZATION_MAX = 8192,
};

/* Before the second try, and so on; after the last of them it is given up, some six minutes from the first. */
static const uint64_t pauses_ms[] = {1000, 4000, 16000, 64000, 256000};

struct webhook_post {
	TAILQ_ENTRY(webhook_post) link;
	struct webhooks *all;
	struct hook *hook; /* the try that goes on; NULL: none does */
	unsigned failures; /* tries that did not succeed */
	uint64_t due_ms;   /* monotonic: not before that */
	struct sv body;
	const char *url, *ca, *authorization, *bundle, *word; /* ca, authorization: files; NULL: none */
	char place[WEBHOOK_PLACE_MAX]; /* of the url what may be said: a path is often a secret */
	char bytes[];                  /* where these lie */
};

void
notices_fail(struct admin_notices *told, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(told->failure.text, sizeof(told->failure.text), fmt, ap);
	va_end(ap);
	told->failed++;
	told->failed_at_us = clock_wall_us();
	log_error("%s", told->failure.text);
}

/* --- one post ------------------------------------------------------------------------------------------------- */

static char *
copy(char **at, const char *s)
{
	size_t n = strlen(s) + 1;
	char *here = memcpy(*at, s, n);

	*at += n;
	return here;
}

static size_t
size_of(const char *s)
{
	return s != NULL ? strlen(s) + 1 : 0;
}

/* NULL: no memory. */
static struct webhook_post *
post_new(struct webhooks *w, const struct conf_notify *to, const struct notify_event *e)
{
	size_t bytes = size_of(to->url) + size_of(to->ca) + size_of(to->authorization) + size_of(e->bundle) +
	               size_of(e->word) + e->json.n;
	struct webhook_post *p = calloc(1, sizeof(*p) + bytes);
	char *at = p != NULL ? p->bytes : NULL;

	if (p == NULL)
		return NULL;
	p->all = w;
	p->url = copy(&at, to->url);
	p->ca = to->ca != NULL ? copy(&at, to->ca) : NULL;
	p->authorization = to->authorization != NULL ? copy(&at, to->authorization) : NULL;
	p->bundle = copy(&at, e->bundle);
	p->word = copy(&at, e->word);
	memcpy(at, e->json.p, e->json.n);
	p->body = sv_of(at, e->json.n);
	size_t scheme = strcspn(p->url, ":") + strlen("://");
	(void)snprintf(p->place, sizeof(p->place), "%.*s", (int)(scheme + strcspn(p->url + scheme, "/?")), p->url);
	return p;
}

static void
drop(struct webhook_post *p)
{
	struct webhooks *w = p->all;

	TAILQ_REMOVE(&w->queue, p, link);
	w->told->waiting--;
	w->bytes -= p->body.n;
	free(p);
}

/* --- files ----------------------------------------------------------------------------------------------------- */

bool
webhooks_read_authorization(struct files *files, const char *path, struct buf *out, struct err *err)
{
	buf_init(out, AUTHORIZATION_MAX);
	if (!files_read(files, path, out, NULL, err))
		return false;
	struct sv s = buf_view(out);
	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' '))
		s.n--;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return err_set(err, "%s: is to have one line, and no control characters", path);
	if (s.n == 0)
		return err_set(err, "%s: is empty", path);
	out->tail = out->head + (uint32_t)s.n;
	return buf_append(out, "", 1) || err_no_memory(err);
}

bool
webhooks_read_ca(struct files *files, const char *path, struct buf *out, struct err *err)
{
	struct pem_block block;

	buf_init(out, CA_MAX);
	if (!files_read(files, path, out, NULL, err))
		return false;
	struct pem_reader reader = {.path = path, .file = buf_view(out), .rest = buf_view(out)};
	for (;;)
		switch (pem_next(&reader, &block, err)) {
		case PEM_BROKEN:
			return false;
		case PEM_END:
			return err_set(err, "%s: has no certificate in it", path);
		case PEM_BLOCK:
			if (sv_eq(block.label, SV("CERTIFICATE")))
				return true;
		}
}

void
webhooks_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->capacity);
	buf_clear(b);
}

/* --- a try ---------------------------------------------------------------------------------------------------- */

/* The order as memory to be read; -1 with err set. */
static int
seal(const struct webhook_order *o, struct err *err)
{
	struct pack p = {.to = NULL};

	webhook_pack(&p, o);
	unsigned char *all = !p.failed ? malloc(p.n) : NULL;
	if (all == NULL) {
		err_no_memory(err);
		return -1;
	}
	p = (struct pack){.to = all, .room = p.n};
	webhook_pack(&p, o);
	int fd = hook_input(all, p.n);
	if (fd < 0)
		err_set(err, "%s", strerror(errno));
	secret_wipe(all, p.n);
	return fd;
}

/* What a process is to read; -1 with err set. */
static int
order_of(const struct webhook_post *p, struct err *err)
{
	struct webhooks *w = p->all;
	struct buf ca, authorization;
	int fd = -1;

	buf_init(&ca, 0);
	buf_init(&authorization, 0);
	if ((p->ca == NULL || webhooks_read_ca(w->files, p->ca, &ca, err)) &&
	    (p->authorization == NULL || webhooks_read_authorization(w->files, p->authorization, &authorization, err))) {
		const struct webhook_order o = {.url = p->url, .ca = buf_view(&ca), .body = p->body,
		    .authorization = p->authorization != NULL ? buf_view(&authorization).p : ""};
		fd = seal(&o, err);
	}
	buf_clear(&ca);
	webhooks_wipe(&authorization);
	return fd;
}

static void look(struct webhooks *w);

static void
give_up(struct webhook_post *p, const char *why)
{
	notices_fail(p->all->told, "%s: \"%s\" of bundle \"%s\" is not delivered, after %u tr%s: %s", p->place, p->word, p->bundle,
	    p->failures,
	    p->failures == 1 ? "y" : "ies", why);
	drop(p);
}

/* Said of the first, and then not until it has worked again: many bundles may wait for one server. */
static void
note_failing(struct webhooks *w, const struct webhook_post *p, const char *why)
{
	w->told->tries_failed++;
	if (strcmp(w->failing, p->place) == 0)
		return;
	memcpy(w->failing, p->place, sizeof(w->failing));
	log_warning("%s: \"%s\" of bundle \"%s\" is not delivered yet, and is tried again: %s", p->place, p->word, p->bundle, why);
}

static void
failed(struct webhook_post *p, bool for_good, const char *why)
{
	struct webhooks *w = p->all;

	p->failures++;
	if (for_good || p->failures > COUNTOF(pauses_ms)) {
		give_up(p, why);
		return;
	}
	note_failing(w, p, why);
	p->due_ms = clock_mono_ms() + pauses_ms[p->failures - 1];
}

static void
on_ended(void *arg, const struct hook_end *how)
{
	struct webhook_post *p = arg;
	struct webhooks *w = p->all;
	bool ended = !how->killed && how->signal == 0;

	p->hook = NULL;
	w->n_trying--;
	if (ended && how->status == WEBHOOK_DELIVERED) {
		w->told->delivered++;
		if (strcmp(w->failing, p->place) == 0) {
			log_notice("%s: \"%s\" of bundle \"%s\" is delivered: it works again", p->place, p->word, p->bundle);
			w->failing[0] = '\0';
		}
		drop(p);
	} else {
		failed(p, ended && how->status == WEBHOOK_REFUSED, ended && how->output[0] != '\0' ? how->output : "its process died");
	}
	look(w);
}

static void
try(struct webhook_post *p)
{
	static char name[] = "bascule", word[] = "webhook", path[] = "PATH=/usr/bin:/bin";
	char *const arguments[] = {name, word, NULL}, *const environment[] = {path, NULL};
	struct err err = {""};
	int in = order_of(p, &err);

	if (in >= 0) {
		const struct hook_order order = {.path = "/proc/self/exe", .arguments = arguments, .environment = environment, .in = in,
		    .listens = true, .ended = on_ended, .arg = p};
		p->hook = hook_start(p->all->loop, &order, &err);
		close(in);
	}
	if (p->hook != NULL)
		p->all->n_trying++;
	else
		failed(p, false, err.text);
}

/* --- the queue ------------------------------------------------------------------------------------------------ */

/* Is there one before it that is to arrive first? */
static bool
is_behind(const struct webhook_post *p)
{
	for (const struct webhook_post *q = TAILQ_FIRST(&p->all->queue); q != p; q = TAILQ_NEXT(q, link))
		if (strcmp(q->bundle, p->bundle) == 0 && strcmp(q->url, p->url) == 0)
			return true;
	return false;
}

/* Come back for the rest when it is due; where there is no room for a try now, an end of one comes back. */
static void
set_due(struct webhooks *w, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (const struct webhook_post *p = TAILQ_FIRST(&w->queue); p != NULL; p = TAILQ_NEXT(p, link))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): drop() has taken what it freed out of the queue */
		if (p->hook == NULL && p->due_ms > now)
			next = MIN_OF(next, p->due_ms);
	net_timer_cancel(&w->due);
	if (next != UINT64_MAX)
		net_timer_set(&w->due, next - now);
}

/* Try what is due. */
static void
look(struct webhooks *w)
{
	uint64_t now = clock_mono_ms();
	struct webhook_post *after;

	for (struct webhook_post *p = TAILQ_FIRST(&w->queue); p != NULL && w->n_trying < TRYING_MAX; p = after) {
		after = TAILQ_NEXT(p, link);
		if (p->hook == NULL && p->due_ms <= now && !is_behind(p))
			try(p);
	}
	set_due(w, now);
}

static void
on_due(struct net_timer *t)
{
	look(CONTAINER_OF(t, struct webhooks, due));
}

void
webhooks_init(struct webhooks *w, struct net_loop *loop, struct files *files, struct admin_notices *told)
{
	*w = (struct webhooks){.loop = loop, .files = files, .told = told};
	TAILQ_INIT(&w->queue);
	net_timer_init(&w->due, loop, on_due);
}

void
webhooks_post(struct webhooks *w, const struct conf_notify *to, const struct notify_event *e)
{
	bool room = w->told->waiting < WAITING_MAX && w->bytes + e->json.n <= BYTES_MAX;
	struct webhook_post *p = room ? post_new(w, to, e) : NULL;

	if (p == NULL) {
		notices_fail(w->told, "\"%s\" of bundle \"%s\" is not posted: %s", e->word, e->bundle,
		    room ? "out of memory" : "too many wait for their server already");
		return;
	}
	TAILQ_INSERT_TAIL(&w->queue, p, link);
	w->told->waiting++;
	w->bytes += p->body.n;
	net_timer_set(&w->due, 0); /* not from within whatever has happened */
}

void
webhooks_end(struct webhooks *w)
{
	struct webhook_post *after;
	unsigned lost = 0;

	net_timer_cancel(&w->due);
	for (struct webhook_post *p = TAILQ_FIRST(&w->queue); p != NULL; p = after) {
		after = TAILQ_NEXT(p, link);
		lost += p->hook == NULL;
		if (p->hook != NULL)
			hook_let_go(p->hook);
		drop(p);
	}
	if (lost > 0)
		log_warning("%u notification%s not posted yet %s lost, because the worker ends", lost,
		    lost == 1 ? "" : "s", lost == 1 ? "is" : "are");
}
