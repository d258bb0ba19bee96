#include "tls/client.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/log.h"
#include "certs/private.h"
#include "tls/client_trust.h"
#include "tls/context.h"
#include "tls/hello.h"
#include "tls/private.h"
#include "tls/stream.h"

enum { SESSION_ID = 32 }; /* SHA-256 */

struct tls_client {
	int refs; /* atomic: the owner's and one for each connection */
	unsigned char files[32];              /* the background thread's: client_trust_stamp() when it was read */
	struct client_trust trust;
	char *name;                           /* NULL: the server's host */
	struct tls_bundle *bundle;            /* referenced; NULL: no client certificate */
	SSL_CTX *contexts[TLS_THREADS_MAX];   /* each written and read by its thread only */
};

struct client_stream {
	struct tls_stream tls; /* first */
	struct tls_client *client;
	struct tls_client_session *session; /* the caller's; may be NULL */
};

/* --- verification ------------------------------------------------------------------------------------------- */

/* X509_verify_cert asks at each fault. */
static int
on_fault(int ok, X509_STORE_CTX *x)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());

	if (!ok)
		tls_stream_note_refused(tls_stream_of(ssl)->state, x, "server");
	return ok;
}

/* In place of OpenSSL's own verification: the chain, the pins, or both. */
static int
on_verify(X509_STORE_CTX *x, void *arg)
{
	const struct tls_client *c = arg;

	if (c->trust.chain && X509_verify_cert(x) != 1)
		return 0;
	if (c->trust.n_pins > 0 && !client_trust_pinned(&c->trust, X509_STORE_CTX_get0_cert(x))) {
		const SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
		struct tls_stream *t = tls_stream_of(ssl)->state;
		X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
		tls_stream_note(t, "server certificate refused: its key is none of those pinned");
		return 0;
	}
	X509_STORE_CTX_set_error(x, X509_V_OK);
	return 1;
}

/* --- sessions ----------------------------------------------------------------------------------------------- */

void
tls_client_session_free(struct tls_client_session *s)
{
	SSL_SESSION_free(s->ssl_session);
	s->ssl_session = NULL;
}

/* A ticket has come. 1: the reference is ours now. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct client_stream *t = tls_stream_of(ssl)->state;

	if (t->session == NULL)
		return 0;
	tls_client_session_free(t->session);
	t->session->ssl_session = session;
	return 1;
}

/* Under which trust, and for which name, a server is verified. */
static bool
identify(const struct tls_client *c, const struct tls_thread *thread, const char *name, unsigned char out[SESSION_ID])
{
	unsigned char all[sizeof(c->trust.identity) + HELLO_NAME_MAX + 1];
	struct sv n = sv_cstr(name);

	memcpy(all, c->trust.identity, sizeof(c->trust.identity));
	return sv_copy(n, (char *)all + sizeof(c->trust.identity), sizeof(all) - sizeof(c->trust.identity)) &&
	    EVP_Digest(all, sizeof(c->trust.identity) + n.n, out, NULL, thread->sha256, NULL) == 1;
}

/* A resumption verifies nothing anew: the session must be of the same identity, and its certificate still valid. */
static bool
still_good(const struct tls_client *c, const SSL_SESSION *session, const unsigned char identity[SESSION_ID])
{
	unsigned n = 0;
	const unsigned char *was = SSL_SESSION_get0_id_context(session, &n);
	X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)session);

	if (n != SESSION_ID || memcmp(was, identity, SESSION_ID) != 0)
		return false;
	return !c->trust.chain || (peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) == 1);
}

/* Sessions of this connection carry the identity as their id context; one that is at hand is resumed if it may be. */
static bool
resume(SSL *ssl, const struct tls_client *c, const unsigned char identity[SESSION_ID],
    struct tls_client_session *session)
{
	if (SSL_set_session_id_context(ssl, identity, SESSION_ID) != 1)
		return false;
	if (session != NULL && session->ssl_session != NULL &&
	    (!still_good(c, session->ssl_session, identity) || SSL_set_session(ssl, session->ssl_session) != 1))
		tls_client_session_free(session);
	return true;
}

/* --- contexts ----------------------------------------------------------------------------------------------- */

static bool
show_certificate(SSL_CTX *context, struct tls_bundle *bundle, struct tls_thread *thread)
{
	const struct tls_materials *m = tls_bundle_materials(bundle, thread);

	return m != NULL && SSL_CTX_use_cert_and_key(context, m->leaf, m->key, m->chain, 1) == 1;
}

static SSL_CTX *
new_context(struct tls_client *c, struct tls_thread *thread, struct err *err)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	bool verify = c->trust.chain || c->trust.n_pins > 0;
	SSL_CTX *context = tls_context_new(thread, TLS_client_method(), err);

	if (context == NULL)
		return NULL;
	/* Sessions go to the caller, who knows which server each belongs to. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_session);
	SSL_CTX_set_cert_verify_callback(context, on_verify, c);
	SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, on_fault);
	if (SSL_CTX_set_alpn_protos(context, alpn, sizeof(alpn) - 1) == 0 &&
	    client_trust_apply(&c->trust, context, thread) &&
	    (c->bundle == NULL || show_certificate(context, c->bundle, thread)))
		return context;
	char why[256];
	tls_error_text(why, sizeof(why));
	err_set(err, "can not make the TLS context of an upstream: %s", why);
	SSL_CTX_free(context);
	return NULL;
}

static SSL_CTX *
context_of(struct tls_client *c, struct tls_thread *thread)
{
	SSL_CTX **slot = &c->contexts[thread->slot];
	struct err err;

	if (UNLIKELY(*slot == NULL) && (*slot = new_context(c, thread, &err)) == NULL)
		log_error("%s", err.text);
	return *slot;
}

/* --- the transform ------------------------------------------------------------------------------------------ */

static void
client_free(struct net_stream *s)
{
	struct client_stream *t = s->state;

	tls_stream_clear(&t->tls);
	tls_client_unref(t->client);
	free(t);
	s->state = NULL;
}

static const struct net_transform client_transform = {
	.handshake = tls_stream_handshake,
	.read = tls_stream_read,
	.write = tls_stream_write,
	.pending = tls_stream_pending,
	.free = client_free,
};

/* What the certificate has to be for; and SNI, which is for host names only (RFC 6066, 3). */
static bool
set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char host[HELLO_NAME_MAX + 1];

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	ERR_clear_error();
	if (hello_host_name(sv_cstr(name), host) != HELLO_NAME) /* a socket's path, say: no certificate is for that */
		return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
	return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool
offer_h2(SSL *ssl)
{
	static const unsigned char both[] = "\x02h2\x08http/1.1";

	return SSL_set_alpn_protos(ssl, both, sizeof(both) - 1) == 0;
}

bool
tls_client_is_h2(const struct net_stream *s)
{
	const struct client_stream *t = s->state;
	const unsigned char *name = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(t->tls.ssl, &name, &n);
	return sv_eq(sv_of((const char *)name, n), SV("h2"));
}

bool
tls_client_connect(struct tls_client *c, struct tls_thread *thread, struct net_stream *s, const char *host,
    bool h2, struct tls_client_session *session)
{
	SSL_CTX *context = context_of(c, thread);
	struct client_stream *t = context != NULL ? calloc(1, sizeof(*t)) : NULL;
	const char *name = c->name != NULL ? c->name : host;
	unsigned char identity[SESSION_ID];

	if (t == NULL || !tls_stream_init(&t->tls, context, thread)) {
		free(t);
		return false;
	}
	t->client = tls_client_ref(c);
	t->session = session;
	net_stream_set_transform(s, &client_transform, t);
	SSL_set_connect_state(t->tls.ssl);
	if (!identify(c, thread, name, identity) || !set_name(t->tls.ssl, name) ||
	    (h2 && !offer_h2(t->tls.ssl)) || !resume(t->tls.ssl, c, identity, session)) {
		client_free(s);
		net_stream_set_transform(s, NULL, NULL);
		return false;
	}
	s->dry = true; /* no server speaks before it has heard our hello: do not ask */
	return true;
}

/* --- life --------------------------------------------------------------------------------------------------- */

struct tls_client *
tls_client_load(const struct conf_upstream_tls *conf, struct tls_bundle *bundle, struct tls_client *previous,
    struct files *files, struct err *err)
{
	unsigned char now[32];

	/* Stamps before content: what is written in between makes them stale, and is read next time. */
	if (!client_trust_stamp(conf, files, now, err))
		return NULL;
	if (previous != NULL && previous->bundle == bundle && memcmp(previous->files, now, sizeof(now)) == 0)
		return tls_client_ref(previous);
	struct tls_client *c = calloc(1, sizeof(*c));
	if (c == NULL || (conf->name != NULL && (c->name = strdup(conf->name)) == NULL)) {
		free(c);
		err_no_memory(err);
		return NULL;
	}
	c->refs = 1;
	c->bundle = bundle != NULL ? tls_bundle_ref(bundle) : NULL;
	if (!client_trust_load(&c->trust, conf, files, err)) {
		tls_client_unref(c);
		return NULL;
	}
	if (previous != NULL && previous->bundle == bundle && tls_client_trusts_same(previous, c)) {
		tls_client_unref(c);
		c = tls_client_ref(previous);
	}
	memcpy(c->files, now, sizeof(now));
	return c;
}

bool
tls_client_trusts_same(const struct tls_client *a, const struct tls_client *b)
{
	return memcmp(a->trust.identity, b->trust.identity, sizeof(a->trust.identity)) == 0;
}

struct tls_client *
tls_client_ref(struct tls_client *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void
tls_client_unref(struct tls_client *c)
{
	if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (unsigned i = 0; i < TLS_THREADS_MAX; i++)
		SSL_CTX_free(c->contexts[i]);
	client_trust_free(&c->trust);
	tls_bundle_unref(c->bundle);
	free(c->name);
	free(c);
}
