/* What is known of a site's client CAs, as bytes. */
#include "fuzz.h"

#include "rotation/client_cas_state.h"

static const struct moment now = {.ms = 1000000, .wall = 1800000000};
static const struct client_cas_settings settings = {.window_ms = 3600 * 1000, .remember = 100};

struct bytes {
	unsigned char *p;
	size_t n;
};

static struct bytes
pack(struct client_cas *s)
{
	struct pack measured = {.to = NULL};

	client_cas_pack(s, now, &measured);
	struct bytes b = {fuzz_alloc(measured.n), measured.n};
	struct pack p = {.to = b.p, .room = b.n};
	client_cas_pack(s, now, &p);
	FUZZ_CHECK(!p.failed && p.n == b.n);
	return b;
}

/* From a block of just its size. */
static struct client_cas *
unpack(const void *p, size_t n)
{
	char *copy = fuzz_copy(sv_of(p, n));
	struct unpack u = {.p = (unsigned char *)copy, .n = n};
	struct err err = {""};
	struct client_cas *s = client_cas_unpack(&u, now, &err);

	FUZZ_CHECK((s == NULL) == (err.text[0] != '\0'));
	FUZZ_CHECK(s == NULL || (u.n == 0 && !u.bad), "half read");
	free(copy);
	return s;
}

/* --- seeds -------------------------------------------------------------------------------------------------- */

static const struct tls_pin pins[2] = {
    {.id = {1}, .sha256 = {1}, .not_after = 1900000000, .until = INT64_MAX, .name = "CN=old"},
    {.id = {2}, .sha256 = {2}, .not_after = 2000000000, .until = INT64_MAX, .name = "CN=new"},
};

static void
come(struct client_cas *s, unsigned char device, const struct tls_pin *pin, bool stays)
{
	const unsigned char fingerprint[32] = {device, pin->id[0]};
	const char subject[] = {'C', 'N', '=', (char)('a' + device), '\0'};
	const struct client_sighting who = {.fingerprint = fingerprint, .subject = subject, .issuer = pin->name, .serial = "01FF",
	    .not_after = 1850000000, .from = {.bytes = {192, 0, 2, device}, .size = 4}};
	struct holder *h = client_cas_came(s, pin, &who, false, now);

	if (h != NULL && !stays)
		client_cas_left(h, now);
	if (device % 2 == 1)
		client_cas_refused(s, &who, true, now);
}

static void
seed(const char *name, struct client_cas *s)
{
	struct bytes b = pack(s);

	fuzz_seed(name, b.p, b.n);
	free(b.p);
}

void
fuzz_seeds(void)
{
	struct client_cas *s = client_cas_new("devices.example", &settings, now);

	FUZZ_CHECK(s != NULL);
	seed("empty", s);
	FUZZ_CHECK(client_cas_set(s, &settings, pins, 2, now));
	seed("pinned", s);
	for (unsigned char i = 0; i < 3; i++)
		come(s, i, &pins[0], i == 2);
	come(s, 0, &pins[1], false);
	seed("known", s);
	FUZZ_CHECK(client_cas_set(s, &settings, &pins[1], 1, now));
	seed("dropped", s);
	client_cas_unref(s);
}

/* --- what must hold ----------------------------------------------------------------------------------------- */

/* Neither less nor more than the whole is taken for one. */
static void
check_ends(const uint8_t *data, size_t size)
{
	char *longer = fuzz_alloc(size + 1);

	for (size_t n = 1; n < size; n = n * 2 + 1)
		FUZZ_CHECK(unpack(data, size - n) == NULL, "without the last %zu bytes", n);
	memcpy(longer, data, size);
	longer[size] = '\0';
	FUZZ_CHECK(unpack(longer, size + 1) == NULL, "with a byte more");
	free(longer);
}

static struct bytes
kept_again(struct bytes *b)
{
	struct client_cas *again = unpack(b->p, b->n);

	FUZZ_CHECK(again != NULL, "what was made of it can not be kept");
	struct bytes next = pack(again);
	client_cas_unref(again);
	return next;
}

/* What is kept of what was kept is the same; the first time certificates are put in the order in which they were seen. */
static void
check_keeping(struct client_cas *s)
{
	struct bytes first = pack(s), second = kept_again(&first), third = kept_again(&second);

	FUZZ_CHECK(first.n == second.n && second.n == third.n && memcmp(second.p, third.p, second.n) == 0);
	free(first.p);
	free(second.p);
	free(third.p);
}

/* It can be asked and used. */
static void
check_use(struct client_cas *s)
{
	struct client_cas_report report;

	FUZZ_CHECK(client_cas_set(s, &settings, pins, 2, now));
	come(s, 1, &pins[0], false);
	FUZZ_CHECK(client_cas_report(s, true, now, &report));
	for (size_t i = 0; i < report.n_cas; i++)
		(void)client_cas_note_verdict(s, &report.cas[i]);
	client_cas_report_free(&report);
	client_cas_drop_all(s, now);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_cas *s = unpack(data, size);

	if (s == NULL)
		return 0;
	check_ends(data, size);
	check_keeping(s);
	check_use(s);
	check_keeping(s);
	client_cas_unref(s);
	return 0;
}
