/* The server name of a ClientHello: the body of the extension. */
#include "fuzz.h"

#include <arpa/inet.h>

#include "tls/hello.h"

static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

/* One that may stand in a table of sites, and that no two spellings of which are told apart. */
static void
check_name(const char *name, struct sv sent)
{
	struct in_addr v4;
	struct in6_addr v6;
	char again[HELLO_NAME_MAX + 1];
	struct sv rest = sv_cstr(name);

	FUZZ_CHECK(rest.n > 0 && rest.n <= HELLO_NAME_MAX && strspn(name, allowed) == rest.n, "%s", name);
	FUZZ_CHECK(inet_pton(AF_INET, name, &v4) != 1 && inet_pton(AF_INET6, name, &v6) != 1, "%s", name);
	FUZZ_CHECK(sv_ieq(rest, sent) || (sent.n == rest.n + 1 && sv_ieq(rest, sv_of(sent.p, rest.n)) && sent.p[rest.n] == '.'),
	    "%s", name);
	FUZZ_CHECK(hello_host_name(rest, again) == HELLO_NAME && strcmp(name, again) == 0, "%s", name);
	while (rest.p != NULL) {
		struct sv label = sv_cut(&rest, '.');
		FUZZ_CHECK(label.n > 0 && label.n <= 63, "%s", name);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { HEAD = 5 };
	char *copy = fuzz_copy(sv_of((const char *)data, size)), name[HELLO_NAME_MAX + 1], bare[HELLO_NAME_MAX + 1];
	enum hello_name result = hello_server_name((const unsigned char *)copy, size, name);

	/* The extension has one form: two lengths that tell of the same bytes, and a type between them. */
	bool whole = size > HEAD && (data[0] << 8 | data[1]) == (int)size - 2 && data[2] == 0 &&
	    (data[3] << 8 | data[4]) == (int)size - HEAD;
	FUZZ_CHECK((result != HELLO_MALFORMED) == whole);
	FUZZ_CHECK(result == HELLO_NAME || name[0] == '\0');
	if (whole) {
		struct sv sent = sv_of(copy + HEAD, size - HEAD);
		FUZZ_CHECK(hello_host_name(sent, bare) == result && strcmp(bare, name) == 0);
		if (result == HELLO_NAME)
			check_name(name, sent);
	}
	/* And all of it as a bare name, which no length stands in the way of. */
	struct sv all = sv_of(copy, size);
	if (hello_host_name(all, bare) == HELLO_NAME)
		check_name(bare, all);
	free(copy);
	return 0;
}
