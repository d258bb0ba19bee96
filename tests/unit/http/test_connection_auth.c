#include <criterion/criterion.h>

#include "http/head.h"

static bool
binds(bool is_response, const char *name, const char *value)
{
	static struct http_head h;

	http_head_init(&h, is_response);
	cr_assert(http_head_add(&h, SV("Date"), SV("NTLM")));
	cr_assert(http_head_add(&h, sv_cstr(name), sv_cstr(value)), "%s: %s", name, value);
	return http_authenticates_connection(&h);
}

Test(connection_auth, words_of_requests)
{
	cr_expect(binds(false, "Authorization", "NTLM TlRMTVNTUAABAAAA"));
	cr_expect(binds(false, "authorization", "ntlm x"));
	cr_expect(binds(false, "AUTHORIZATION", "NeGoTiAtE YII="));
	cr_expect(binds(false, "Authorization", "Negotiate"));
	cr_expect_not(binds(false, "Authorization", "Basic TlRMTQ=="));
	cr_expect_not(binds(false, "Authorization", "Bearer NTLM"));
	cr_expect_not(binds(false, "Authorization", "NTL"));
	cr_expect_not(binds(false, "Authorization", ""));
	cr_expect_not(binds(false, "Proxy-Authorization", "NTLM x"));
	cr_expect_not(binds(false, "WWW-Authenticate", "NTLM"));
}

Test(connection_auth, words_of_responses)
{
	cr_expect(binds(true, "WWW-Authenticate", "NTLM"));
	cr_expect(binds(true, "www-authenticate", "negotiate oYG"));
	cr_expect(binds(true, "WWW-Authenticate", "Basic realm=\"x\", NTLM"));
	cr_expect(binds(true, "WWW-Authenticate", "Basic realm=\"x\",\tNegotiate , Digest a=b"));
	cr_expect_not(binds(true, "WWW-Authenticate", "Basic realm=\"NTLM\""));
	cr_expect_not(binds(true, "WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\""));
	cr_expect_not(binds(true, "Proxy-Authenticate", "NTLM"));
	cr_expect_not(binds(true, "Authorization", "NTLM"));
}

Test(connection_auth, in_any_line)
{
	static struct http_head h;

	http_head_init(&h, true);
	cr_assert(http_head_add(&h, SV("WWW-Authenticate"), SV("Basic realm=x")));
	cr_assert(http_head_add(&h, SV("X"), SV("y")));
	cr_expect_not(http_authenticates_connection(&h));
	cr_assert(http_head_add(&h, SV("WWW-Authenticate"), SV("Negotiate")));
	cr_expect(http_authenticates_connection(&h));
	http_head_drop(&h, HTTP_WWW_AUTHENTICATE);
	cr_expect_not(http_authenticates_connection(&h));
}
