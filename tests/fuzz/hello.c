/*
 * What is read of a ClientHello on the way to the choice of a certificate. The input is its body, without the headers of
 * record and handshake.
 */
#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certs/facts.h"
#include "made.h"
#include "tls/hello.h"
#include "tls/server.h"

enum { RECORD_MAX = 16384, HELLO_MAX = 60000, BIG_ENOUGH = 64 * 1024, RANDOM_END = 2 + 32 };

/* What came of one hello. */
struct seen {
	bool read; /* as far as the callback */
	uint64_t fingerprint;
	bool has_authorities, trusts;
	struct sv input;
};

/* A chain of one certificate, whose issuer clients may name. */
static struct tls_bundle *
bundle(void)
{
	static const struct made ca = {.kind = MADE_EC, .cn = "CA", .ca = true};
	static struct tls_bundle *b;
	struct buf cert;

	if (b == NULL) {
		made_cert(&ca, &cert, NULL);
		struct tls_der *der = fuzz_alloc(sizeof(*der) + buf_len(&cert));
		b = fuzz_alloc(sizeof(*b));
		*der = (struct tls_der){.refs = 1, .size = (uint32_t)buf_len(&cert)};
		memcpy(der->bytes, buf_view(&cert).p, der->size);
		*b = (struct tls_bundle){.refs = 1, .name = "b", .chain = {der}, .n_chain = 1};
		buf_clear(&cert);
	}
	return b;
}

static struct asn1
issuer(void)
{
	struct cert_view v;

	FUZZ_CHECK(cert_parse(bundle()->chain[0]->bytes, bundle()->chain[0]->size, &v));
	return v.issuer;
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static void
check_name(const unsigned char *ext, size_t n)
{
	char name[HELLO_NAME_MAX + 1], *copy = fuzz_copy(sv_of((const char *)ext, n));

	FUZZ_CHECK(hello_server_name((unsigned char *)copy, n, name) == HELLO_NAME || name[0] == '\0');
	free(copy);
}

static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct seen *seen = SSL_get_app_data(ssl);
	struct tls_hello hello = {.ssl = ssl};
	const unsigned char *ext;
	size_t n;

	(void)arg;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &n) == 1)
		check_name(ext, n);
	seen->read = true;
	seen->fingerprint = tls_hello_fingerprint(&hello);
	seen->has_authorities = tls_hello_has_authorities(&hello);
	seen->trusts = tls_hello_trusts(&hello, bundle());
	*alert = SSL_AD_HANDSHAKE_FAILURE;
	return SSL_CLIENT_HELLO_ERROR;
}

static SSL_CTX *
context(bool server)
{
	static SSL_CTX *contexts[2];

	if (contexts[server] == NULL) {
		contexts[server] = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
		FUZZ_CHECK(contexts[server] != NULL);
		SSL_CTX_set_client_hello_cb(contexts[server], on_hello, NULL);
	}
	return contexts[server];
}

/* The handshake message in records. */
static BIO *
records_of(struct sv body)
{
	BIO *b = BIO_new(BIO_s_mem());
	const unsigned char head[4] = {1, (unsigned char)(body.n >> 16), (unsigned char)(body.n >> 8), (unsigned char)body.n};
	struct buf message;

	buf_init(&message, BIG_ENOUGH);
	FUZZ_CHECK(b != NULL && buf_append(&message, head, sizeof(head)) && buf_append(&message, body.p, body.n));
	while (buf_len(&message) > 0) {
		size_t n = MIN_OF(buf_len(&message), (size_t)RECORD_MAX);
		const unsigned char record[5] = {22, 3, 1, (unsigned char)(n >> 8), (unsigned char)n};
		FUZZ_CHECK(BIO_write(b, record, sizeof(record)) == sizeof(record));
		FUZZ_CHECK(BIO_write(b, buf_view(&message).p, (int)n) == (int)n);
		buf_consume(&message, n);
	}
	return b;
}

static struct seen
read_hello(struct sv body)
{
	struct seen seen = {.input = body};
	SSL *ssl = SSL_new(context(true));

	FUZZ_CHECK(ssl != NULL && SSL_set_app_data(ssl, &seen) == 1);
	SSL_set_bio(ssl, records_of(body), BIO_new(BIO_s_mem()));
	FUZZ_CHECK(SSL_accept(ssl) != 1);
	SSL_free(ssl);
	ERR_clear_error();
	return seen;
}

/* --- what must hold ----------------------------------------------------------------------------------------- */

/* In another order the same ciphers are the same client; the first and the last of them are exchanged. */
static void
check_order(const struct seen *seen)
{
	char *p = fuzz_copy(seen->input);
	size_t session = (unsigned char)p[RANDOM_END], at = RANDOM_END + 1 + session;
	size_t n = (size_t)(unsigned char)p[at] << 8 | (unsigned char)p[at + 1];
	char *first = p + at + 2, *last = first + n - 2;

	if (n >= 4 && n % 2 == 0) {
		char kept[2] = {first[0], first[1]};
		memmove(first, last, 2);
		memcpy(last, kept, 2);
		struct seen other = read_hello(sv_of(p, seen->input.n));
		FUZZ_CHECK(!other.read || other.fingerprint == seen->fingerprint);
	}
	free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > HELLO_MAX)
		return -1;
	struct seen seen = read_hello(sv_of((const char *)data, size));
	if (!seen.read)
		return 0;
	struct seen again = read_hello(seen.input);
	FUZZ_CHECK(again.read && again.fingerprint == seen.fingerprint);
	FUZZ_CHECK(!seen.trusts || seen.has_authorities);
	FUZZ_CHECK(!seen.trusts || memmem(data, size, issuer().p, issuer().n) != NULL, "trusts what it does not name");
	check_order(&seen);
	return 0;
}

/* --- seeds: what a client of OpenSSL's says ----------------------------------------------------------------- */

static void
seed(const char *name, int version, bool authorities, const char *alpn)
{
	SSL *ssl = SSL_new(context(false));
	BIO *out = BIO_new(BIO_s_mem());
	const char *bytes;

	FUZZ_CHECK(ssl != NULL && out != NULL && SSL_set_tlsext_host_name(ssl, "www.Example.com") == 1);
	FUZZ_CHECK(SSL_set_max_proto_version(ssl, version) == 1);
	FUZZ_CHECK(SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn)) == 0);
	if (authorities) {
		const unsigned char *der = bundle()->chain[0]->bytes;
		X509 *x = d2i_X509(NULL, &der, bundle()->chain[0]->size);
		FUZZ_CHECK(x != NULL && SSL_add1_to_CA_list(ssl, x) == 1);
		X509_free(x);
	}
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	FUZZ_CHECK(SSL_connect(ssl) != 1);
	long n = BIO_get_mem_data(out, &bytes);
	FUZZ_CHECK(n > 9);
	fuzz_seed(name, bytes + 9, (size_t)n - 9); /* behind the headers of record and handshake */
	SSL_free(ssl);
	ERR_clear_error();
}

void
fuzz_seeds(void)
{
	seed("tls13", TLS1_3_VERSION, false, "\x02h2\x08http/1.1");
	seed("tls12", TLS1_2_VERSION, false, "\x08http/1.1");
	seed("authorities", TLS1_3_VERSION, true, "\x02h2");
}
