#include "proxy/client_told.h"

#include <stdlib.h>

#include "proxy/client.h"

/* --- reading ------------------------------------------------------------------------------------------------ */

/* Take the first `n` bytes at `bytes`, which begin with those that are kept already, off the socket. */
static bool
keep(struct client *c, const char *bytes, size_t n)
{
	size_t before = c->told != NULL ? c->told->n : 0;
	struct client_told *told = realloc(c->told, sizeof(*told) + n);

	if (told == NULL) {
		client_close(c, CLOSE_NO_MEMORY);
		return false;
	}
	c->told = told;
	told->n = n;
	memcpy(told->bytes, bytes, n);
	/* They have been seen there: all of them come. */
	if (n == before || net_stream_read(&c->stream, told->bytes + before, n - before) == (ssize_t)(n - before))
		return true;
	client_close(c, CLOSE_CLIENT_BROKE);
	return false;
}

/* A whole header: from now on the client is who it says. */
static void
believe(struct client *c)
{
	struct proxy_header *h = &c->told->header;
	const char *why;
	size_t used;

	(void)proxy_header_read(sv_of(c->told->bytes, c->told->n), h, &used, &why); /* once more, where it stays */
	if (h->from.ip.size != 0)
		client_set_address(c, &h->from.ip, h->from.port);
	if (h->from.ip.size == 0 && !h->tls.used && h->authority.n == 0 && h->unique_id.n == 0) {
		free(c->told);
		c->told = NULL;
	}
	client_begin(c);
}

/* The end, or an error, in place of more of it. Somebody who only looks whether the port is open says nothing. */
static void
ended(struct client *c)
{
	if (c->told == NULL)
		client_close(c, CLOSE_CLIENT);
	else
		client_close_with(c, CLOSE_PROXY_HEADER, "it is cut off");
}

/*
 * No byte behind the header may be taken: it is the transform's, or the codec's. So what has come is looked at, in the
 * thread's scratch buffer, and only what belongs to the header is read. What is incomplete is read at once all the
 * same: left there, it would wake us for nothing until the rest has come.
 */
void
client_told_read(struct client *c)
{
	char *all = net_loop_scratch(c->thread->loop);
	size_t kept = c->told != NULL ? c->told->n : 0, used = 0;
	struct proxy_header h;
	const char *why = NULL;

	if (kept > 0)
		memcpy(all, c->told->bytes, kept);
	ssize_t n = net_stream_peek(&c->stream, all + kept, PROXY_HEADER_MAX - kept);
	if (n == NET_AGAIN)
		return;
	if (n <= 0) {
		ended(c);
		return;
	}
	switch (proxy_header_read(sv_of(all, kept + (size_t)n), &h, &used, &why)) {
	case PROXY_MORE:
		(void)keep(c, all, kept + (size_t)n);
		break;
	case PROXY_BAD:
		client_close_with(c, CLOSE_PROXY_HEADER, why);
		break;
	case PROXY_DONE:
		if (keep(c, all, used))
			believe(c);
		break;
	}
}

/* --- telling ------------------------------------------------------------------------------------------------ */

bool
client_tls_words(const struct client *c, struct sv *version, struct sv *server_name)
{
	struct tls_session_facts facts;

	*version = *server_name = SV("");
	if (c->is_tls && c->stream.open) {
		tls_stream_facts(&c->stream, &facts);
		*version = sv_cstr(facts.version);
		*server_name = tls_stream_server_name(&c->stream);
		return true;
	}
	if (c->is_tls || c->told == NULL || !c->told->header.tls.used)
		return false;
	*version = c->told->header.tls.version;
	*server_name = c->told->header.authority;
	return true;
}

static void
find_ends(const struct client *c, struct proxy_header *h)
{
	struct net_address local = {.length = sizeof(local.u)};

	h->from = (struct proxy_end){c->from, c->from_port};
	if (c->told != NULL && c->told->header.to.ip.size != 0)
		h->to = c->told->header.to;
	else if (getsockname(c->stream.fd, &local.u.sa, &local.length) == 0)
		h->to = (struct proxy_end){net_ip_of(&local), net_address_port(&local)};
}

static void
find_tls(struct client *c, struct proxy_header *h)
{
	struct tls_session_facts facts;
	const struct tls_peer *peer = NULL;

	tls_stream_facts(&c->stream, &facts);
	h->tls = (struct proxy_tls){.used = true, .version = sv_cstr(facts.version), .cipher = sv_cstr(facts.cipher)};
	h->authority = tls_stream_server_name(&c->stream);
	if (!client_peer(c, &peer) || peer == NULL)
		return; /* out of memory: told of none, for which nobody lets it in */
	h->tls.certificate = h->tls.verified = true;
	h->tls.certificate_now = !facts.resumed;
	h->tls.common_name = sv_cstr(peer->common_name);
}

struct proxy_header
client_tell(struct client *c)
{
	struct proxy_header h = {.authority = SV_NONE};

	if (c->told != NULL) {
		h.tls = c->told->header.tls;
		h.authority = c->told->header.authority;
		h.unique_id = c->told->header.unique_id;
	}
	find_ends(c, &h);
	if (c->is_tls)
		find_tls(c, &h);
	return h;
}
