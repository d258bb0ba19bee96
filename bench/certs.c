/* certs: write self-signed ECDSA P-256 certificates with their keys, DIR/NAME.pem each; thousands in seconds. */
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static X509 *
certify(EVP_PKEY *key, const char *name)
{
	char names[300];
	uint64_t serial = 0;
	X509 *x = X509_new();
	X509_NAME *subject = x != NULL ? X509_get_subject_name(x) : NULL;

	(void)snprintf(names, sizeof(names), "DNS:%s", name);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	if (x == NULL || san == NULL || RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1 || !X509_set_version(x, 2) ||
	    !ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -3600) == NULL || X509_gmtime_adj(X509_getm_notAfter(x), 30L * 86400) == NULL ||
	    !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) ||
	    !X509_set_issuer_name(x, subject) || !X509_set_pubkey(x, key) || !X509_add_ext(x, san, -1) ||
	    X509_sign(x, key, EVP_sha256()) <= 0)
		abort();
	X509_EXTENSION_free(san);
	return x;
}

int
main(int argc, char **argv)
{
	if (argc < 3) {
		(void)fprintf(stderr, "usage: certs DIR NAME...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		char path[1024];
		EVP_PKEY *key = EVP_EC_gen("P-256");
		X509 *x = key != NULL ? certify(key, argv[i]) : NULL;
		(void)snprintf(path, sizeof(path), "%s/%s.pem", argv[1], argv[i]);
		FILE *f = fopen(path, "w");
		if (x == NULL || f == NULL || PEM_write_X509(f, x) != 1 ||
		    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(f) != 0) {
			perror(path);
			return 1;
		}
		X509_free(x);
		EVP_PKEY_free(key);
	}
	return 0;
}
