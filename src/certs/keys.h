/*
 * keys.h: does a private key belong to a certificate?
 */
#ifndef BASCULE_CERTS_KEYS_H
#define BASCULE_CERTS_KEYS_H

#include "certs/facts.h"

enum key_match { KEY_DIFFERS, KEY_MATCHES, KEY_UNSURE };

/*
 * By the public key that the private key's DER claims to have, without building anything. KEY_UNSURE: it holds none,
 * or not in the same form; then build and compare. The claim may be a lie: see materials_prove().
 */
enum key_match key_claims(const unsigned char *key, size_t n, const struct cert_view *c);

#endif
