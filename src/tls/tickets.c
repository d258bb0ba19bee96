#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* A ticket made at an epoch's very end lives for two more: lifetime is two periods. */
enum { EPOCHS_BEHIND = 2, EPOCHS_AHEAD = 1 };
_Static_assert(EPOCHS_BEHIND + 1 + EPOCHS_AHEAD == TICKET_EPOCHS, "each epoch in use has its place");

bool
tickets_init(struct tls_tickets *t, const struct secret *secret, uint64_t lifetime)
{
	*t = (struct tls_tickets){.period = lifetime / 2 + lifetime % 2};
	t->root.n = SECRET_MIN;
	return secret_derive(secret, "bascule ticket", SV_NONE, t->root.bytes, t->root.n);
}

void
tickets_wipe(struct tls_tickets *t)
{
	OPENSSL_cleanse(t, sizeof(*t));
}

static const struct ticket_key *
key_of(struct tls_tickets *t, uint64_t epoch)
{
	struct ticket_key *key = &t->keys[epoch % TICKET_EPOCHS];
	uint64_t context[2] = {htobe64(t->period), htobe64(epoch)};
	struct {
		unsigned char name[TICKET_NAME], cipher[TICKET_KEY], mac[TICKET_KEY];
	} made;

	if (key->made && key->epoch == epoch)
		return key;
	if (!secret_derive(&t->root, "bascule ticket epoch", sv_of((const char *)context, sizeof(context)),
	        (unsigned char *)&made, sizeof(made)))
		return NULL;
	*key = (struct ticket_key){.epoch = epoch, .made = true};
	memcpy(key->name, made.name, sizeof(key->name));
	memcpy(key->cipher, made.cipher, sizeof(key->cipher));
	memcpy(key->mac, made.mac, sizeof(key->mac));
	OPENSSL_cleanse(&made, sizeof(made));
	return key;
}

const struct ticket_key *
tickets_current(struct tls_tickets *t, uint64_t now)
{
	return key_of(t, now / t->period);
}

const struct ticket_key *
tickets_find(struct tls_tickets *t, uint64_t now, const unsigned char name[TICKET_NAME])
{
	uint64_t current = now / t->period;
	uint64_t oldest = current > EPOCHS_BEHIND ? current - EPOCHS_BEHIND : 0;

	for (uint64_t epoch = current + EPOCHS_AHEAD + 1; epoch-- > oldest;) {
		const struct ticket_key *key = key_of(t, epoch);
		if (key != NULL && memcmp(key->name, name, TICKET_NAME) == 0)
			return key;
	}
	return NULL;
}

bool
tickets_apply(const struct ticket_key *key, const struct tls_thread *thread, const unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	    EVP_CipherInit_ex2(cipher, thread->aes256_cbc, key->cipher, iv, encrypt, NULL) == 1;
}
