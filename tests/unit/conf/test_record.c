/* A config that was loaded through a record can be loaded again from it, whatever became of its files. */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/record.h"
#include "try.h"

TRY_SUITE(conf_record);

#define SITE(name) "{ \"sites\": [ { \"names\": [ \"" name "\" ], \"upstream\": \"u\" } ] }"

Test(conf_record, is_loaded_again)
{
	struct record *r = record_new();
	char path[512];

	try_write(&t, "c.json", TRY_BEGIN "\"include\": [ \"sites/*.json\", \"more\", \"same.json\" ],\n"
	    "\"upstreams\": { \"u\": { \"servers\": [ \"127.0.0.1:1\" ] } } }");
	try_write(&t, "sites/a.json", SITE("a.test"));
	try_write(&t, "sites/b.json", SITE("b.test"));
	try_write(&t, "more/c.json", SITE("c.test"));
	cr_assert_eq(symlink("sites/a.json", try_path(&t, "same.json")), 0);
	(void)sv_copy(sv_cstr(try_path(&t, "c.json")), path, sizeof(path));
	t.conf = conf_load(record_note(r, files_direct(), NULL), path, &t.problems);
	cr_assert_not_null(t.conf);
	cr_expect_eq(t.conf->n_sites, 3, "a file is read once, whatever it is called");

	try_write(&t, "c.json", "{");
	cr_assert_eq(unlink(try_path(&t, "sites/a.json")), 0);
	cr_assert_eq(unlink(try_path(&t, "sites/b.json")), 0);
	cr_assert_eq(rmdir(try_path(&t, "sites")), 0);
	struct conf *again = conf_load(record_files(r), path, &t.problems);
	cr_assert_not_null(again, "%.*s", SV_FMT(buf_view(&t.problems.text)));
	cr_assert_eq(again->n_sites, t.conf->n_sites);
	for (size_t i = 0; i < again->n_sites; i++) {
		cr_expect_str_eq(again->sites[i].names.v[0], t.conf->sites[i].names.v[0]);
		cr_expect_str_eq(again->sites[i].at.file, t.conf->sites[i].at.file);
		cr_expect_eq(again->sites[i].at.line, t.conf->sites[i].at.line);
	}
	conf_free(again);
	record_free(r);
}
