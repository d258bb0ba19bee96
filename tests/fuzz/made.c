#include "made.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "certs/keep.h"
#include "fuzz.h"

enum { DER_MAX = 64 * 1024 };

static EVP_PKEY *
new_key(enum made_kind kind)
{
	EVP_PKEY *key = kind == MADE_RSA ? EVP_RSA_gen(2048) :
	    kind == MADE_EC          ? EVP_EC_gen("P-256") :
				       EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	FUZZ_CHECK(key != NULL);
	return key;
}

static void
extend(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	FUZZ_CHECK(e != NULL && X509_add_ext(x, e, -1) == 1, "%s", value);
	X509_EXTENSION_free(e);
}

static void
extend_all(X509 *x, const struct made *m)
{
	if (m->v1)
		return;
	extend(x, NID_basic_constraints, m->ca ? "critical,CA:TRUE" : "CA:FALSE");
	extend(x, NID_key_usage, m->ca ? "critical,keyCertSign,cRLSign" : "digitalSignature");
	extend(x, NID_subject_key_identifier, "hash");
	extend(x, NID_authority_key_identifier, "keyid");
	extend(x, NID_info_access, "caIssuers;URI:http://ca.example/ca.der");
	if (m->alt_names != NULL)
		extend(x, NID_subject_alt_name, m->alt_names);
}

static void
put_der(struct buf *out, unsigned char *der, int n)
{
	buf_init(out, DER_MAX);
	FUZZ_CHECK(n > 0 && buf_append(out, der, (size_t)n));
	OPENSSL_free(der);
}

void
made_cert(const struct made *m, struct buf *cert, struct buf *key)
{
	EVP_PKEY *k = new_key(m->kind);
	X509 *x = X509_new();
	unsigned char *der = NULL;

	FUZZ_CHECK(x != NULL && X509_set_version(x, m->v1 ? X509_VERSION_1 : X509_VERSION_3) == 1);
	FUZZ_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 0x1234567) == 1);
	FUZZ_CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL);
	FUZZ_CHECK(X509_gmtime_adj(X509_getm_notAfter(x), 90L * 86400) != NULL && X509_set_pubkey(x, k) == 1);
	X509_NAME *name = X509_get_subject_name(x);
	FUZZ_CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"bascule \xc3\xa9", -1, -1, 0) == 1);
	FUZZ_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)m->cn, -1, -1, 0) == 1);
	FUZZ_CHECK(X509_set_issuer_name(x, name) == 1);
	extend_all(x, m);
	FUZZ_CHECK(X509_sign(x, k, m->kind == MADE_ED25519 ? NULL : EVP_sha256()) > 0);
	int n = i2d_X509(x, &der);
	put_der(cert, der, n);
	if (key != NULL) {
		der = NULL;
		n = i2d_PrivateKey(k, &der);
		put_der(key, der, n);
	}
	X509_free(x);
	EVP_PKEY_free(k);
}

const struct tls_thread *
made_thread(void)
{
	static struct tls_thread *thread;
	struct err err = {""};

	if (thread == NULL)
		thread = tls_thread_new(0, &err);
	FUZZ_CHECK(thread != NULL, "%s", err.text);
	return thread;
}

static struct sv
intermediate(void)
{
	static const struct made ca = {.kind = MADE_EC, .cn = "intermediate", .ca = true};
	static struct buf cert;

	if (buf_len(&cert) == 0)
		made_cert(&ca, &cert, NULL);
	return buf_view(&cert);
}

/* By way of its packed form, so that no file is needed. */
struct tls_bundle *
made_bundle(const char *name, uint64_t generation)
{
	const struct made leaf = {.kind = MADE_EC, .cn = "shop.example", .alt_names = "DNS:shop.example,DNS:*.shop.example"};
	const unsigned char files[32] = {0};
	unsigned char bytes[8192];
	struct pack p = {.to = bytes, .room = sizeof(bytes)};
	struct buf cert, key;

	made_cert(&leaf, &cert, &key);
	pack_string(&p, name);
	pack_string(&p, "shop.pem");
	pack_u64(&p, generation);
	pack_bytes(&p, files, sizeof(files));
	pack_block(&p, buf_view(&key).p, buf_len(&key));
	pack_u8(&p, 2);
	pack_block(&p, buf_view(&cert).p, buf_len(&cert));
	pack_u32(&p, 0); /* here it is, and not one of before */
	pack_block(&p, intermediate().p, intermediate().n);
	FUZZ_CHECK(!p.failed);
	struct tls_bundle *b = tls_bundle_unpack(&(struct unpack){.p = bytes, .n = p.n}, made_thread());
	FUZZ_CHECK(b != NULL);
	buf_clear(&cert);
	buf_clear(&key);
	return b;
}
