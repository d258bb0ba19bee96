/* Single values: what a row takes and what it says to the rest. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "conf/value.h"
#include "try.h"

TRY_SUITE(conf_values);

/* The number that a value gives; UINT64_MAX: none. */
static uint64_t
number(enum key_type type, const char *json)
{
	const struct key k = {.type = type, .max = KEY_NO_MAX};
	uint64_t v = 7;
	json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);

	bool ok = value_number(&k, j, &v);
	json_decref(j);
	return ok ? v : UINT64_MAX;
}

Test(conf_values, durations)
{
	cr_expect_eq(number(KEY_DURATION, "\"250ms\""), 250);
	cr_expect_eq(number(KEY_DURATION, "\"90s\""), 90 * SECOND);
	cr_expect_eq(number(KEY_DURATION, "\"10m\""), 10 * MINUTE);
	cr_expect_eq(number(KEY_DURATION, "\"12h\""), 12 * HOUR);
	cr_expect_eq(number(KEY_DURATION, "\"7d\""), 7 * DAY);
	cr_expect_eq(number(KEY_DURATION, "\"0s\""), 0);
	cr_expect_eq(number(KEY_DURATION, "0"), 0);
	cr_expect_eq(number(KEY_DURATION, "\"213503982334d\""), UINT64_C(213503982334) * DAY);
	const char *const bad[] = {"1", "\"1\"", "\"\"", "\"s\"", "\"1 s\"", "\" 1s\"", "\"1s \"", "\"-1s\"", "\"+1s\"", "\"1.5s\"", "\"1S\"",
	    "\"1sec\"", "\"1h30m\"", "\"0x10s\"", "1.0", "true", "null", "[]", "\"213503982335d\"", "\"18446744073709551616ms\""};
	for (size_t i = 0; i < COUNTOF(bad); i++)
		cr_expect_eq(number(KEY_DURATION, bad[i]), UINT64_MAX, "%s", bad[i]);
}

Test(conf_values, sizes)
{
	cr_expect_eq(number(KEY_SIZE, "0"), 0);
	cr_expect_eq(number(KEY_SIZE, "1500"), 1500);
	cr_expect_eq(number(KEY_SIZE, "\"64k\""), 64 * KIB);
	cr_expect_eq(number(KEY_SIZE, "\"10m\""), 10 * MIB);
	cr_expect_eq(number(KEY_SIZE, "\"2g\""), 2 * GIB);
	const char *const bad[] = {"-1", "1.5", "\"64\"", "\"64K\"", "\"64kb\"", "\"k\"", "\"17179869184g\"", "true"};
	for (size_t i = 0; i < COUNTOF(bad); i++)
		cr_expect_eq(number(KEY_SIZE, bad[i]), UINT64_MAX, "%s", bad[i]);
}

Test(conf_values, numbers_take_no_units)
{
	cr_expect_eq(number(KEY_NUMBER, "12"), 12);
	cr_expect_eq(number(KEY_NUMBER, "\"12\""), UINT64_MAX);
	cr_expect_eq(number(KEY_NUMBER, "\"12k\""), UINT64_MAX);
	cr_expect_eq(number(KEY_NUMBER, "-1"), UINT64_MAX);
	cr_expect_eq(number(KEY_NUMBER, "1.0"), UINT64_MAX);
}

Test(conf_values, numbers_as_text)
{
	char text[VALUE_NUMBER_TEXT];

	value_number_text(KEY_DURATION, 90 * SECOND, text);
	cr_expect_str_eq(text, "\"90s\"");
	value_number_text(KEY_DURATION, 2 * HOUR, text);
	cr_expect_str_eq(text, "\"2h\"");
	value_number_text(KEY_DURATION, 1, text);
	cr_expect_str_eq(text, "\"1ms\"");
	value_number_text(KEY_SIZE, 32 * KIB, text);
	cr_expect_str_eq(text, "\"32k\"");
	value_number_text(KEY_SIZE, 1001, text);
	cr_expect_str_eq(text, "1001");
	value_number_text(KEY_DURATION, 0, text);
	cr_expect_str_eq(text, "0");
}


static const struct try_fault faults[] = {
	{"\"lissteners\": []", "c.json:2:1: lissteners: unknown key; did you mean \"listeners\"?\n"},
	{"\"watch\": true", "c.json:2:1: watch: unknown key here; it belongs into \"reload\"\n"},
	{"\"admin\": { \"way\": 1 }", "c.json:2:12: admin.way: unknown key; known here are: socket\n"},
	/* known, but not here: where? */
	{"\"trace\": true", "c.json:2:1: trace: unknown key here; it is a key of sites[]\n"},
	{"\"sites\": [ { \"http2\": true } ]", "c.json:2:14: sites[0].http2: unknown key here; it is a key of the top and upstreams.NAME\n"},
	{"\"sites\": [ { \"proxy_protocol\": \"v2\" } ]",
	    "c.json:2:14: sites[0].proxy_protocol: unknown key here; it is a key of listeners[] and upstreams.NAME\n"},
	{"\"upstreams\": { \"u\": { \"servers\": [ { \"address\": \"h:1\", \"http2\": true } ] } }",
	    "c.json:2:56: upstreams.u.servers[0].http2: unknown key here; it is a key of the top and upstreams.NAME\n"},
	{"\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"response\": \"5s\" } }",
	    "c.json:2:45: upstreams.u.response: unknown key here; it is a key of sites[].routes[].timeouts, sites[].timeouts and timeouts\n"},
	{"\"sites\": [ { \"pins\": [] } ]",
	    "c.json:2:14: sites[0].pins: unknown key here; it belongs into \"client_certificate\"\n"},
	{"\"sites\": [ { \"response\": \"5s\" } ]",
	    "c.json:2:14: sites[0].response: unknown key here; did you mean \"response_headers\"? \"response\" is a key of timeouts\n"},
	{"\"http2\": { \"trac\": 1, \"tracks\": 1, \"track\": 1 }",
	    "c.json:2:12: http2.trac: unknown key; known here are: enabled, streams, stream_window, connection_window, send_buffer, "
	    "flood_burst, flood_rate\n"
	    "c.json:2:23: http2.tracks: unknown key; known here are: enabled, streams, stream_window, connection_window, send_buffer, "
	    "flood_burst, flood_rate\n"
	    "c.json:2:36: http2.track: unknown key here; it is a key of bundles.NAME.rotation\n"},
	{"\"threads\": \"4\"", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not \"4\"; write 4 without quotes\n"},
	{"\"threads\": -1", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not -1; the nearest is 0\n"},
	{"\"limits\": { \"head_bytes\": -1 }",
	    "c.json:2:27: limits.head_bytes: expected a size from \"1k\" to \"1m\", not -1; the nearest is \"1k\"\n"},
	{"\"threads\": 1.5", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not 1.5\n"},
	{"\"threads\": 64", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not 64; the nearest is 63\n"},
	{"\"drain_timeout\": 30",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not 30; write \"30s\", with its unit\n"},
	{"\"drain_timeout\": \"25h\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"25h\"; the nearest is \"1d\"\n"},
	{"\"limits\": { \"head_bytes\": \"64kb\" }",
	    "c.json:2:27: limits.head_bytes: expected a size from \"1k\" to \"1m\", not \"64kb\"; write \"64k\"\n"},
	{"\"limits\": { \"head_bytes\": 1023 }",
	    "c.json:2:27: limits.head_bytes: expected a size from \"1k\" to \"1m\", not 1023; the nearest is \"1k\"\n"},
	{"\"timeouts\": { \"idle\": 0 }",
	    "c.json:2:23: timeouts.idle: expected a duration from \"100ms\" to \"1d\", not 0; the nearest is \"100ms\"\n"},
	/* the same in another form, or with a unit that is plain */
	{"\"threads\": \"80\"", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not \"80\"; the nearest is 63\n"},
	{"\"threads\": \"0\"",
	    "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not \"0\"; write 0 without quotes\n"},
	{"\"threads\": 4.0", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not 4.0; write 4\n"},
	{"\"threads\": \"four\"", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not \"four\"\n"},
	{"\"threads\": true", "c.json:2:12: threads: expected a whole number from 1 to 63, or 0 (one per processor), not true\n"},
	{"\"drain_timeout\": 30000",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not 30000; write \"30000s\" or "
	    "\"30000ms\", with its unit\n"},
	{"\"drain_timeout\": \"100000\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"100000\"; the "
	    "most is \"1d\"; if milliseconds are meant, write \"100000ms\"\n"},
	{"\"drain_timeout\": 90000000",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not 90000000; the nearest is "
	    "\"1d\"\n"},
	{"\"drain_timeout\": 18446744073709551",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not 18446744073709551; the "
	    "nearest is \"1d\"\n"},
	{"\"drain_timeout\": \"10 Min\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"10 Min\"; write \"10m\"\n"},
	{"\"drain_timeout\": \"30sec\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"30sec\"; write \"30s\"\n"},
	{"\"drain_timeout\": \"90 secs\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"90 secs\"; write \"90s\"\n"},
	{"\"drain_timeout\": \"5 mi\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"5 mi\"; write \"30s\"\n"},
	{"\"drain_timeout\": \"1.5h\"",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not \"1.5h\"; write \"30s\"\n"},
	{"\"drain_timeout\": -5",
	    "c.json:2:18: drain_timeout: expected a duration from \"100ms\" to \"1d\", or 0 (not at all), not -5; the nearest is 0\n"},
	{"\"limits\": { \"body_bytes\": \"1048577\" }",
	    "c.json:2:27: limits.body_bytes: expected a size, or 0 (any size), not \"1048577\"; write 1048577 without quotes\n"},
	{"\"limits\": { \"head_bytes\": \"2 GiB\" }",
	    "c.json:2:27: limits.head_bytes: expected a size from \"1k\" to \"1m\", not \"2 GiB\"; the nearest is \"1m\"\n"},
	{"\"reload\": { \"watch\": 0 }", "c.json:2:22: reload.watch: expected true or false, not 0; write false\n"},
	{"\"reload\": { \"watch\": \"True\" }", "c.json:2:22: reload.watch: expected true or false, not \"True\"; write true\n"},
	{"\"reload\": { \"watch\": null }", "c.json:2:22: reload.watch: expected true or false, not null\n"},
	{"\"tls\": { \"min_version\": 1.3 }", "c.json:2:25: tls.min_version: expected one of \"1.2\", \"1.3\", not 1.3; write \"1.3\"\n"},
	{"\"user\": 1000", "c.json:2:9: user: expected a string, not 1000; write \"1000\"\n"},
	{"\"sites\": [ { \"response_headers\": { \"set\": { \"X-A\": 5 } } } ]",
	    "c.json:2:52: sites[0].response_headers.set.X-A: expected a string, not 5; write \"5\"\n"},
	{"\"upstreams\": { \"u\": { \"servers\": \"h:1\" } }",
	    "c.json:2:34: upstreams.u.servers: expected a list of objects, not \"h:1\"; write [ \"h:1\" ]\n"},
	{"\"upstreams\": { \"u\": { \"servers\": \"h\" } }",
	    "c.json:2:34: upstreams.u.servers: expected a list of objects, not \"h\"; write [ \"10.0.0.1:8080\", { \"address\": "
	    "\"10.0.0.2:8080\", \"weight\": 2 } ]\n"},
	{"\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"sticky\": true } }",
	    "c.json:2:55: upstreams.u.sticky: expected an object, not true; write {}\n"},
	/* of the form that a key of the same name has elsewhere */
	{"\"http2\": true", "c.json:2:10: http2: expected an object, not true; write { \"streams\": 64 }; the \"http2\" of upstreams.NAME takes true\n"},
	{"\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"http2\": { \"streams\": 5 } } }",
	    "c.json:2:54: upstreams.u.http2: expected true or false, not an object; the \"http2\" of the top takes an object\n"},
	{"\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": true } }",
	    "c.json:2:52: upstreams.u.tls: expected an object, not true; write {}; the \"tls\" of listeners[] takes true\n"},
	{"\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"proxy_protocol\": { \"from\": [] } } }",
	    "c.json:2:63: upstreams.u.proxy_protocol: expected one of \"none\", \"v1\", \"v2\", not an object; the "
	    "\"proxy_protocol\" of listeners[] takes an object\n"},
	{"\"limits\": []", "c.json:2:11: limits: expected an object, not a list; write { \"head_bytes\": \"16k\", \"body_bytes\": \"10m\" }\n"},
	{"\"sites\": {}", "c.json:2:10: sites: expected a list of objects, not an object; write it in brackets: [ { … } ]\n"},
	{"\"upstreams\": []",
	    "c.json:2:14: upstreams: expected an object of objects, not a list; write { \"nodes\": { \"servers\": [ \"10.0.0.1:8080\" ] } }\n"},
	{"\"log\": { \"level\": \"warn\" }",
	    "c.json:2:19: log.level: expected one of \"error\", \"warning\", \"notice\", \"info\", \"debug\", not \"warn\"; "
	    "did you mean \"warning\"?\n"},
	{"\"log\": { \"access\": 3 }", "c.json:2:20: log.access: expected a path, not 3; write \"/var/log/bascule/access.log\"\n"},
	{"\"reload\": { \"watch\": \"yes\" }", "c.json:2:22: reload.watch: expected true or false, not \"yes\"; write true\n"},
	{"\"tls\": { \"min_version\": \"1.1\" }", "c.json:2:25: tls.min_version: expected one of \"1.2\", \"1.3\", not \"1.1\"; did you mean \"1.2\"?\n"},
	{"\"user\": null", "c.json:2:9: user: expected a string, not null; write \"bascule\"\n"},
	{"\"user\": \"\"", "c.json:2:9: user: is empty\n"},
	{"\"user\": \"a\\nb\"", "c.json:2:9: user: \"a\\nb\" has a control character in it\n"},
	{"\"user\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaüüü\\u0001\"",
	    "c.json:2:9: user: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… has a control character in it\n"},
	{"\"$schema\": 1", "c.json:2:12: $schema: expected a string, not 1; write \"schema.json\"\n"},
	{"\"include\": 5", "c.json:2:12: include: expected a string or a list of strings, not 5; write \"sites/*.json\"\n"},
	{"\"include\": [ 5 ]", "c.json:2:14: include[0]: expected a string, not 5\n"},
	{"\"trusted_proxies\": [ \"10.0.0.0/33\" ]", "c.json:2:22: trusted_proxies[0]: \"10.0.0.0/33\" needs a number from 0 to 32 after its slash\n"},
	{"\"trusted_proxies\": \"::1/129\"", "c.json:2:20: trusted_proxies: \"::1/129\" needs a number from 0 to 128 after its slash\n"},
	{"\"trusted_proxies\": \"lan\"",
	    "c.json:2:20: trusted_proxies: \"lan\" is no network; write \"10.0.0.0/8\", \"2001:db8::/32\" or one address\n"},
	{"\"trusted_proxies\": [ \"10.0.0.1\", 4 ]", "c.json:2:34: trusted_proxies[1]: expected a string, not 4\n"},
	{"\"bundles\": { \"\": { \"combined\": \"x\" } }", "c.json:2:14: bundles.: a name that is empty or has a control character in it\n"},
	{"\"bundles\": { \"a\": \"x\" }", "c.json:2:19: bundles.a: expected an object, not \"x\"; write { \"certificate\": \"shop/fullchain.pem\", \"key\": \"shop/key.pem\" }\n"},
	/* More could not be kept for a later day. */
	{"\"bundles\": { \"a\": { \"combined\": \"x\", \"rotation\": { \"clients\": 1000001 } } }",
	    "c.json:2:63: bundles.a.rotation.clients: expected a whole number from 1 to 1000000, not 1000001; the nearest is 1000000\n"},
	{"\"sites\": [ { \"default\": true, \"client_certificate\": { \"remember\": 1000001 } } ]",
	    "c.json:2:67: sites[0].client_certificate.remember: expected a whole number from 1 to 1000000, or 0 (none are, and nothing can "
	    "be told), not 1000001; the nearest is 1000000\n"},
	{"\"bundles\": { \"a\": { \"combined\": \"x\", \"rotation\": { \"accept\": [ \"lost-names\", \"lost-name\" ] } } }",
	    "c.json:2:78: bundles.a.rotation.accept[1]: expected one of \"lost-names\", \"earlier-expiry\", \"another-root\", \"weaker-key\", \"too-fresh\", not \"lost-name\"; did you mean \"lost-names\"?\n"},
	{"\"bundles\": { \"a\": { \"combined\": \"x\", \"rotation\": { \"accept\": \"all\" } } }",
	    "c.json:2:62: bundles.a.rotation.accept: expected one of \"lost-names\", \"earlier-expiry\", \"another-root\", \"weaker-key\", \"too-fresh\", not \"all\"\n"},
	{"\"bundles\": { \"a\": { \"combined\": \"x\", \"rotation\": { \"accept\": [ 1 ] } } }",
	    "c.json:2:64: bundles.a.rotation.accept[0]: expected one of \"lost-names\", \"earlier-expiry\", \"another-root\", \"weaker-key\", \"too-fresh\", not 1\n"},
	{"\"bundles\": { \"a\": { \"combined\": \"x\", \"rotation\": { \"accept\": {} } } }",
	    "c.json:2:62: bundles.a.rotation.accept: expected a list of any of \"lost-names\", \"earlier-expiry\", \"another-root\", \"weaker-key\", \"too-fresh\", not an object\n"},
	{"\"bundles\": { \"a\": { \"combined\": \"x\", \"rotation\": { \"fresh\": 60 } } }",
	    "c.json:2:61: bundles.a.rotation.fresh: expected a duration from \"1s\" to \"30d\", or 0 (at once), not 60; write \"60s\", with its unit\n"},
	{"\"upstreams\": { \"a\": { \"servers\": [ 5 ] } }",
	    "c.json:2:36: upstreams.a.servers[0]: expected an object, not 5; write { \"address\": \"10.0.0.1:8443\", \"weight\": 2 }\n"},
	{"\"upstreams\": { \"a\": {} }",
	    "c.json:2:21: upstreams.a: \"servers\" is missing; write \"servers\": [ \"10.0.0.1:8080\", { \"address\": \"10.0.0.2:8080\", "
	    "\"weight\": 2 } ]\n"},
};

Test(conf_values, faults)
{
	try_faults(&t, TRY_BEGIN, faults, COUNTOF(faults), " }");
}

/* What stands in `head` and `tail` around a string value, the values that are fine there, and those that are not. */
static void
expect_values(const char *head, const char *tail, const char *const *good, size_t n_good, const char *const *bad, size_t n_bad)
{
	char text[1024];

	for (size_t i = 0; i < n_good + n_bad; i++) {
		const char *value = i < n_good ? good[i] : bad[i - n_good];
		(void)snprintf(text, sizeof(text), TRY_BEGIN "%s\"%s\"%s }", head, value, tail);
		try_text(&t, text);
		cr_expect_eq(t.problems.errors, i < n_good ? 0 : 1, "%s: %s", value, t.text);
		char shown[40] = ""; /* a long one is not named whole */
		(void)snprintf(shown, sizeof(shown), "\"%s", value);
		cr_expect(i < n_good || strstr(t.text, shown) != NULL, "%s is not named in %s", value, t.text);
	}
}

Test(conf_values, site_names)
{
	const char *const good[] = {"localhost", "a.b.c", "*.b.c", "xn--bcher-kva.example", "a_b.internal", "1.2.3.4", "[::1]", "*.com",
	    "a123456789a123456789a123456789a123456789a123456789a123456789abc.de"};
	const char *const bad[] = {"*", "*.", "**.a", "a.*.c", "*a.b", "a*", "x y", "-a.b", "a-.b", "ü.de", "a.b.", "http://x", "x:443", "x/y",
	    "a..b", ".a", "a123456789a123456789a123456789a123456789a123456789a123456789abcd.de", "a;b"};

	expect_values("\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } }, \"sites\": [ { \"upstream\": \"u\", \"names\": [ \"ok\", ", " ] } ]",
	    good, COUNTOF(good), bad, COUNTOF(bad));
}

Test(conf_values, listen_addresses)
{
	const char *const good[] = {"*:443", "127.0.0.1:8443", "[::]:443", "[2001:db8::1]:1", "0.0.0.0:65535", "unix:/run/x"};
	const char *const bad[] = {"443", ":443", "*", "*:0", "*:65536", "*:", "*:https", "::1:443", "[::1]", "[::1]443", "[1]:443", "localhost:443",
	    "256.0.0.1:1", "1.2.3:1", "01.2.3.4:1", "https://1.2.3.4:443", "unix:x", "unix:", "*:+1", "*:4 4"};

	for (size_t i = 0; i < COUNTOF(good) + COUNTOF(bad); i++) {
		char text[256];
		const char *value = i < COUNTOF(good) ? good[i] : bad[i - COUNTOF(good)];
		(void)snprintf(text, sizeof(text), "{ \"listeners\": [ { \"address\": \"%s\" } ] }", value);
		try_text(&t, text);
		cr_expect_eq(t.problems.errors, i < COUNTOF(good) ? 0 : 1, "%s: %s", value, t.text);
		cr_expect(i < COUNTOF(good) || strncmp(t.text, "c.json:1:31: listeners[0].address: \"", 36) == 0, "%s", t.text);
	}
}

Test(conf_values, server_addresses)
{
	const char *const good[] = {"node1:8443", "node1.internal:1", "10.0.0.1:65535", "[::1]:443", "a_b:1", "3com:80"};
	const char *const bad[] = {"x", "x:0", "x:65536", "https://x:1", "1:2:3", "[::1]", "10.0.0.300:1", "10.0.0:1", ":1", "a b:1", "x:1/y",
	    "unix:/run/x"};

	expect_values("\"upstreams\": { \"u\": { \"servers\": [ ", " ] } }", good, COUNTOF(good), bad, COUNTOF(bad));
}

Test(conf_values, key_pins)
{
	const char *const good[] = {"sha256/r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E="};
	const char *const bad[] = {"r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=", "sha256/", "sha256/r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4",
	    "sha1/r/mIkG3eEpVdm+u/ko/cwxzOMo1b"};

	expect_values("\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"pin\": ", " } } }", good, COUNTOF(good), bad,
	    COUNTOF(bad));
	/* Too long to be named whole; the last digit has bits that no 32 bytes give. */
	try_text(&t, TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"pin\": "
			       "\"sha256/r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5F=\" } } } }");
	cr_expect_eq(t.problems.errors, 1);
	try_text(&t, TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"pin\": "
			       "\"sha256/r_mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=\" } } } }");
	cr_expect_eq(t.problems.errors, 1);
}

Test(conf_values, web_addresses)
{
	const char *const good[] = {"https://h", "http://h:8080/a?b=c&d=%20", "https://[::1]:1/@", "https://hooks.example.com/T0/B0"};
	const char *const bad[] = {"h", "ftp://h/", "https://", "https:///x", "https://u:p@h/", "https://h/a b", "https://h/#x", "https://h/ü",
	    "HTTPS://h", "http://h/<x>", "file:///etc/passwd"};

	expect_values("\"bundles\": { \"b\": { \"combined\": \"b\", \"rotation\": { \"notify\": { \"url\": ", " } } } }", good,
	    COUNTOF(good), bad, COUNTOF(bad));
}

Test(conf_values, cookies)
{
	const char *const good[] = {"BASCULE", "__Host-node"}, *const bad[] = {"a b", "a=b", "a;b", "ü", "a,b"};
	const char *const good_paths[] = {"/", "/app"}, *const bad_paths[] = {"app", "/a;b"};

	expect_values("\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"sticky\": { \"cookie\": ", " } } }", good, COUNTOF(good), bad,
	    COUNTOF(bad));
	expect_values("\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"sticky\": { \"path\": ", " } } }", good_paths, COUNTOF(good_paths),
	    bad_paths, COUNTOF(bad_paths));
}

Test(conf_values, fields)
{
	const char *const good[] = {"X-Y", "Server", "Strict-Transport-Security"};
	const char *const bad[] = {"a b", "Host", "content-length", "Connection", "TRANSFER-ENCODING", "X:", "(x)"};

	expect_values("\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } }, \"sites\": [ { \"names\": \"a\", \"upstream\": \"u\", "
		      "\"response_headers\": { \"remove\": ", " } } ]", good, COUNTOF(good), bad, COUNTOF(bad));
	expect_values("\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } }, \"sites\": [ { \"names\": \"a\", \"upstream\": \"u\", "
		      "\"request_headers\": { \"set\": { ", ": \"\" } } } ]", good, COUNTOF(good), bad, COUNTOF(bad));
}

Test(conf_values, losses)
{
	static const struct {
		const char *words;
		unsigned set;
		const char *says;
	} rows[] = {
		{"lost-names", 1u << CONF_LOST_NAMES, ""},
		{"too-fresh,lost-names,too-fresh", 1u << CONF_TOO_FRESH | 1u << CONF_LOST_NAMES, ""},
		{"lost-names,another-rot", 0, "\"another-rot\" is nothing to accept; did you mean \"another-root\"?"},
		{"", 0, "\"\" is nothing to accept; known are: lost-names, earlier-expiry, another-root, weaker-key, too-fresh"},
		{"lost-names,", 0, "\"\" is nothing to accept; known are: lost-names, earlier-expiry, another-root, weaker-key, too-fresh"},
		{"all", 0, "\"all\" is nothing to accept; known are: lost-names, earlier-expiry, another-root, weaker-key, too-fresh"},
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct err err = {""};
		unsigned set;
		bool ok = conf_losses(sv_cstr(rows[i].words), &set, &err);
		cr_expect_eq(ok, rows[i].says[0] == '\0', "%s", rows[i].words);
		cr_expect_str_eq(err.text, rows[i].says, "%s", err.text);
		cr_expect(!ok || set == rows[i].set, "%s: %#x", rows[i].words, set);
	}
}
