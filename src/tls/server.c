#include "tls/server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "certs/private.h"
#include "tls/context.h"
#include "tls/hello.h"
#include "tls/private.h"
#include "tls/resume.h"
#include "tls/stream.h"

struct tls_server {
	int refs; /* atomic: the owner's and one for each connection */
	SSL_CTX *context;
	struct tls_thread *thread; /* borrowed */
	tls_choose_fn choose;
	struct tls_resume resume;
	struct conf_tls conf; /* a copy, strings owned */
};

struct server_stream {
	struct tls_stream tls; /* first */
	struct tls_server *server;
	char *name; /* NULL: none */
	bool chosen;
	bool h2;        /* has been agreed on */
	bool certified; /* certificates have been set: it is a full handshake, and ours is shown next */
	int8_t shown;   /* of the choice's bundles; -1: none */
	bool revoked;   /* why `refused` was */
	X509 *refused;  /* the client's certificate, when it was; referenced; NULL: it was not */
	struct tls_choice choice; /* bundles only until the handshake ends */
};

/* --- the handshake ------------------------------------------------------------------------------------------ */

static void
note_refused(struct server_stream *t, X509_STORE_CTX *x)
{
	X509 *cert = X509_STORE_CTX_get0_cert(x);

	tls_stream_note_refused(&t->tls, x, "client");
	if (t->refused != NULL || cert == NULL || X509_up_ref(cert) != 1)
		return;
	t->refused = cert;
	t->revoked = X509_STORE_CTX_get_error(x) == X509_V_ERR_CERT_REVOKED && X509_STORE_CTX_get_error_depth(x) == 0;
}

static int
on_verify(int ok, X509_STORE_CTX *x)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());

	if (ok && X509_STORE_CTX_get_error_depth(x) == 0 && !tls_peer_is_nameable(X509_STORE_CTX_get_current_cert(x))) {
		tls_stream_note(tls_stream_of(ssl)->state, "client certificate refused: its subject or issuer has more than %d bytes",
		    TLS_PEER_NAME_MAX);
		X509_STORE_CTX_set_error(x, X509_V_ERR_UNSPECIFIED);
		return 0;
	}
	if (!ok)
		note_refused(tls_stream_of(ssl)->state, x);
	return ok;
}

static bool
apply_choice(SSL *ssl, const struct tls_choice *choice)
{
	const struct tls_policy *policy = choice->policy;
	int verify = policy->mode == CONF_CLIENT_NONE ? SSL_VERIFY_NONE :
	    policy->mode == CONF_CLIENT_OPTIONAL      ? SSL_VERIFY_PEER :
	                                                SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

	SSL_set_verify(ssl, verify, on_verify);
	return SSL_set_session_id_context(ssl, policy->identity, TLS_POLICY_ID) == 1 &&
	    (choice->min_version == 0 || SSL_set_min_proto_version(ssl, choice->min_version) == 1);
}

static int
refuse_hello(struct server_stream *t, int *alert, int with, const char *why)
{
	*alert = with;
	tls_stream_note(&t->tls, "%s", why);
	return SSL_CLIENT_HELLO_ERROR;
}

/* Called for each ClientHello ahead of all decisions: there is a second one after a HelloRetryRequest. */
static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *server = arg;
	struct net_stream *s = tls_stream_of(ssl);
	struct server_stream *t = s->state;
	char name[HELLO_NAME_MAX + 1] = "";
	const unsigned char *ext;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &n) == 1 &&
	    hello_server_name(ext, n, name) == HELLO_MALFORMED)
		return refuse_hello(t, alert, SSL_AD_DECODE_ERROR, "the server name in the ClientHello is malformed");
	if (t->chosen) /* RFC 8446, 4.1.2: only certain things may differ from the first */
		return sv_eq(sv_cstr(name), sv_cstr(t->name)) ?
		    SSL_CLIENT_HELLO_SUCCESS :
		    refuse_hello(t, alert, SSL_AD_ILLEGAL_PARAMETER, "the second ClientHello names another server");
	if (name[0] != '\0' && (t->name = strdup(name)) == NULL)
		return refuse_hello(t, alert, SSL_AD_INTERNAL_ERROR, "out of memory");
	struct tls_hello hello = {.name = sv_cstr(t->name), .ssl = ssl};
	if (!server->choose(s, &hello, &t->choice)) {
		t->tls.unrecognized = true;
		tls_stream_note(&t->tls, "no site, or no certificate, for \"%s\"", name);
		return refuse_hello(t, alert, SSL_AD_UNRECOGNIZED_NAME, "");
	}
	t->chosen = true;
	return apply_choice(ssl, &t->choice) ? SSL_CLIENT_HELLO_SUCCESS :
	                                       refuse_hello(t, alert, SSL_AD_INTERNAL_ERROR, "out of memory");
}

/* Tells the client that its name was understood (RFC 6066, 3), and so lets it into the session. */
static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct server_stream *t = tls_stream_of(ssl)->state;

	(void)alert, (void)arg;
	return t->name != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static bool
set_client_cas(SSL *ssl, struct tls_policy *policy, struct tls_thread *thread)
{
	X509_STORE *store = tls_policy_store(policy, thread);
	STACK_OF(X509_NAME) *names = tls_policy_names(policy, thread);

	if (store == NULL || names == NULL || SSL_set1_verify_cert_store(ssl, store) != 1)
		return false;
	names = SSL_dup_CA_list(names); /* the SSL's own: these have no reference count */
	if (names == NULL)
		return false;
	SSL_set_client_CA_list(ssl, names);
	return true;
}

/* Called in full handshakes only: certificates, and who may sign the client's. */
static int
on_certificate(SSL *ssl, void *arg)
{
	struct tls_server *server = arg;
	struct server_stream *t = tls_stream_of(ssl)->state;
	const struct tls_choice *choice = &t->choice;
	unsigned usable = 0;

	for (unsigned i = 0; i < choice->n_bundles; i++) {
		const struct tls_materials *m = tls_bundle_materials(choice->bundles[i], server->thread);
		if (m != NULL && SSL_use_cert_and_key(ssl, m->leaf, m->key, m->chain, 1) == 1)
			usable++;
	}
	if (usable == 0) {
		tls_stream_note(&t->tls, "no bundle of the site can be used");
		return 0;
	}
	t->certified = true;
	ERR_clear_error(); /* of one that can not be used beside one that can */
	if (choice->policy->mode == CONF_CLIENT_NONE || set_client_cas(ssl, choice->policy, server->thread))
		return 1;
	tls_stream_note(&t->tls, "the site's client CAs can not be used: out of memory");
	return 0;
}

/* Is it among those that the client offers? Then it is chosen. */
static bool
select_protocol(struct sv wanted, const unsigned char *in, unsigned in_n, const unsigned char **out, unsigned char *out_n)
{
	for (unsigned at = 0; at < in_n; at += 1 + in[at]) /* OpenSSL has checked the lengths */
		if (sv_eq(sv_of((const char *)in + at + 1, in[at]), wanted)) {
			*out = in + at + 1;
			*out_n = in[at];
			return true;
		}
	return false;
}

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned in_n, void *arg)
{
	struct server_stream *t = tls_stream_of(ssl)->state;

	(void)arg;
	t->h2 = t->choice.h2 && select_protocol(SV("h2"), in, in_n, out, out_n);
	if (t->h2 || select_protocol(SV("http/1.1"), in, in_n, out, out_n))
		return SSL_TLSEXT_ERR_OK;
	tls_stream_note(&t->tls, "the client speaks no protocol that we do (ALPN)");
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- the transform ------------------------------------------------------------------------------------------ */

/* Of several bundles OpenSSL takes the one that the client's signature algorithms allow. */
static void
note_shown(struct server_stream *t)
{
	const X509 *leaf = t->certified ? SSL_get_certificate(t->tls.ssl) : NULL;

	for (unsigned i = 0; leaf != NULL && i < t->choice.n_bundles; i++) {
		const struct tls_materials *m = tls_bundle_materials(t->choice.bundles[i], t->server->thread);
		if (m != NULL && m->leaf == leaf)
			t->shown = (int8_t)i;
	}
}

int
tls_stream_shown(const struct net_stream *s)
{
	const struct server_stream *t = s->transform != NULL ? s->state : NULL;

	return t != NULL ? t->shown : -1;
}

const struct tls_pin *
tls_stream_pin(const struct net_stream *s, struct tls_thread *thread)
{
	const struct server_stream *t = s->state;
	const STACK_OF(X509) *chain = SSL_get0_verified_chain(t->tls.ssl);

	if (SSL_session_reused(t->tls.ssl) == 1)
		return tls_peer_issuer(SSL_get0_peer_certificate(t->tls.ssl), t->choice.policy);
	return sk_X509_num(chain) > 0 ? tls_policy_pin(t->choice.policy, sk_X509_value(chain, sk_X509_num(chain) - 1), thread) : NULL;
}

struct tls_peer *
tls_stream_refused(const struct net_stream *s, struct tls_thread *thread, bool *revoked)
{
	const struct server_stream *t = s->state;

	*revoked = t->revoked;
	return t->refused != NULL && tls_peer_is_nameable(t->refused) ? tls_peer_of(t->refused, thread) : NULL;
}

/* What only the handshake needed is given back: it would be a good part of an idle connection's memory. */
static void
settle(struct server_stream *t)
{
	SSL *ssl = t->tls.ssl;
	SSL_SESSION *session = SSL_get_session(ssl); /* no cache has it; its tickets have been sent */

	t->choice.n_bundles = 0;
	SSL_certs_clear(ssl);
	(void)SSL_SESSION_set1_ticket_appdata(session, NULL, 0);
	(void)SSL_SESSION_set1_alpn_selected(session, NULL, 0);
	(void)SSL_SESSION_set1_hostname(session, NULL);
	if (t->choice.policy->mode != CONF_CLIENT_NONE) {
		SSL_set_client_CA_list(ssl, NULL);
		(void)SSL_set1_verify_cert_store(ssl, NULL);
	}
}

static int
server_handshake(struct net_stream *s)
{
	int r = tls_stream_handshake(s);

	if (r != NET_AGAIN)
		note_shown(s->state);
	if (r == 1)
		settle(s->state);
	return r;
}

static void
server_free(struct net_stream *s)
{
	struct server_stream *t = s->state;

	tls_stream_clear(&t->tls);
	tls_server_unref(t->server);
	X509_free(t->refused);
	free(t->name);
	free(t);
	s->state = NULL;
}

static const struct net_transform server_transform = {
	.handshake = server_handshake,
	.read = tls_stream_read,
	.write = tls_stream_write,
	.pending = tls_stream_pending,
	.free = server_free,
};

bool
tls_server_accept(struct tls_server *server, struct net_stream *s)
{
	struct server_stream *t = calloc(1, sizeof(*t));

	if (t == NULL || !tls_stream_init(&t->tls, server->context, server->thread)) {
		free(t);
		return false;
	}
	SSL_set_accept_state(t->tls.ssl);
	t->shown = -1;
	t->server = server;
	__atomic_fetch_add(&server->refs, 1, __ATOMIC_RELAXED);
	net_stream_set_transform(s, &server_transform, t);
	return true;
}

bool
tls_stream_is_h2(const struct net_stream *s)
{
	const struct server_stream *t = s->state;

	return t->h2;
}

struct sv
tls_stream_server_name(const struct net_stream *s)
{
	const struct server_stream *t = s->state;

	return t != NULL ? sv_cstr(t->name) : SV_NONE;
}

/* --- the context -------------------------------------------------------------------------------------------- */

static bool
copy_text(const char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

static bool
copy_conf(struct conf_tls *to, const struct conf_tls *from)
{
	to->ticket_lifetime = from->ticket_lifetime;
	return copy_text(&to->min_version, from->min_version) && copy_text(&to->ciphers, from->ciphers) &&
	    copy_text(&to->ciphersuites, from->ciphersuites) && copy_text(&to->groups, from->groups);
}

static bool
same_text(const char *a, const char *b)
{
	return sv_eq(sv_cstr(a), sv_cstr(b));
}

bool
tls_server_fits(const struct tls_server *s, const struct conf_tls *c)
{
	const struct conf_tls *own = &s->conf;

	return own->ticket_lifetime == c->ticket_lifetime && same_text(own->min_version, c->min_version) &&
	    same_text(own->ciphers, c->ciphers) && same_text(own->ciphersuites, c->ciphersuites) &&
	    same_text(own->groups, c->groups);
}

static void
set_callbacks(struct tls_server *s)
{
	SSL_CTX_set_client_hello_cb(s->context, on_hello, s);
	SSL_CTX_set_tlsext_servername_callback(s->context, on_server_name);
	SSL_CTX_set_cert_cb(s->context, on_certificate, s);
	SSL_CTX_set_alpn_select_cb(s->context, on_alpn, NULL);
}

struct tls_server *
tls_server_new(struct tls_thread *thread, const struct conf_tls *conf, const struct secret *secret,
    tls_choose_fn choose, struct err *err)
{
	struct tls_server *s = calloc(1, sizeof(*s));

	if (s == NULL || !copy_conf(&s->conf, conf)) {
		err_no_memory(err);
		goto failed;
	}
	s->refs = 1;
	s->thread = thread;
	s->choose = choose;
	s->context = tls_context_new(thread, TLS_server_method(), err);
	if (s->context == NULL || !tls_context_configure(s->context, conf, err))
		goto failed;
	SSL_CTX_set_max_cert_list(s->context, TLS_PEER_CERTIFICATES_MAX);
	if (!tls_resume_init(&s->resume, s->context, thread, secret, conf->ticket_lifetime / 1000)) {
		err_set(err, "can not derive the keys of session tickets: OpenSSL failed");
		goto failed;
	}
	set_callbacks(s);
	return s;
failed:
	if (s != NULL)
		s->refs = 1;
	tls_server_unref(s);
	return NULL;
}

struct tls_server *
tls_server_ref(struct tls_server *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
tls_server_unref(struct tls_server *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	SSL_CTX_free(s->context);
	tls_resume_wipe(&s->resume);
	free((char *)s->conf.min_version);
	free((char *)s->conf.ciphers);
	free((char *)s->conf.ciphersuites);
	free((char *)s->conf.groups);
	free(s);
}
