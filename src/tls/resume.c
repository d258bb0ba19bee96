#include "tls/resume.h"

#include <openssl/rand.h>
#include <time.h>

#include "tls/server.h"
#include "tls/stream.h"

enum {
	WEEK = 7 * 24 * 3600, /* seconds; the longest life of a ticket (RFC 8446, 4.6.1) */
	/*
	 * Each TLS 1.3 resumption hands out a new ticket, which would prolong for ever what one full handshake has
	 * proved. So the time of that handshake goes along, and after this many seconds another one is due.
	 */
	SESSION_MAX = WEEK,
};

static uint64_t
seconds_now(void)
{
	time_t now = time(NULL);

	return now > 0 ? (uint64_t)now : 0;
}

/* Into `sealed`: 1 done; 0 send no ticket, or go on without the one sent (RFC 5077, 4). */
static int
on_ticket_key(SSL *ssl, unsigned char name[TICKET_NAME], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
    int encrypt)
{
	struct tls_resume *r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_key *key;

	if (encrypt) {
		key = tickets_current(&r->tickets, seconds_now());
		if (key == NULL || RAND_bytes_ex(r->thread->lib, iv, 16, 0) != 1)
			return 0;
		memcpy(name, key->name, TICKET_NAME);
	} else {
		key = tickets_find(&r->tickets, seconds_now(), name);
		if (key == NULL)
			return 0;
	}
	return tickets_apply(key, r->thread, iv, cipher, mac, encrypt != 0);
}

/* Ahead of sealing: a session keeps the time of its full handshake through all resumptions. */
static int
on_ticket_made(SSL *ssl, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	uint64_t born = seconds_now();
	void *data;
	size_t n;

	(void)arg;
	if (SSL_SESSION_get0_ticket_appdata(session, &data, &n) == 1 && n == sizeof(born))
		return 1;
	return SSL_SESSION_set1_ticket_appdata(session, &born, sizeof(born));
}

static bool
too_old(SSL_SESSION *session)
{
	uint64_t born, now = seconds_now();
	void *data;
	size_t n;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &n) != 1 || n != sizeof(born))
		return true;
	memcpy(&born, data, sizeof(born));
	/* From the future: a node whose clock is ahead. */
	return now > born && now - born > SESSION_MAX;
}

/* OpenSSL looks at a client certificate's dates in full handshakes only. */
static bool
certificate_expired(const SSL_SESSION *session)
{
	X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)session);

	return peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) != 1;
}

/* TLS 1.2 ties a session to its server name (RFC 6066, 3); TLS 1.3 proves the name anew by the client's choice. */
static bool
name_differs(const SSL *ssl, const SSL_SESSION *session)
{
	const char *was = SSL_SESSION_get0_hostname(session);
	struct sv now = tls_stream_server_name(tls_stream_of(ssl));

	return SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION && !sv_ieq(sv_cstr(was), now);
}

static SSL_TICKET_RETURN
on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t n, SSL_TICKET_STATUS status,
    void *arg)
{
	(void)name, (void)n, (void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (too_old(session) || certificate_expired(session) || name_differs(ssl, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	/* A ticket of TLS 1.3 should serve once (RFC 8446, C.4); one of TLS 1.2 goes on, its key living as long. */
	return SSL_version(ssl) == TLS1_3_VERSION ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

bool
tls_resume_init(struct tls_resume *r, SSL_CTX *context, struct tls_thread *thread, const struct secret *secret,
    uint64_t lifetime)
{
	*r = (struct tls_resume){.thread = thread, .lifetime = MIN_OF(lifetime, (uint64_t)WEEK)};
	/* TLS 1.3: OpenSSL's two tickets would be one too many: a client that resumes gets a new one each time. */
	if (SSL_CTX_set_num_tickets(context, r->lifetime > 0) != 1)
		return false;
	if (r->lifetime == 0) {
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		return true;
	}
	SSL_CTX_set_timeout(context, (long)r->lifetime);
	SSL_CTX_set_app_data(context, r);
	return tickets_init(&r->tickets, secret, r->lifetime) &&
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key) == 1 &&
	    SSL_CTX_set_session_ticket_cb(context, on_ticket_made, on_ticket_opened, NULL) == 1;
}

void
tls_resume_wipe(struct tls_resume *r)
{
	tickets_wipe(&r->tickets);
}
