/* Facts of an open connection: what was agreed on, and who the peer is. */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>

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
hex(const unsigned char *p, size_t n, const char *digits, char *out, size_t size)
{
	out[0] = '\0';
	if (n > (size - 1) / 2)
		return false;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
	return true;
}

void
tls_name_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	out[0] = '\0';
	if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		long n = BIO_get_mem_data(bio, &text);
		if (n > 0)
			(void)sv_copy(sv_of(text, (size_t)n), out, size);
	}
	BIO_free(bio);
}

static void
fingerprint(X509 *cert, const EVP_MD *sha256, char *out, size_t size)
{
	unsigned char digest[32], *der = NULL;
	int n = i2d_X509(cert, &der);

	out[0] = '\0';
	if (n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, sha256, NULL) == 1)
		(void)hex(digest, sizeof(digest), "0123456789abcdef", out, size);
	OPENSSL_free(der);
}

bool
tls_stream_peer(const struct net_stream *s, struct tls_thread *thread, struct tls_peer *out)
{
	const struct tls_stream *t = s->state;
	X509 *cert = SSL_get0_peer_certificate(t->ssl);

	if (cert == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return false;
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	tls_name_text(X509_get_subject_name(cert), out->subject, sizeof(out->subject));
	tls_name_text(X509_get_issuer_name(cert), out->issuer, sizeof(out->issuer));
	(void)hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), "0123456789ABCDEF", out->serial,
	    sizeof(out->serial));
	fingerprint(cert, thread->sha256, out->fingerprint, sizeof(out->fingerprint));
	return true;
}
