/* Facts of an open connection: what was agreed on, and who the peer is. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/private.h"
#include "tls/server.h"
#include "tls/stream.h"

void
tls_stream_facts(const struct net_stream *s, struct tls_session_facts *out)
{
	const struct tls_stream *t = s->state;

	out->version = SSL_get_version(t->ssl);
	out->cipher = SSL_get_cipher_name(t->ssl);
	out->resumed = SSL_session_reused(t->ssl) == 1;
}

static bool
print_name(BIO *to, const X509_NAME *name)
{
	return X509_NAME_print_ex(to, name, 0, XN_FLAG_RFC2253) >= 0;
}

/* A longer one, which no CA may give (RFC 5280, 4.1.2.2), is cut, and by what stands behind it no other certificate's. */
static bool
print_serial(BIO *to, const ASN1_INTEGER *serial)
{
	const unsigned char *p = ASN1_STRING_get0_data(serial);
	int n = ASN1_STRING_length(serial);

	for (int i = 0; i < MIN_OF(n, (int)TLS_PEER_SERIAL_MAX); i++)
		if (BIO_printf(to, "%02X", p[i]) != 2)
			return false;
	return n <= TLS_PEER_SERIAL_MAX || BIO_puts(to, "...") == 3;
}

void
tls_name_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	out[0] = '\0';
	if (bio != NULL && print_name(bio, name)) {
		long n = BIO_get_mem_data(bio, &text);
		if (n > 0)
			(void)sv_copy(sv_of(text, (size_t)n), out, size);
	}
	BIO_free(bio);
}

bool
tls_peer_is_nameable(const X509 *cert)
{
	const X509_NAME *names[] = {X509_get_subject_name(cert), X509_get_issuer_name(cert)};
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio != NULL;

	for (size_t i = 0; ok && i < COUNTOF(names); i++)
		ok = print_name(bio, names[i]) && BIO_pending(bio) <= TLS_PEER_NAME_MAX && BIO_reset(bio) == 1;
	BIO_free(bio);
	return ok;
}

static bool
fingerprint(const X509 *cert, const EVP_MD *sha256, struct tls_peer *out)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);
	bool ok = n > 0 && EVP_Digest(der, (size_t)n, out->sha256, NULL, sha256, NULL) == 1;

	OPENSSL_free(der);
	for (size_t i = 0; ok && i < sizeof(out->sha256); i++) {
		out->fingerprint[2 * i] = digits[out->sha256[i] >> 4];
		out->fingerprint[2 * i + 1] = digits[out->sha256[i] & 15];
	}
	return ok;
}

static int64_t
not_after(const X509 *cert)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static bool
print_common_name(BIO *to, const X509_NAME *subject)
{
	int at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, -1);
	const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(subject, at) : NULL;
	unsigned char *text = NULL;
	int n = entry != NULL ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry)) : 0;
	bool ok = n <= 0 || memchr(text, '\0', (size_t)n) != NULL || BIO_write(to, text, n) == n;

	OPENSSL_free(text);
	ERR_clear_error();
	return ok;
}

/* The texts, each with its NUL, in the order of struct tls_peer. */
static struct tls_peer *
with_texts(BIO *texts)
{
	char *p = NULL;
	long n = BIO_get_mem_data(texts, &p);
	struct tls_peer *peer = n > 0 ? calloc(1, sizeof(*peer) + (size_t)n) : NULL;

	if (peer == NULL)
		return NULL;
	memcpy(peer->text, p, (size_t)n);
	peer->subject = peer->text;
	peer->issuer = peer->subject + strlen(peer->subject) + 1;
	peer->serial = peer->issuer + strlen(peer->issuer) + 1;
	peer->common_name = peer->serial + strlen(peer->serial) + 1;
	return peer;
}

struct tls_peer *
tls_peer_of(const X509 *cert, struct tls_thread *thread)
{
	BIO *texts = BIO_new(BIO_s_mem());
	bool ok = texts != NULL && print_name(texts, X509_get_subject_name(cert)) && BIO_write(texts, "", 1) == 1 &&
	    print_name(texts, X509_get_issuer_name(cert)) && BIO_write(texts, "", 1) == 1 &&
	    print_serial(texts, X509_get0_serialNumber(cert)) && BIO_write(texts, "", 1) == 1 &&
	    print_common_name(texts, X509_get_subject_name(cert)) && BIO_write(texts, "", 1) == 1;
	struct tls_peer *peer = ok ? with_texts(texts) : NULL;
	BIO_free(texts);
	if (peer == NULL || !fingerprint(cert, thread->sha256, peer)) {
		free(peer);
		return NULL;
	}
	peer->not_after = not_after(cert);
	return peer;
}

struct tls_peer *
tls_stream_peer(const struct net_stream *s, struct tls_thread *thread, bool *shown)
{
	const struct tls_stream *t = s->state;
	const X509 *cert = SSL_get0_peer_certificate(t->ssl);

	*shown = cert != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK;
	return *shown ? tls_peer_of(cert, thread) : NULL;
}

const struct tls_pin *
tls_peer_issuer(const X509 *cert, const struct tls_policy *p)
{
	unsigned char *der = NULL;
	int n = cert != NULL ? i2d_X509(cert, &der) : 0;
	struct cert_view v;
	const struct tls_pin *pin = n > 0 && cert_parse(der, (size_t)n, &v) ? tls_policy_issuer(p, &v) : NULL;

	OPENSSL_free(der);
	return pin;
}

static bool
verify(SSL *ssl, X509 *cert, struct tls_policy *p, struct tls_thread *thread)
{
	X509_STORE *store = tls_policy_store(p, thread);
	X509_STORE_CTX *x = store != NULL ? X509_STORE_CTX_new_ex(thread->lib, NULL) : NULL;
	/* Depth and flags are the store's; the purpose as OpenSSL has it for a client's certificate. */
	bool ok = x != NULL && X509_STORE_CTX_init(x, store, cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
	    X509_STORE_CTX_set_default(x, "ssl_client") == 1 && X509_verify_cert(x) == 1;

	X509_STORE_CTX_free(x);
	ERR_clear_error();
	return ok;
}

bool
tls_stream_satisfies(const struct net_stream *s, struct tls_policy *p, struct tls_thread *thread)
{
	const struct tls_stream *t = s->state;
	X509 *cert = SSL_get0_peer_certificate(t->ssl);

	if (p->mode == CONF_CLIENT_NONE)
		return true;
	return cert != NULL ? verify(t->ssl, cert, p, thread) : p->mode == CONF_CLIENT_OPTIONAL;
}
