#include "tls/context.h"

#include <errno.h>
#include <openssl/err.h>

#include "tls/stream.h"

/*
 * AES-128-GCM first: on processors with AES instructions it is the fastest, and it is as safe as any. A client without
 * them puts ChaCha20 first and gets it.
 */
#define DEFAULT_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* TLS 1.2: forward secrecy and authenticated encryption, nothing else. */
#define DEFAULT_CIPHERS                                                  \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"     \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"     \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define DEFAULT_GROUPS "X25519:P-256:P-384"

/*
 * OpenSSL takes an algorithm that it had no memory for to be one that it does not have, says nothing, and makes do without:
 * the context looks sound, and fails at handshakes. But malloc() has left its word, since errno was set to 0.
 */
static bool
lacked_memory(struct err *err)
{
	return errno == ENOMEM && !err_no_memory(err);
}

SSL_CTX *
tls_context_new(struct tls_thread *thread, const SSL_METHOD *method, struct err *err)
{
	errno = 0;
	SSL_CTX *context = SSL_CTX_new_ex(thread->lib, NULL, method);

	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(context, DEFAULT_GROUPS) != 1 ||
	    SSL_CTX_set_ciphersuites(context, DEFAULT_SUITES) != 1) {
		char why[256];
		tls_error_text(why, sizeof(why));
		err_set(err, "can not make a TLS context: %s", why);
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	        SSL_OP_PRIORITIZE_CHACHA);
	/* Without NO_AUTO_CHAIN a bundle without intermediates would have a chain searched for it in each handshake. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY); /* tls_stream_read() counts what is no data */
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_msg_callback(context, tls_stream_on_message);
	if (!lacked_memory(err))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

/* The next name of a list as OpenSSL separates them; empty: there is none. */
static struct sv
next_name(struct sv *rest)
{
	size_t begin = 0, end;

	while (begin < rest->n && strchr(":, ", rest->p[begin]) != NULL)
		begin++;
	for (end = begin; end < rest->n && strchr(":, ", rest->p[end]) == NULL;)
		end++;
	struct sv name = sv_of(rest->p + begin, end - begin);
	*rest = sv_of(rest->p + end, rest->n - end);
	return name;
}

static bool
refuse(struct err *err, const char *key, struct sv name, const char *what)
{
	ERR_clear_error();
	return err_set(err, "tls.%s: \"%.*s\" is no %s that this OpenSSL offers; leave it out, or the key for the default",
	    key, SV_FMT(name), what);
}

static bool
set_ciphers(SSL_CTX *context, const char *list, struct err *err)
{
	struct sv rest = sv_cstr(list), name;
	char one[128];

	/* Each name by itself must select something; what takes away or sorts need not. */
	while ((name = next_name(&rest)).n > 0) {
		if (strchr("!-+@", name.p[0]) != NULL)
			continue;
		if (!sv_copy(name, one, sizeof(one)) || SSL_CTX_set_cipher_list(context, one) != 1)
			return refuse(err, "ciphers", name, "cipher");
	}
	return SSL_CTX_set_cipher_list(context, list) == 1 || refuse(err, "ciphers", sv_cstr(list), "list of ciphers");
}

static bool
offers(SSL_CTX *context, struct sv name)
{
	STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(context);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
		if (sv_eq(sv_cstr(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i))), name))
			return true;
	return false;
}

static bool
set_suites(SSL_CTX *context, const char *list, struct err *err)
{
	struct sv rest = sv_cstr(list), name;

	if (SSL_CTX_set_ciphersuites(context, list) != 1)
		return refuse(err, "ciphersuites", rest, "list of TLS 1.3 cipher suites");
	while ((name = next_name(&rest)).n > 0)
		if (!offers(context, name))
			return refuse(err, "ciphersuites", name, "TLS 1.3 cipher suite");
	return true;
}

static bool
set_version(SSL_CTX *context, const char *version, struct err *err)
{
	struct sv v = version != NULL ? sv_cstr(version) : SV("1.2");

	if (!sv_eq(v, SV("1.2")) && !sv_eq(v, SV("1.3")))
		return err_set(err, "tls.min_version: \"%.*s\" is not served; \"1.2\" and \"1.3\" are", SV_FMT(v));
	return SSL_CTX_set_min_proto_version(context, sv_eq(v, SV("1.3")) ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 ||
	    err_no_memory(err);
}

bool
tls_context_configure(SSL_CTX *context, const struct conf_tls *conf, struct err *err)
{
	errno = 0;
	if (!set_version(context, conf->min_version, err) ||
	    !set_ciphers(context, conf->ciphers != NULL ? conf->ciphers : DEFAULT_CIPHERS, err))
		return false;
	if (conf->ciphersuites != NULL && !set_suites(context, conf->ciphersuites, err))
		return false;
	if (conf->groups != NULL && SSL_CTX_set1_groups_list(context, conf->groups) != 1)
		return refuse(err, "groups", sv_cstr(conf->groups), "list of groups");
	return !lacked_memory(err);
}
