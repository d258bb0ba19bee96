/* sign: what a request asks for, as far as a request may. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "pki/create.h"
#include "pki/key.h"
#include "pki/place.h"
#include "pki/subject.h"
#include "pki/things.h"

/* The request, whose signature shows that who asks has the key. */
static X509_REQ *
read_request(struct pki *p, const char *path)
{
	struct things t;
	X509_REQ *r = NULL;

	if (things_read(p, path, &t)) {
		const struct thing *first = things_first(&t, THING_REQUEST);
		if (first != NULL)
			r = thing_request(p, path, first);
		else
			err_set(&p->err, "%s: no request in it; `bascule pki csr` makes one", path);
	}
	things_free(&t);
	if (r == NULL)
		return NULL;
	EVP_PKEY *key = X509_REQ_get0_pubkey(r);
	if (X509_REQ_verify(r, key) == 1 && key_is_strong(key, path, &p->err))
		return r;
	ERR_clear_error();
	if (p->err.text[0] == '\0')
		err_set(&p->err, "%s: the request is not signed with the key in it; have it made anew", path);
	X509_REQ_free(r);
	return NULL;
}

/* --- its names --- */

/* One of the kinds that are checked here, as text; NULL with err set: another kind, or not well-formed. */
static const char *
name_text(struct pki *p, const char *path, const GENERAL_NAME *g)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(g, &type);
	bool known = type == GEN_DNS || type == GEN_EMAIL || type == GEN_IPADD;
	const unsigned char *b = known ? ASN1_STRING_get0_data(value) : NULL;
	size_t n = b != NULL ? (size_t)ASN1_STRING_length(value) : 0;
	const char *text = NULL;

	if (b != NULL && type != GEN_IPADD && memchr(b, '\0', n) == NULL)
		text = arena_copy(&p->arena, sv_of((const char *)b, n));
	else if (b != NULL && type == GEN_IPADD && n == 4)
		text = arena_printf(&p->arena, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	else if (b != NULL && type == GEN_IPADD && n == 16)
		text = arena_printf(&p->arena, "%x:%x:%x:%x:%x:%x:%x:%x", b[0] << 8 | b[1], b[2] << 8 | b[3],
		    b[4] << 8 | b[5], b[6] << 8 | b[7], b[8] << 8 | b[9], b[10] << 8 | b[11], b[12] << 8 | b[13],
		    b[14] << 8 | b[15]);
	if (text == NULL)
		err_set(&p->err, "%s: asks for a name that is neither a host name, an address nor a mail address", path);
	return text;
}

static bool
take_names(struct pki *p, const char *path, const GENERAL_NAMES *from, struct subject *s)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(from); i++) {
		const char *text = name_text(p, path, sk_GENERAL_NAME_value(from, i));
		if (text == NULL)
			return false;
		if (s->n_san == SAN_MAX)
			return err_set(&p->err, "%s: asks for more than %d names", path, SAN_MAX);
		s->san[s->n_san++] = text;
	}
	return true;
}

/* The common name, where it is a plain text; it may be a host's. */
static const char *
common_name(struct pki *p, const X509_NAME *subject)
{
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	const char *text = NULL;

	if (at < 0)
		return NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0 && memchr(utf8, '\0', (size_t)n) == NULL)
		text = arena_copy(&p->arena, sv_of((const char *)utf8, (size_t)n));
	OPENSSL_free(utf8);
	return text;
}

/* Text and nothing else, so that what the certificate shows is what stands in it. */
static bool
check_subject(struct pki *p, const char *path, const X509_NAME *subject)
{
	bool ok = true;

	for (int i = 0; ok && i < X509_NAME_entry_count(subject); i++) {
		unsigned char *utf8 = NULL;
		int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
		ok = n > 0;
		for (int k = 0; ok && k < n; k++)
			ok = utf8[k] >= 0x20 && utf8[k] != 0x7f;
		OPENSSL_free(utf8);
	}
	ERR_clear_error();
	return ok || err_set(&p->err, "%s: something in its subject is no text; have the request made anew", path);
}

/* What a request asks for beyond names is its issuer's to decide. */
static void
note_ignored(const char *path, const STACK_OF(X509_EXTENSION) *extensions)
{
	for (int i = 0; i < sk_X509_EXTENSION_num(extensions); i++) {
		X509_EXTENSION *e = sk_X509_EXTENSION_value(extensions, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
		BASIC_CONSTRAINTS *c = nid == NID_basic_constraints ? X509V3_EXT_d2i(e) : NULL;
		const char *name = OBJ_nid2sn(nid);
		if (c != NULL && c->ca)
			note("%s: asks to be a CA, which is not granted", path);
		else if (nid != NID_subject_alt_name && nid != NID_basic_constraints && nid != NID_subject_key_identifier)
			note("%s: asks for %s, which is not for a request to say: left out", path, name != NULL ? name : "?");
		BASIC_CONSTRAINTS_free(c);
	}
}

/* The names, judged as if they stood on the command line. NULL with err set, or when there are none. */
static GENERAL_NAMES *
names_of(struct pki *p, const char *path, X509_REQ *r)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(r);
	GENERAL_NAMES *asked = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL), *names = NULL;
	struct subject s = {.cn = common_name(p, X509_REQ_get_subject_name(r))};

	note_ignored(path, extensions);
	if (take_names(p, path, asked, &s)) {
		if (subject_complete(p, &s))
			names = subject_alt_names(&s, &p->err);
		else
			err_prefix(&p->err, "%s", path);
	}
	GENERAL_NAMES_free(asked);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	ERR_clear_error();
	return names;
}

/* --- the certificate --- */

static X509 *
sign(struct pki *p, const char *path, X509_REQ *r, const struct issuer *issuer)
{
	uint64_t days;
	X509 *x = NULL;

	if (!args_number("--days", p->args.days, 1, MAKE_DAYS_MAX, MAKE_LEAF_DAYS, &days, &p->err) ||
	    !check_subject(p, path, X509_REQ_get_subject_name(r)))
		return NULL;
	GENERAL_NAMES *names = names_of(p, path, r);
	if (names == NULL && p->err.text[0] == '\0' && !p->args.client)
		err_set(&p->err,
		    "%s: has no host name, neither as subjectAltName nor as common name: no client would take the "
		    "certificate; have the request made with names, or sign it with --client",
		    path);
	if (p->err.text[0] == '\0') {
		const struct make_spec spec = {
			.kind = p->args.client ? MAKE_CLIENT : MAKE_SERVER,
			.subject = X509_REQ_get_subject_name(r),
			.names = names,
			.key = X509_REQ_get0_pubkey(r),
			.issuer = issuer,
			.days = days,
		};
		x = make_cert(p, &spec);
	}
	GENERAL_NAMES_free(names);
	return x;
}

static bool
write_cert(struct pki *p, X509 *x, const char *out)
{
	struct writes w = {.n = 0};
	struct buf pem;

	pem_begin(&pem);
	bool ok = pem_add_cert(&pem, x, &p->err);
	writes_add(&w, out, buf_view(&pem), WRITE_PUBLIC);
	ok = ok && place_new(p, &w);
	pem_wipe(&pem);
	if (ok)
		(void)printf("%s: certificate\n", out);
	return ok;
}

bool
create_signed(struct pki *p, const char *csr, const char *ca, const char *out)
{
	struct issuer issuer = {.cert = NULL};
	X509 *x = NULL;

	X509_REQ *r = read_request(p, csr);
	if (r != NULL && issuer_read(p, ca, &issuer))
		x = sign(p, csr, r, &issuer);
	bool ok = x != NULL && write_cert(p, x, out);
	X509_free(x);
	issuer_free(&issuer);
	X509_REQ_free(r);
	return ok;
}

/* NAME for NAME.csr, wherever it lies. */
static const char *
default_out(struct pki *p, const char *csr)
{
	const char *slash = strrchr(csr, '/');
	struct sv name = sv_cstr(slash != NULL ? slash + 1 : csr);

	if (sv_ends(name, SV(".csr")))
		name.n -= 4;
	const char *base = arena_copy(&p->arena, name);
	return base != NULL ? place(p, base, ".crt") : NULL;
}

int
cmd_sign(struct pki *p)
{
	const char *csr = p->args.v[0];
	const char *with_suffix = arena_printf(&p->arena, "%s.csr", csr);

	if (with_suffix != NULL && access(csr, F_OK) != 0 && access(with_suffix, F_OK) == 0)
		csr = with_suffix;
	const char *out = p->args.out != NULL ? p->args.out : default_out(p, csr);
	return out != NULL && create_signed(p, csr, p->args.v[1], out) ? PKI_OK : PKI_FAILED;
}
