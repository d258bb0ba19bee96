/* A config of several files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "try.h"

TRY_SUITE(conf_include);

#define SITE(name) "{ \"sites\": [ { \"names\": \"" name "\", \"upstream\": \"u\" } ] }"
#define UPSTREAMS "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } }"

Test(conf_include, lists_are_put_together)
{
	try_write(&t, "main.json", TRY_BEGIN "\"include\": [ \"sites/*.json\", \"up.json\", \"more\" ],\n"
					     "\"sites\": [ { \"names\": \"main\", \"upstream\": \"u\" } ], \"trusted_proxies\": \"10.0.0.1\" }");
	try_write(&t, "sites/b.json", SITE("b"));
	try_write(&t, "sites/a.json", SITE("a"));
	try_write(&t, "sites/c.json.old", "{ not read");
	try_write(&t, "sites/.hidden.json", "{ not read");
	try_write(&t, "sites/sub.json/x", "a directory, not read");
	try_write(&t, "up.json", "{ " UPSTREAMS ", \"log\": { \"level\": \"info\" }, \"trusted_proxies\": [ \"10.0.0.2\" ] }");
	try_write(&t, "more/z.json", "{ \"log\": { \"format\": \"combined\" }, \"bundles\": { \"b\": { \"combined\": \"b.pem\" } } }");
	try_load(&t, "main.json");
	cr_assert_str_eq(t.text, "");
	cr_assert_eq(t.conf->n_sites, 3);
	cr_expect_str_eq(t.conf->sites[0].names.v[0], "main");
	cr_expect_str_eq(t.conf->sites[1].names.v[0], "a");
	cr_expect_str_eq(t.conf->sites[2].names.v[0], "b");
	cr_expect_str_eq(t.conf->sites[2].at.file, try_path(&t, "sites/b.json"));
	cr_expect_eq(t.conf->trusted_proxies.n, 2);
	cr_expect_eq(t.conf->log.level, LOG_INFO);
	cr_expect_eq(t.conf->log.format, CONF_ACCESS_COMBINED);
	/* Paths are taken from the file they stand in. */
	cr_expect_str_eq(t.conf->bundles[0].combined, try_path(&t, "more/b.pem"));
	cr_assert_eq(t.conf->files.n, 5);
	cr_expect_str_eq(t.conf->files.v[0], try_path(&t, "main.json"));
	cr_expect_str_eq(t.conf->files.v[4], try_path(&t, "more/z.json"));
}

Test(conf_include, a_directory_is_a_config)
{
	try_write(&t, "d/2.json", SITE("two"));
	try_write(&t, "d/1.json", "{ \"listeners\": [ { \"address\": \"*:80\" } ], " UPSTREAMS " }");
	try_write(&t, "d/README", "not read");
	try_load(&t, "d");
	cr_expect_str_eq(t.text, "");
	cr_expect_eq(t.conf->files.n, 2);
	cr_assert_eq(mkdir(try_path(&t, "empty"), 0700), 0);
	try_load(&t, "empty");
	cr_expect_str_eq(t.text, "empty: no *.json in this directory\n");
}

Test(conf_include, a_relative_path)
{
	try_write(&t, "c.json", "{ \"listeners\": [ { \"address\": \"*:80\" } ], \"pid_file\": \"p\" }");
	cr_assert_eq(chdir(t.directory), 0);
	conf_free(t.conf);
	t.conf = conf_load(files_direct(), "c.json", &t.problems);
	cr_assert_not_null(t.conf);
	cr_expect_str_eq(t.conf->pid_file, try_path(&t, "p"));
	cr_assert_eq(chdir("/"), 0);
}

Test(conf_include, what_can_not_be_read)
{
	try_load(&t, "none.json");
	cr_expect_str_eq(t.text, "none.json: No such file or directory\n");
	try_text(&t, TRY_BEGIN "\"include\": [ \"none.json\",\n  \"*/x.json\", \"none/*.json\" ] }");
	cr_expect_str_eq(t.text, "c.json:2:14: include[0]: none.json: No such file or directory\n"
				 "c.json:3:3: include[1]: a pattern can have *, ? and [ after its last slash only\n"
				 "c.json:3:15: include[2]: none: No such file or directory\n");
	try_write(&t, "bad.json", "{ \"sites\": [ }");
	try_text(&t, TRY_BEGIN "\"include\": \"bad.json\", \"usr\": 1, \"sites\": [ { \"names\": \"a\", \"upstream\": \"in_bad\" } ] }");
	cr_expect_str_eq(t.text, "bad.json:1:14: '}' stands where a value is expected\nc.json:2:24: usr: unknown key; did you mean \"user\"?\n",
	    "what the bad file may hold is not missed: %s", t.text);
}

Test(conf_include, files_of_a_directory_come_in_the_order_of_their_names)
{
	char name[32], text[128];

	/* Written in an order that is neither theirs nor its reverse. */
	for (int i = 0; i < 31; i++) {
		(void)snprintf(name, sizeof(name), "sites/%02d.json", i * 7 % 31);
		(void)snprintf(text, sizeof(text), SITE("s%02d"), i * 7 % 31);
		try_write(&t, name, text);
	}
	try_text(&t, TRY_BEGIN UPSTREAMS ", \"include\": \"sites\" }");
	cr_assert_str_eq(t.text, "");
	cr_assert_eq(t.conf->n_sites, 31);
	for (int i = 0; i < 31; i++) {
		(void)snprintf(name, sizeof(name), "s%02d", i);
		cr_expect_str_eq(t.conf->sites[i].names.v[0], name);
	}
}

Test(conf_include, a_pattern_may_match_nothing)
{
	cr_assert_eq(mkdir(try_path(&t, "sites"), 0700), 0);
	try_text(&t, TRY_BEGIN "\"include\": \"sites/*.json\" }");
	cr_expect_str_eq(t.text, "");
}

Test(conf_include, doubles_name_both_places)
{
	try_write(&t, "a.json", "{ \"user\": \"x\", \"log\": { \"level\": \"info\" }, \"bundles\": { \"b\": { \"combined\": \"b\" } }, " UPSTREAMS ",\n"
				"\"sites\": [ { \"names\": \"n\", \"upstream\": \"u\" } ], \"listeners\": [ { \"address\": \"*:80\" } ] }");
	try_text(&t, TRY_BEGIN "\"include\": \"a.json\", \"user\": \"y\", \"log\": { \"level\": \"info\" }, \"bundles\": { \"b\": { \"combined\": \"b\" } },\n"
			       "\"sites\": [ { \"names\": \"n\", \"upstream\": \"u\" } ], " UPSTREAMS " }");
	char expected[4096];
	(void)snprintf(expected, sizeof(expected),
	    "a.json:1:3: user: given already at c.json:2:30; keep one of the two\n"
	    "a.json:1:25: log.level: given already at c.json:2:53; keep one of the two\n"
	    "a.json:1:62: bundles.b: \"b\" is a bundle already, at c.json:2:81; keep one of the two\n"
	    "a.json:1:105: upstreams.u: \"u\" is an upstream already, at c.json:3:69; keep one of the two\n"
	    "a.json:2:23: sites[0].names: \"n\" is a name of a site already, at c.json:3:23; keep one of the two\n"
	    "a.json:2:77: listeners[0].address: \"*:80\" is the address of a listener already, at c.json:1:31; keep one of the two\n");
	cr_expect_str_eq(t.text, expected, "%s", t.text);
}

Test(conf_include, a_file_is_read_once)
{
	try_write(&t, "sites/a.json", SITE("a"));
	cr_assert_eq(symlink("sites/a.json", try_path(&t, "link.json")), 0);
	try_text(&t, TRY_BEGIN UPSTREAMS ", \"include\": [ \"sites/a.json\", \"sites/*.json\", \"./sites/../link.json\", \"sites\" ] }");
	cr_expect_str_eq(t.text, "");
	cr_expect_eq(t.conf->n_sites, 1);
	cr_expect_eq(t.conf->files.n, 2);
}

Test(conf_include, circles)
{
	try_write(&t, "a.json", "{ \"include\": \"b.json\" }");
	try_write(&t, "b.json", "{\n  \"include\": \"a.json\" }");
	try_load(&t, "a.json");
	cr_expect_str_eq(t.text, "b.json:2:14: include: a.json includes this file in its turn: a circle; remove one of the two\n");
	try_write(&t, "a.json", "{ \"include\": \"a.json\" }");
	try_load(&t, "a.json");
	cr_expect_str_eq(t.text, "a.json:1:14: include: a.json includes this file in its turn: a circle; remove one of the two\n");
}

Test(conf_include, depth_is_bounded)
{
	char name[16], text[64];

	for (int i = 0; i <= 9; i++) {
		(void)snprintf(name, sizeof(name), "%d.json", i);
		(void)snprintf(text, sizeof(text), "{ \"include\": \"%d.json\" }", i + 1);
		try_write(&t, name, i < 8 ? text : i == 8 ? "{ \"listeners\": [ { \"address\": \"*:80\" } ] }" : "{}");
	}
	try_load(&t, "0.json");
	cr_expect_str_eq(t.text, "");
	try_write(&t, "8.json", "{ \"include\": \"9.json\" }");
	try_load(&t, "0.json");
	cr_expect_str_eq(t.text, "8.json:1:14: include: files include each other more than 8 deep\n");
}

Test(conf_include, a_file_that_is_too_large)
{
	FILE *f = fopen(try_path(&t, "c.json"), "w");

	cr_assert_not_null(f);
	cr_assert_eq(ftruncate(fileno(f), (64 << 20) + 1), 0);
	cr_assert_eq(fclose(f), 0);
	try_load(&t, "c.json");
	cr_expect_str_eq(t.text, "c.json: larger than the 67108864 bytes allowed\n");
}
