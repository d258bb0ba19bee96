/* client_certificate.c: which client certificates come to a site, and which are refused. */
#include <stdlib.h>

#include "proxy/client.h"
#include "rotation/client_cas.h"

/* NULL: the handshake's site asks for no certificate. */
static struct client_cas *
client_cas_of(const struct client *c)
{
	if (LIKELY(c->policy == NULL || c->policy->mode == CONF_CLIENT_NONE) || c->view == NULL)
		return NULL;
	const struct snap_site *site = snapshot_site(c->view->snapshot, tls_stream_server_name(&c->stream));
	return site != NULL ? site->client_cas : NULL;
}

static struct client_sighting
sighting(const struct client *c, const struct tls_peer *p)
{
	return (struct client_sighting){.fingerprint = p->sha256, .subject = p->subject, .issuer = p->issuer, .serial = p->serial,
	    .not_after = p->not_after, .from = c->from};
}

void
client_certificate_opened(struct client *c, bool resumed)
{
	struct client_cas *cas = client_cas_of(c);
	const struct tls_peer *peer = NULL;

	if (cas == NULL || !client_peer(c, &peer) || peer == NULL)
		return;
	const struct client_sighting who = sighting(c, peer);
	c->holder = client_cas_came(cas, tls_stream_pin(&c->stream, c->thread->tls), &who, resumed, moment_now());
}

void
client_certificate_refused(struct client *c)
{
	struct client_cas *cas = client_cas_of(c);
	bool revoked = false;
	struct tls_peer *peer = cas != NULL ? tls_stream_refused(&c->stream, c->thread->tls, &revoked) : NULL;

	if (peer == NULL)
		return;
	const struct client_sighting who = sighting(c, peer);
	client_cas_refused(cas, &who, revoked, moment_now());
	free(peer);
}

void
client_certificate_left(struct client *c)
{
	if (c->holder == NULL)
		return;
	client_cas_left(c->holder, moment_now());
	c->holder = NULL;
}
