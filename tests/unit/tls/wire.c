#include "wire.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "certs/store.h"

enum { OUT_MAX = 4 * 1024 * 1024 };

static struct wire *
wire_of(struct net_stream *s)
{
	return CONTAINER_OF(s, struct wire, stream);
}

/* --- our side ----------------------------------------------------------------------------------------------- */

static void
over(struct wire *w)
{
	tls_stream_failure(&w->stream, &w->seen.failure);
	if (!w->seen.opened && w->seen.chosen > 0) /* ours is the server */
		w->seen.shown = tls_stream_shown(&w->stream);
	if (w->seen.opened)
		tls_stream_facts(&w->stream, &w->seen.facts);
	net_stream_close(&w->stream, false);
	net_loop_stop(w->loop);
}

static void
on_open(struct net_stream *s)
{
	struct wire *w = wire_of(s);

	w->seen.opened = true;
	w->seen.shown = w->seen.chosen > 0 ? tls_stream_shown(s) : -1;
	w->seen.peer = tls_stream_peer(s, w->thread, &w->seen.has_peer);
	if (w->greeting > 0) {
		char *bytes = malloc(w->greeting);
		cr_assert_not_null(bytes);
		memset(bytes, 'g', w->greeting);
		cr_assert(net_stream_write(s, &(struct iovec){.iov_base = bytes, .iov_len = w->greeting}, 1));
		free(bytes);
	}
}

static void
echo(struct wire *w, const char *p, size_t n)
{
	/* In three pieces, as a head and a body would come. */
	struct iovec v[3] = {
		{.iov_base = (void *)p, .iov_len = n / 3},
		{.iov_base = (void *)(p + n / 3), .iov_len = n / 3},
		{.iov_base = (void *)(p + n / 3 * 2), .iov_len = n - n / 3 * 2},
	};

	if (w->finish_after_first && w->seen.reads == 1)
		cr_assert(net_stream_write_last(&w->stream, v, 3));
	else
		cr_assert(net_stream_write(&w->stream, v, 3));
}

static void
on_readable(struct net_stream *s)
{
	struct wire *w = wire_of(s);
	char *scratch = net_loop_scratch(w->loop);
	ssize_t n;

	while ((n = net_stream_read(s, scratch, NET_SCRATCH_SIZE)) > 0) {
		if (w->seen.bytes == 0)
			memcpy(w->seen.first, scratch, MIN_OF((size_t)n, sizeof(w->seen.first) - 1));
		w->seen.bytes += (size_t)n;
		w->seen.reads++;
		echo(w, scratch, (size_t)n);
		if (net_stream_pending(s) > 0) {
			w->seen.pauses++;
			net_stream_pause(s);
			return;
		}
	}
	if (n == NET_AGAIN)
		return;
	w->seen.eof = n == NET_EOF;
	w->seen.broken = n == NET_ERROR;
	w->seen.error = n == NET_ERROR ? errno : 0;
	if (w->seen.eof && w->finish_on_eof)
		net_stream_finish(s);
	over(w);
}

static void
on_drained(struct net_stream *s)
{
	net_stream_resume(s);
}

static void
on_timeout(struct net_stream *s)
{
	(void)s;
	cr_assert_fail("no deadline was set");
}

static void
on_failed(struct net_stream *s, int error)
{
	struct wire *w = wire_of(s);

	w->seen.failed = true;
	w->seen.error = error;
	over(w);
}

static const struct net_stream_events events = {
	.on_open = on_open,
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_failed = on_failed,
};

static bool
choose(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out)
{
	struct wire *w = wire_of(s);
	struct sv name = hello->name;

	w->seen.chosen++;
	w->seen.fingerprint = tls_hello_fingerprint(hello);
	w->seen.has_authorities = tls_hello_has_authorities(hello);
	for (unsigned i = 0; i < WIRE_SITES; i++) {
		const struct wire_site *site = &w->sites[i];
		if (site->name == NULL || !sv_eq(sv_cstr(site->name), name))
			continue;
		(void)sv_copy(name, w->seen.name, sizeof(w->seen.name));
		*out = (struct tls_choice){.n_bundles = site->n_bundles, .policy = site->policy, .min_version = site->min_version};
		memcpy(out->bundles, site->bundles, sizeof(out->bundles));
		for (unsigned k = 0; k < site->n_bundles; k++)
			w->seen.trusts[k] = tls_hello_trusts(hello, site->bundles[k]);
		return true;
	}
	return false;
}

/* --- set-up ------------------------------------------------------------------------------------------------- */

void
wire_init(struct wire *w)
{
	struct err err;

	*w = (struct wire){.peer_fd = -1};
	(void)signal(SIGPIPE, SIG_IGN); /* the peer's; ours never raises it */
	w->dir = pki_dir();
	w->thread = tls_thread_new(3, &err);
	cr_assert_not_null(w->thread, "%s", err.text);
}

void
wire_done(struct wire *w)
{
	free(w->seen.peer);
	tls_thread_free(w->thread);
	pki_dir_remove(w->dir);
}

struct secret
wire_secret(char fill)
{
	struct secret s = {.n = SECRET_MIN};

	memset(s.bytes, fill, s.n);
	return s;
}

struct tls_server *
wire_server_with(struct wire *w, const struct conf_tls *conf, const struct secret *secret)
{
	struct err err = {""};
	struct tls_server *server = tls_server_new(w->thread, conf, secret, choose, &err);

	cr_assert_not_null(server, "%s", err.text);
	return server;
}

struct tls_server *
wire_server(struct wire *w, const struct secret *secret)
{
	return wire_server_with(w, &(struct conf_tls){.min_version = "1.2", .ticket_lifetime = 3600 * 1000}, secret);
}

struct tls_bundle *
wire_bundle(struct wire *w, const char *name, const struct test_cert *leaf, const struct test_cert *issuer)
{
	const struct test_cert *certs[] = {leaf, issuer};
	struct conf_bundle bundle = {.name = name, .certificate = pki_path(w->dir, "%s.pem", name), .key = pki_path(w->dir, "%s.key", name)};
	struct conf conf = {.bundles = &bundle, .n_bundles = 1};
	struct tls_outcomes outcomes;
	struct err err = {""};

	pki_write_certs(bundle.certificate, certs, issuer != NULL ? 2 : 1);
	pki_write_key(bundle.key, leaf->key);
	struct tls_store *store = tls_store_load(&(struct tls_load){.conf = &conf, .files = files_direct(), .thread = w->thread}, &outcomes, &err);
	cr_assert_not_null(store, "%s", err.text);
	cr_assert_eq(outcomes.failed, 0, "%s", outcomes.n > 0 ? outcomes.v[0].text : "");
	struct tls_bundle *b = tls_bundle_ref(tls_store_bundle(store, name));
	tls_outcomes_free(&outcomes);
	tls_store_unref(store);
	return b;
}

struct tls_policy *
wire_policy(struct wire *w, enum conf_client_certificate_mode mode, const struct test_cert *ca, X509_CRL *crl)
{
	static unsigned number;
	struct conf_pin pin = {.ca = pki_path(w->dir, "pin%u.pem", ++number)};
	const char *crl_path = pki_path(w->dir, "crl%u.pem", number);
	struct conf_client_certificate conf = {.mode = mode, .depth = 3};
	struct conf_problems problems;

	conf_problems_init(&problems);
	if (ca != NULL) {
		pki_write_certs(pin.ca, &ca, 1);
		conf.pins = &pin;
		conf.n_pins = 1;
	}
	if (crl != NULL) {
		pki_write_crls(crl_path, &crl, 1, false);
		conf.crls = (struct conf_strings){.v = &crl_path, .n = 1};
	}
	struct tls_policy *p = tls_policy_load(&conf, NULL, files_direct(), w->thread, &problems);
	cr_assert_not_null(p, "%.*s", SV_FMT(buf_view(&problems.text)));
	conf_problems_free(&problems);
	return p;
}

/* A loop once stopped stays so: one for each connection. */
static void
begin(struct wire *w)
{
	struct err err;

	free(w->seen.peer);
	memset(&w->seen, 0, sizeof(w->seen));
	w->loop = net_loop_new(&err);
	cr_assert_not_null(w->loop, "%s", err.text);
}

static void
run(struct wire *w, void *(*peer)(void *), void *arg)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, peer, arg), 0);
	net_loop_run(w->loop);
	pthread_join(thread, NULL);
	net_loop_free(w->loop);
	w->loop = NULL;
}

/* --- the peer as a client ----------------------------------------------------------------------------------- */

struct peer {
	struct wire *w;
	const struct peer_config *config;
	struct peer_seen *seen;
};

static int
on_peer_session(SSL *ssl, SSL_SESSION *session)
{
	struct peer_seen *seen = SSL_get_app_data(ssl);

	SSL_SESSION_free(seen->session);
	seen->session = session;
	seen->tickets++;
	return 1;
}

static void
on_peer_record(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct peer_seen *seen = arg;

	(void)version, (void)p, (void)n, (void)ssl;
	/* In TLS 1.3 the outer type of everything encrypted is the same: the inner one tells. */
	if (!sent && type == SSL3_RT_HEADER && n > 0 && ((const unsigned char *)p)[0] == SSL3_RT_APPLICATION_DATA &&
	    SSL_is_init_finished(ssl))
		seen->records++;
}

static SSL_CTX *
peer_context(const struct peer_config *c)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	cr_assert_not_null(context);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_peer_session);
	if (c->version != 0) {
		SSL_CTX_set_min_proto_version(context, c->version);
		SSL_CTX_set_max_proto_version(context, c->version);
	}
	cr_assert(c->ciphers == NULL || SSL_CTX_set_cipher_list(context, c->ciphers));
	cr_assert(c->sigalgs == NULL || SSL_CTX_set1_sigalgs_list(context, c->sigalgs));
	cr_assert(c->groups == NULL || SSL_CTX_set1_groups_list(context, c->groups));
	if (c->cert != NULL)
		cr_assert(SSL_CTX_use_cert_and_key(context, c->cert->x509, c->cert->key, NULL, 1));
	if (c->trust != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), c->trust->x509);
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	}
	return context;
}

static void
common_name(X509 *cert, char *out, size_t size)
{
	out[0] = '\0';
	if (cert != NULL)
		(void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)size);
}

static unsigned
queued_alert(void)
{
	int reason = ERR_GET_REASON(ERR_peek_error());

	return reason >= SSL_AD_REASON_OFFSET ? (unsigned)(reason - SSL_AD_REASON_OFFSET + 1) : 0;
}

void
peer_ping(struct wire *w, SSL *ssl)
{
	char back[4];
	size_t n;

	(void)w;
	/* Fails when we have been refused in the meantime: the alert that says so is still to be read. */
	(void)SSL_write(ssl, "ping", 4);
	if (SSL_read_ex(ssl, back, sizeof(back), &n) != 1 || n != 4 || memcmp(back, "ping", 4) != 0)
		return;
	((struct peer_seen *)SSL_get_app_data(ssl))->ponged = true;
	SSL_shutdown(ssl);
}

static void
look(SSL *ssl, struct peer_seen *seen)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	const unsigned char *alpn;
	unsigned n;

	seen->resumed = SSL_session_reused(ssl);
	common_name(cert, seen->cn, sizeof(seen->cn));
	seen->key_type = cert != NULL ? EVP_PKEY_get_base_id(X509_get0_pubkey(cert)) : 0;
	SSL_get0_alpn_selected(ssl, &alpn, &n);
	(void)sv_copy(sv_of((const char *)alpn, n), seen->alpn, sizeof(seen->alpn));
	const STACK_OF(X509_NAME) *cas = SSL_get0_peer_CA_list(ssl);
	seen->cas = cas != NULL ? (unsigned)sk_X509_NAME_num(cas) : 0;
}

static void *
peer_main(void *arg)
{
	struct peer *p = arg;
	const struct peer_config *c = p->config;
	SSL_CTX *context = peer_context(c);
	SSL *ssl = SSL_new(context);
	unsigned char alpn[32];

	cr_assert(ssl != NULL && SSL_set_fd(ssl, p->w->peer_fd));
	SSL_set_app_data(ssl, p->seen);
	SSL_set_msg_callback(ssl, on_peer_record);
	SSL_set_msg_callback_arg(ssl, p->seen);
	BIO_set_callback_ex(SSL_get_wbio(ssl), c->on_io);
	cr_assert(c->sni == NULL || SSL_set_tlsext_host_name(ssl, c->sni));
	cr_assert(c->session == NULL || SSL_set_session(ssl, c->session));
	if (c->alpn != NULL) {
		alpn[0] = (unsigned char)strlen(c->alpn);
		memcpy(alpn + 1, c->alpn, alpn[0]);
		cr_assert(SSL_set_alpn_protos(ssl, alpn, alpn[0] + 1U) == 0);
	}
	if (c->authority != NULL)
		cr_assert(SSL_add1_to_CA_list(ssl, c->authority->x509));
	p->seen->connected = SSL_connect(ssl) == 1;
	if (p->seen->connected) {
		look(ssl, p->seen);
		(c->talk != NULL ? c->talk : peer_ping)(p->w, ssl);
	}
	p->seen->alert = queued_alert();
	/* As our own: without this the session is marked as not to be resumed. */
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	close(p->w->peer_fd);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return NULL;
}

void
wire_connect(struct wire *w, struct tls_server *server, const struct peer_config *c, struct peer_seen *out)
{
	struct peer p = {.w = w, .config = c, .seen = out};
	int pair[2];

	*out = (struct peer_seen){0};
	begin(w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	/* Room for less than what is echoed at once. */
	cr_assert_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){16 * 1024}, sizeof(int)), 0);
	w->peer_fd = pair[1];
	net_stream_init(&w->stream, w->loop, pair[0], &events, OUT_MAX);
	cr_assert(tls_server_accept(server, &w->stream));
	cr_assert(net_stream_start(&w->stream));
	run(w, peer_main, &p);
}

/* --- the peer as a server ----------------------------------------------------------------------------------- */

struct origin {
	int listener;
	SSL_CTX *context;
	struct origin_seen *seen;
};

static int
on_origin_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned n, void *arg)
{
	(void)ssl, (void)n, (void)arg;
	*out = in + 1;
	*out_n = in[0];
	return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *
wire_origin_context(const struct origin_config *c)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	cr_assert(context != NULL && SSL_CTX_use_cert_and_key(context, c->cert->x509, c->cert->key, NULL, 1));
	cr_assert(SSL_CTX_set_session_id_context(context, (const unsigned char *)"origin", 6));
	SSL_CTX_set_alpn_select_cb(context, on_origin_alpn, NULL);
	if (c->version != 0)
		SSL_CTX_set_max_proto_version(context, c->version);
	if (c->client_ca != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), c->client_ca->x509);
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return context;
}

static void *
origin_main(void *arg)
{
	struct origin *o = arg;
	int fd = accept(o->listener, NULL, NULL);
	SSL *ssl = SSL_new(o->context);
	const unsigned char *alpn;
	const char *sni;
	char text[64];
	unsigned n;

	cr_assert(fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd));
	o->seen->accepted = SSL_accept(ssl) == 1;
	if (o->seen->accepted) {
		o->seen->resumed = SSL_session_reused(ssl);
		sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		(void)sv_copy(sv_cstr(sni), o->seen->sni, sizeof(o->seen->sni));
		SSL_get0_alpn_selected(ssl, &alpn, &n);
		(void)sv_copy(sv_of((const char *)alpn, n), o->seen->alpn, sizeof(o->seen->alpn));
		common_name(SSL_get0_peer_certificate(ssl), o->seen->client_cn, sizeof(o->seen->client_cn));
		if (SSL_write(ssl, "ping", 4) == 4 && SSL_read(ssl, text, sizeof(text)) == 4)
			SSL_shutdown(ssl);
	}
	o->seen->alert = queued_alert();
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	close(fd);
	SSL_free(ssl);
	return NULL;
}

void
wire_origin(struct wire *w, struct tls_client *client, const char *host, struct tls_client_session *session, SSL_CTX *origin,
    struct origin_seen *out)
{
	struct net_address to = {.length = sizeof(to.u.in)};
	struct origin o = {.context = origin, .seen = out};

	*out = (struct origin_seen){0};
	begin(w);
	to.u.in.sin_family = AF_INET;
	to.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(o.listener >= 0 && bind(o.listener, &to.u.sa, to.length) == 0 && listen(o.listener, 4) == 0);
	cr_assert_eq(getsockname(o.listener, &to.u.sa, &to.length), 0);
	cr_assert(net_stream_connect(&w->stream, w->loop, &to, &events, OUT_MAX));
	cr_assert(tls_client_connect(client, w->thread, &w->stream, host, false, session));
	run(w, origin_main, &o);
	close(o.listener);
}
