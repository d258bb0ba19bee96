#include "pki/subject.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/err.h>

enum { HOST_MAX = 253, LABEL_MAX = 63, COMMON_NAME_MAX = 64 /* RFC 5280, appendix A: ub-common-name */ };

/* --- what a name may be --- */

static bool
is_label(struct sv s)
{
	if (s.n == 0 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

bool
is_host_name(struct sv name)
{
	struct sv rest = sv_starts(name, SV("*.")) ? sv_of(name.p + 2, name.n - 2) : name;

	if (name.n == 0 || name.n > HOST_MAX)
		return false;
	while (rest.p != NULL)
		if (!is_label(sv_cut(&rest, '.')))
			return false;
	return true;
}

/* The bytes of an address; 0: it is none. */
static int
address_of(const char *text, unsigned char out[16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool
is_mail_address(const char *text)
{
	const char *at = strchr(text, '@');

	if (at == NULL || at == text)
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return false;
	return is_host_name(sv_cstr(at + 1));
}

/* "DNS:" and the like say what a name's form says anyhow. */
static const char *
without_prefix(const char *name)
{
	static const struct sv prefixes[] = {{"DNS:", 4}, {"IP:", 3}, {"email:", 6}};

	for (size_t i = 0; i < COUNTOF(prefixes); i++)
		if (strlen(name) > prefixes[i].n && sv_ieq(sv_of(name, prefixes[i].n), prefixes[i]))
			return name + prefixes[i].n;
	return name;
}

static bool
check_name(struct subject *s, size_t i, struct err *err)
{
	unsigned char address[16];

	s->san[i] = without_prefix(s->san[i]);
	for (size_t k = 0; k < i; k++)
		if (sv_ieq(sv_cstr(s->san[k]), sv_cstr(s->san[i])))
			return err_set(err, "subjectAltName: \"%s\" is there twice; leave one", s->san[i]);
	return is_host_name(sv_cstr(s->san[i])) || address_of(s->san[i], address) != 0 || is_mail_address(s->san[i]) ||
	    err_set(err,
	        "subjectAltName: \"%s\" is neither a host name (a wildcard is its whole first label, as in *.shop.example; "
	        "other scripts than Latin go in their xn-- form) nor an address",
	        s->san[i]);
}

static bool
check_country(const char *c, struct err *err)
{
	bool ok = c == NULL || (strlen(c) == 2 && ascii_lower(c[0]) >= 'a' && ascii_lower(c[0]) <= 'z' &&
	                           ascii_lower(c[1]) >= 'a' && ascii_lower(c[1]) <= 'z');

	return ok || err_set(err, "C: \"%s\" is no country; it has two letters, such as DE", c);
}

static bool
check_text(const char *what, const char *text, struct err *err)
{
	for (const char *c = text; c != NULL && *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return err_set(err, "%s: has a control character; leave it out", what);
	return true;
}

static bool
has_name(const struct subject *s, const char *name)
{
	for (size_t i = 0; i < s->n_san; i++)
		if (sv_ieq(sv_cstr(s->san[i]), sv_cstr(name)))
			return true;
	return false;
}

bool
subject_complete(struct pki *p, struct subject *s)
{
	for (size_t i = 0; i < s->n_san; i++)
		if (!check_name(s, i, &p->err))
			return false;
	if (!check_country(s->c, &p->err) || !check_text("CN", s->cn, &p->err) || !check_text("OU", s->ou, &p->err) ||
	    !check_text("O", s->o, &p->err) || !check_text("L", s->l, &p->err) || !check_text("ST", s->st, &p->err))
		return false;
	if (s->cn == NULL && s->n_san == 0)
		return err_set(&p->err, "neither a common name (CN:…) nor a subjectAltName; a certificate has one of them");
	if (s->cn == NULL && strlen(s->san[0]) <= COMMON_NAME_MAX)
		s->cn = s->san[0];
	/* Clients go by subjectAltName alone (RFC 9110, 4.3.4). */
	bool host = s->cn != NULL && strchr(s->cn, '.') != NULL && is_host_name(sv_cstr(s->cn));
	if (!host || has_name(s, s->cn))
		return true;
	if (s->n_san == SAN_MAX)
		return err_set(&p->err, "too many names: at most %d", SAN_MAX);
	memmove(s->san + 1, s->san, s->n_san * sizeof(s->san[0]));
	s->san[0] = s->cn;
	s->n_san++;
	return true;
}

/* --- OpenSSL's objects --- */

static bool
add_entry(X509_NAME *name, int nid, const char *what, const char *value, struct err *err)
{
	char why[160];

	if (value == NULL || X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0))
		return true;
	tls_error_text(why, sizeof(why));
	return err_set(err, "%s: \"%s\" can not stand in a certificate: %s", what, value, why);
}

X509_NAME *
subject_name(const struct subject *s, struct err *err)
{
	X509_NAME *name = X509_NAME_new();
	char country[3] = "";

	if (name == NULL) {
		err_no_memory(err);
		return NULL;
	}
	ERR_clear_error();
	for (size_t i = 0; s->c != NULL && i < 2; i++)
		country[i] = (char)(ascii_lower(s->c[i]) - 'a' + 'A');
	/* From the general to the particular, as directories have it. */
	if (add_entry(name, NID_countryName, "C", s->c != NULL ? country : NULL, err) &&
	    add_entry(name, NID_stateOrProvinceName, "ST", s->st, err) &&
	    add_entry(name, NID_localityName, "L", s->l, err) && add_entry(name, NID_organizationName, "O", s->o, err) &&
	    add_entry(name, NID_organizationalUnitName, "OU", s->ou, err) &&
	    add_entry(name, NID_commonName, "CN", s->cn, err))
		return name;
	X509_NAME_free(name);
	return NULL;
}

static GENERAL_NAME *
general_name(const char *text)
{
	unsigned char address[16];
	int n = address_of(text, address), type = n > 0 ? GEN_IPADD : strchr(text, '@') != NULL ? GEN_EMAIL : GEN_DNS;
	ASN1_STRING *value = ASN1_STRING_type_new(n > 0 ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	GENERAL_NAME *g = GENERAL_NAME_new();

	if (g == NULL || value == NULL ||
	    ASN1_STRING_set(value, n > 0 ? (const void *)address : text, n > 0 ? n : -1) != 1) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(value);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, type, value);
	return g;
}

GENERAL_NAMES *
subject_alt_names(const struct subject *s, struct err *err)
{
	GENERAL_NAMES *all = s->n_san > 0 ? GENERAL_NAMES_new() : NULL;

	for (size_t i = 0; all != NULL && i < s->n_san; i++) {
		GENERAL_NAME *one = general_name(s->san[i]);
		if (one != NULL && sk_GENERAL_NAME_push(all, one) > 0)
			continue;
		GENERAL_NAME_free(one);
		GENERAL_NAMES_free(all);
		all = NULL;
	}
	if (s->n_san > 0 && all == NULL)
		err_no_memory(err);
	return all;
}
