#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/client.h"

static struct snapshot snapshot;
static struct px_view view = {.snapshot = &snapshot, .refs = 1};
static struct px_thread thread = {.number = 3};
static struct client client;
static struct exchange x = {.view = &view, .client = &client, .thread = &thread, .server = -1};
static struct access_log lines;
static struct buf written;
static uint64_t lost;
static int fd;

static void
begin(void)
{
	fd = memfd_create("log", 0);
	cr_assert_geq(fd, 0);
	lost = 0;
	access_log_init(&lines, &lost);
	client.address_n = (uint8_t)snprintf(client.address_text, sizeof(client.address_text), "192.0.2.7");
	x.started_us = clock_wall_us();
	x.status = 200;
	x.number = 17;
	x.body_out = 1234;
	http_head_init(&x.request, false);
	x.request.minor = 1;
	x.request.method = SV("GET");
	x.request.target = SV("/path?a=b");
	x.request.authority = SV("a.test");
	buf_init(&written, 64 * 1024 * 1024);
}

static void
end(void)
{
	access_log_set(&lines, -1, CONF_ACCESS_JSON);
	buf_clear(&written);
	close(fd);
}

TestSuite(access_log, .init = begin, .fini = end);

static void
set(enum conf_access_format format)
{
	access_log_set(&lines, fd, format);
}

/* All that was written so far. */
static struct sv
read_back(void)
{
	char bytes[65536];
	ssize_t n;

	access_log_flush(&lines);
	buf_clear(&written);
	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		cr_assert(buf_append(&written, bytes, (size_t)n));
	return buf_view(&written);
}

static void
user_agent(struct sv value)
{
	/* Bytes that the codec would not let through are put there as well. */
	x.request.fields[0] = (struct http_field){SV("User-Agent"), value, HTTP_USER_AGENT, false};
	x.request.first[HTTP_USER_AGENT] = 1;
	x.request.n_fields = 1;
}

/* Each line is an object; the last one is returned. */
static json_t *
parse_lines(unsigned expected)
{
	struct sv all = read_back();
	json_t *last = NULL;
	unsigned n = 0;

	while (all.n > 0) {
		json_error_t error;
		struct sv line = sv_cut(&all, '\n');
		json_decref(last);
		last = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
		cr_assert_not_null(last, "%s: %.*s", error.text, SV_FMT(line));
		n++;
	}
	cr_assert_eq(n, expected, "%u lines", n);
	return last;
}

static void
expect_string(const json_t *line, const char *key, const char *value)
{
	const char *is = json_string_value(json_object_get(line, key));

	cr_assert_not_null(is, "%s", key);
	cr_expect_str_eq(is, value);
}

/* --- JSON --------------------------------------------------------------------------------------------------- */

Test(access_log, a_json_line_says_it_all)
{
	set(CONF_ACCESS_JSON);
	user_agent(SV("curl/7.88"));
	x.failure = "the origin broke \"it\"";
	access_log_write(&lines, &x);
	json_t *line = parse_lines(1);
	expect_string(line, "client", "192.0.2.7");
	expect_string(line, "method", "GET");
	expect_string(line, "host", "a.test");
	expect_string(line, "target", "/path?a=b");
	expect_string(line, "user_agent", "curl/7.88");
	expect_string(line, "reason", "the origin broke \"it\"");
	cr_expect_eq(json_integer_value(json_object_get(line, "status")), 200);
	cr_expect_eq(json_integer_value(json_object_get(line, "bytes_out")), 1234);
	cr_expect_eq(json_integer_value(json_object_get(line, "thread")), 3);
	cr_expect_eq(json_integer_value(json_object_get(line, "request")), 17);
	cr_expect_geq(json_integer_value(json_object_get(line, "duration_us")), 0);
	cr_expect_null(json_object_get(line, "server"), "none was chosen");
	json_decref(line);
}

Test(access_log, every_byte_gives_json)
{
	set(CONF_ACCESS_JSON);
	for (unsigned c = 0; c < 256; c++) {
		char agent[4] = {'a', (char)c, 'z', 0};
		user_agent(sv_of(agent, 3));
		access_log_write(&lines, &x);
	}
	json_decref(parse_lines(256));
}

Test(access_log, a_client_can_not_forge_a_json_line_or_field)
{
	set(CONF_ACCESS_JSON);
	user_agent(SV("x\",\"client\":\"10.0.0.1\"}\r\n{\"time\":\"\"}\n\\"));
	x.request.target = SV("/\",\"status\":500,\"x\":\"\\");
	access_log_write(&lines, &x);
	json_t *line = parse_lines(1);
	expect_string(line, "client", "192.0.2.7");
	expect_string(line, "user_agent", "x\",\"client\":\"10.0.0.1\"}\r\n{\"time\":\"\"}\n\\");
	cr_expect_eq(json_integer_value(json_object_get(line, "status")), 200);
	json_decref(line);
}

Test(access_log, a_clock_that_was_put_back_gives_no_absurd_duration)
{
	set(CONF_ACCESS_JSON);
	x.started_us = clock_wall_us() + 3600 * UINT64_C(1000000);
	access_log_write(&lines, &x);
	json_t *line = parse_lines(1);
	cr_expect_eq(json_integer_value(json_object_get(line, "duration_us")), 0);
	json_decref(line);
}

/* The longest that each part can be, of the bytes that take the most room. */
static void
make_monstrous(char *long_text, size_t n)
{
	static struct tls_peer peer;

	memset(long_text, 0xff, n);
	peer.subject = long_text;
	client.peer = &peer;
	user_agent(sv_of(long_text, n));
	x.request.fields[1] = (struct http_field){SV("Referer"), sv_of(long_text, n), HTTP_REFERER, false};
	x.request.first[HTTP_REFERER] = 2;
	x.request.n_fields = 2;
	x.request.method = x.request.target = x.request.authority = sv_of(long_text, n);
}

Test(access_log, monstrous_lines_are_json_all_the_same)
{
	enum { LONG = 40000, TIMES = 30 };
	char *text = malloc(LONG + 1);

	cr_assert_not_null(text);
	set(CONF_ACCESS_JSON);
	text[LONG] = '\0';
	make_monstrous(text, LONG);
	x.failure = text;
	for (unsigned i = 0; i < TIMES; i++)
		access_log_write(&lines, &x);
	json_decref(parse_lines(TIMES));
	free(text);
}

Test(access_log, small_and_monstrous_ones_mixed)
{
	enum { LONG = 40000, TIMES = 400 };
	char *text = malloc(LONG + 1);
	unsigned seed = 11;

	cr_assert_not_null(text);
	set(CONF_ACCESS_JSON);
	memset(text, 0xff, LONG);
	for (unsigned i = 0; i < TIMES; i++) {
		user_agent(sv_of(text, (unsigned)rand_r(&seed) % LONG));
		x.request.target = sv_of(text, rand_r(&seed) % 5 == 0 ? (unsigned)rand_r(&seed) % LONG : 20);
		access_log_write(&lines, &x);
	}
	json_decref(parse_lines(TIMES));
	free(text);
}

/* --- the combined form -------------------------------------------------------------------------------------- */

/* A line is: client - - [time] "request" status bytes "referer" "user agent": six quotes that are not escaped. */
static void
expect_combined(unsigned expected)
{
	struct sv all = read_back();
	unsigned n = 0;

	cr_assert(all.n == 0 || all.p[all.n - 1] == '\n');
	while (all.n > 0) {
		struct sv line = sv_cut(&all, '\n');
		unsigned quotes = 0;
		for (size_t i = 0; i < line.n; i++) {
			cr_assert(line.p[i] >= 0x20 && line.p[i] < 0x7f, "%.*s", SV_FMT(line));
			if (line.p[i] == '\\')
				i++;
			else
				quotes += line.p[i] == '"';
		}
		cr_assert_eq(quotes, 6, "%.*s", SV_FMT(line));
		cr_assert(sv_starts(line, SV("192.0.2.7 - - [")), "%.*s", SV_FMT(line));
		cr_assert(sv_ends(line, SV("\"")));
		n++;
	}
	cr_assert_eq(n, expected);
}

Test(access_log, a_combined_line_is_as_everybody_knows_it)
{
	set(CONF_ACCESS_COMBINED);
	user_agent(SV("curl/7.88"));
	x.started_us = UINT64_C(1795256430) * 1000000;
	access_log_write(&lines, &x);
	struct sv line = read_back();
	cr_expect(sv_eq(line, SV("192.0.2.7 - - [21/Nov/2026:10:20:30 +0000] \"GET /path?a=b HTTP/1.1\" 200 1234 \"-\" \"curl/7.88\"\n")),
	    "%.*s", SV_FMT(line));
	expect_combined(1);
}

Test(access_log, a_client_can_not_forge_a_combined_line)
{
	set(CONF_ACCESS_COMBINED);
	user_agent(SV("x\"\n10.0.0.1 - - [1/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 0 \"-\" \"\\"));
	x.request.target = SV("/\" 200 0 \"-\" \"\r\n");
	access_log_write(&lines, &x);
	expect_combined(1);
}

Test(access_log, monstrous_combined_lines_are_whole)
{
	enum { LONG = 40000, TIMES = 30 };
	char *text = malloc(LONG);

	cr_assert_not_null(text);
	set(CONF_ACCESS_COMBINED);
	make_monstrous(text, LONG);
	for (unsigned i = 0; i < TIMES; i++)
		access_log_write(&lines, &x);
	expect_combined(TIMES);
	free(text);
}

/* --- files -------------------------------------------------------------------------------------------------- */

Test(access_log, lines_gather_and_are_written_when_told)
{
	struct sv before;

	set(CONF_ACCESS_JSON);
	access_log_write(&lines, &x);
	cr_expect_eq(lseek(fd, 0, SEEK_END), 0, "one write for many lines");
	access_log_write(&lines, &x);
	before = read_back();
	cr_expect_gt(before.n, 0);
	access_log_flush(&lines);
	cr_expect_eq(lseek(fd, 0, SEEK_END), (off_t)before.n, "only once");
}

Test(access_log, a_new_file_gets_none_of_the_old_ones_lines)
{
	int other = memfd_create("other", 0);

	set(CONF_ACCESS_JSON);
	access_log_write(&lines, &x);
	access_log_set(&lines, other, CONF_ACCESS_JSON);
	cr_expect_eq(lseek(other, 0, SEEK_END), 0);
	json_decref(parse_lines(1));
	close(other);
}

Test(access_log, without_a_file_nothing_gathers)
{
	access_log_write(&lines, &x);
	cr_expect_eq(buf_len(&lines.lines), 0);
	set(CONF_ACCESS_JSON);
	access_log_set(&lines, -1, CONF_ACCESS_JSON);
	access_log_write(&lines, &x);
	cr_expect_null(lines.lines.data);
}

Test(access_log, a_full_disk_stops_nobody)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (full < 0)
		cr_skip_test("no /dev/full here");
	access_log_set(&lines, full, CONF_ACCESS_JSON);
	for (unsigned i = 0; i < 1000; i++)
		access_log_write(&lines, &x);
	set(CONF_ACCESS_JSON);
	close(full);
	cr_expect_eq(lost, 1000, "%llu", (unsigned long long)lost);
	access_log_write(&lines, &x);
	json_decref(parse_lines(1));
}
