/* The sticky cookie: a server is named by its own value alone. Each line of the input is a Cookie field. */
#include "fuzz.h"

#include "balance/upstream.h"

enum { SERVERS = 4, CHOICES = 2 * SERVERS };

static const struct conf_server servers[SERVERS] = {
    {.address = "192.0.2.1:80", .weight = 1},
    {.address = "192.0.2.2:80", .weight = 1},
    {.address = "[2001:db8::3]:80", .weight = 1},
    {.address = "unix:/run/origin", .weight = 1},
};
static const struct conf_upstream conf = {
    .name = "nodes",
    .servers = (struct conf_server *)servers,
    .n_servers = SERVERS,
    .balance = CONF_ROUND_ROBIN,
    .sticky = {.present = true, .cookie = "BASCULE", .path = "/"},
};

/* Always by the same secret, so that what is found in one run is found again in the next. */
static const struct upstream *
nodes(void)
{
	static const struct secret secret = {.bytes = "thirty-two bytes that nobody hides", .n = SECRET_MIN};
	static struct server_registry *registry;
	static struct upstream *u;
	struct conf_problems problems;
	struct err err = {""};

	if (u == NULL) {
		conf_problems_init(&problems);
		registry = server_registry_new();
		u = upstream_new(&conf, registry, NULL, &secret, &problems, &err);
		FUZZ_CHECK(u != NULL && problems.errors + problems.warnings == 0, "%s", err.text);
	}
	return u;
}

/* The valid values, in various company. */
void
fuzz_seeds(void)
{
	static const struct {
		const char *name, *before, *behind;
	} seeds[SERVERS] = {{"alone", "", ""}, {"amid", "a=b; ", "; c=d"}, {"behind", "c=d\n", ""}, {"first", "", ";BASCULE=x"}};
	struct buf b;

	for (unsigned i = 0; i < SERVERS; i++) {
		buf_init(&b, 256);
		FUZZ_CHECK(buf_printf(&b, "%sBASCULE=%s%s", seeds[i].before, upstream_at(nodes(), i)->sticky, seeds[i].behind));
		fuzz_seed(seeds[i].name, buf_view(&b).p, buf_len(&b));
		buf_clear(&b);
	}
}

/* The server of the first pair called BASCULE, if its value is one of ours to the last character; -1: none. */
static int
expected(struct sv lines)
{
	static const struct sv name = SV("BASCULE");

	while (lines.p != NULL) {
		struct sv line = sv_cut(&lines, '\n');
		while (line.p != NULL) {
			struct sv pair = sv_trim(sv_cut(&line, ';')), value = sv_of(pair.p + name.n, pair.n - name.n);
			if (!sv_starts(pair, name))
				continue;
			value = sv_trim(value);
			if (value.n == 0 || value.p[0] != '=')
				continue;
			value = sv_trim(sv_of(value.p + 1, value.n - 1));
			for (int i = 0; i < SERVERS; i++)
				if (sv_eq(value, sv_cstr(upstream_at(nodes(), (unsigned)i)->sticky)))
					return i;
			return -1;
		}
	}
	return -1;
}

static bool
make_request(struct http_head *h, struct sv lines)
{
	http_head_init(h, false);
	while (lines.p != NULL)
		if (!http_head_add(h, SV("cookie"), sv_trim(sv_cut(&lines, '\n'))))
			return false;
	return true;
}

/* Without a name each server has its turn, as often as the others. */
static void
check_choices(const struct http_head *request, int named)
{
	const struct upstream_tried none = {.bits = {0}};
	unsigned chosen[SERVERS] = {0};

	for (unsigned i = 0; i < CHOICES; i++) {
		int server = upstream_choose(nodes(), request, &none, 1000, i);
		FUZZ_CHECK(server >= 0 && server < SERVERS);
		chosen[server]++;
	}
	for (int i = 0; i < SERVERS; i++) {
		unsigned times = named < 0 ? CHOICES / SERVERS : i == named ? CHOICES : 0;
		FUZZ_CHECK(chosen[i] == times, "server %d: %u times, not %u; named: %d", i, chosen[i], times, named);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_copy(sv_of((const char *)data, size));
	struct sv lines = sv_of(copy, size), cookie;
	struct http_head request;

	if (size > 0 && make_request(&request, lines)) {
		int named = expected(lines);
		check_choices(&request, named);
		for (int i = 0; i < SERVERS; i++) {
			bool told = upstream_sticky_cookie(nodes(), &request, i, true, &cookie);
			FUZZ_CHECK(told == (i != named), "server %d; named: %d", i, named);
		}
	}
	free(copy);
	return 0;
}
