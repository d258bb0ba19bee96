#include "pki/describe.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "pki/words.h"

enum { TEXT_MAX = 64 * 1024 };

/* What should be ASCII may be anything: a NUL must not hide what follows it, nor a byte spoil JSON. */
static const char *
ascii_text(struct pki *p, const unsigned char *text, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = n <= TEXT_MAX ? arena_alloc(&p->arena, n * 3 + 1) : NULL, *at = out;

	for (size_t i = 0; out != NULL && i < n; i++) {
		if (text[i] > 0x20 && text[i] < 0x7f && text[i] != '\\') {
			*at++ = (char)text[i];
			continue;
		}
		*at++ = '\\';
		*at++ = hex[text[i] >> 4];
		*at++ = hex[text[i] & 15];
	}
	return out;
}

/* GeneralName's kinds that are shown; others are of no use for TLS. */
static const char *
general_name(struct pki *p, unsigned tag, struct asn1 v)
{
	char address[INET6_ADDRSTRLEN];

	switch (tag) {
	case DER_CONTEXT | 1: /* rfc822Name */
	case DER_CONTEXT | 2: /* dNSName */
		return ascii_text(p, v.p, v.n);
	case DER_CONTEXT | 7: /* iPAddress */
		if ((v.n != 4 && v.n != 16) ||
		    inet_ntop(v.n == 4 ? AF_INET : AF_INET6, v.p, address, sizeof(address)) == NULL)
			return NULL;
		return arena_copy(&p->arena, sv_cstr(address));
	default:
		return NULL;
	}
}

size_t
describe_names(struct pki *p, const struct cert_view *c, const char *out[NAMES_SHOWN])
{
	struct asn1 rest = c->alt_names, v;
	struct cert_names walk = {.started = false};
	struct sv host;
	unsigned tag;
	size_t n = 0;

	while (n < NAMES_SHOWN && asn1_take(&rest, &tag, &v, NULL)) {
		const char *name = general_name(p, tag, v);
		if (name != NULL)
			out[n++] = name;
	}
	while (c->alt_names.n == 0 && n < NAMES_SHOWN && cert_next_name(c, &walk, &host)) {
		const char *name = arena_copy(&p->arena, host);
		if (name != NULL)
			out[n++] = name;
	}
	return n;
}

void
describe_key(const struct cert_view *c, char *out, size_t size)
{
	static const char *const words[] = {"RSA", "EC", "Ed25519 or Ed448", "another kind"};

	(void)snprintf(out, size, "%s, %u bits", words[c->key_type], c->key_bits);
}

static void
describe_dates(struct show *s, const struct cert_view *c, int64_t now)
{
	char date[DATE_TEXT], left[LEFT_TEXT], both[DATE_TEXT + LEFT_TEXT + 8];

	date_text(c->not_before, date);
	show_text(s, "not_before", "valid from", date);
	date_text(c->not_after, date);
	left_text(c->not_before, c->not_after, now, left);
	(void)snprintf(both, sizeof(both), "%s, %s", date, left);
	show_text(s, "not_after", NULL, date);
	show_text(s, NULL, "valid until", both);
	show_text(s, "validity", NULL, left);
	show_number(s, "days_left", NULL, days_left(c->not_after, now));
}

void
describe_cert(struct pki *p, struct show *s, const struct cert_view *c, const unsigned char *der, size_t n, int64_t now)
{
	char text[NAME_TEXT];
	const char *names[NAMES_SHOWN];
	unsigned char digest[32];
	char fingerprint[FINGERPRINT_TEXT];

	cert_name_text(c->subject, text, sizeof(text));
	show_text(s, "subject", "subject", text);
	size_t n_names = describe_names(p, c, names);
	show_texts(s, "names", "names", names, n_names);
	cert_name_text(c->issuer, text, sizeof(text));
	show_text(s, "issuer", "issuer", text);
	show_bool(s, "self_issued", cert_self_issued(c));
	show_bool(s, "ca", cert_is_ca(c));
	show_text(s, NULL, cert_is_ca(c) ? "use" : NULL, "a CA: issues other certificates");
	describe_dates(s, c, now);
	describe_key(c, text, sizeof(text));
	show_text(s, "key", "key", text);
	cert_serial_text(c->serial, text, sizeof(text));
	show_text(s, "serial", "serial", text);
	if (EVP_Digest(der, n, digest, NULL, p->thread->sha256, NULL) != 1)
		return;
	fingerprint_text(digest, fingerprint);
	show_text(s, "sha256", "SHA-256", fingerprint);
}

const char *
describe_issuer_url(struct pki *p, X509 *x)
{
	AUTHORITY_INFO_ACCESS *all = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);
	const char *url = NULL;

	for (int i = 0; url == NULL && i < sk_ACCESS_DESCRIPTION_num(all); i++) {
		const ACCESS_DESCRIPTION *d = sk_ACCESS_DESCRIPTION_value(all, i);
		if (OBJ_obj2nid(d->method) != NID_ad_ca_issuers || d->location->type != GEN_URI)
			continue;
		const ASN1_STRING *uri = d->location->d.uniformResourceIdentifier;
		url = ascii_text(p, ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
	}
	AUTHORITY_INFO_ACCESS_free(all);
	ERR_clear_error();
	return url;
}
