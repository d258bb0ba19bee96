/* What is written from the rows is what is checked in; what is shown to people loads. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>

#include "conf/read.h"
#include "conf/reference.h"
#include "conf/value.h"
#include "try.h"

static void
expect_file(const char *name, bool (*write)(struct buf *out), const char *command)
{
	struct buf is, should;
	struct err err = {""};
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", SOURCE_DIRECTORY, name);
	buf_init(&is, CONF_REFERENCE_MAX);
	buf_init(&should, CONF_REFERENCE_MAX);
	cr_assert(write(&should));
	cr_assert(files_read(files_direct(), path, &is, NULL, &err), "%s", err.text);
	cr_expect(sv_eq(buf_view(&is), buf_view(&should)), "%s is not what the rows say: run \"./bascule config %s > %s\"", name, command, name);
	buf_clear(&is);
	buf_clear(&should);
}

Test(conf_generated, schema)
{
	expect_file("conf/schema.json", conf_write_schema, "schema");
}

Test(conf_generated, reference)
{
	expect_file("docs/configuration.md", conf_write_reference, "reference");
}

Test(conf_generated, manual)
{
	expect_file("docs/bascule.json.5", conf_write_manual, "manual");
}

Test(conf_generated, nothing_when_there_is_no_room)
{
	struct buf small;

	buf_init(&small, 1000);
	cr_expect_not(conf_write_schema(&small));
	cr_expect_not(conf_write_reference(&small));
	cr_expect_not(conf_write_manual(&small));
	buf_clear(&small);
}

/* --- rows --- */

enum { OBJECTS_MAX = 64 };

/* All objects, each once, from the top down. */
static size_t
all_objects(const struct key_object *objects[OBJECTS_MAX])
{
	size_t n = 1;

	objects[0] = &conf_keys;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < objects[i]->n_keys; k++) {
			const struct key_object *o = objects[i]->keys[k].object;
			size_t j = 0;
			while (o != NULL && j < n && objects[j] != o)
				j++;
			if (o != NULL && j == n) {
				cr_assert_lt(n, OBJECTS_MAX);
				objects[n++] = o;
			}
		}
	}
	return n;
}

/* Read a JSON object as one of `o`; the problems. */
static const char *
read_as(const struct key_object *o, const char *json, char *out, size_t size)
{
	_Alignas(max_align_t) static unsigned char base[4096];
	struct conf_problems problems;
	struct conf_reader r;
	struct conf conf = {.threads = 0};
	struct conf_text *text = conf_text_new("/example", NULL);

	cr_assert(text != NULL && o->size <= sizeof(base));
	memset(base, 0, sizeof(base));
	conf_problems_init(&problems);
	reader_init(&r, &conf, &problems);
	cr_assert(buf_append(&text->bytes, json, strlen(json)));
	if (conf_text_parse(text, &problems)) {
		reader_presets(o, base);
		reader_object(&r, text, o, base, text->root, 0);
	}
	(void)snprintf(out, size, "%.*s", SV_FMT(buf_view(&problems.text)));
	reader_free(&r);
	conf_text_free(text);
	arena_free(&conf.arena);
	conf_problems_free(&problems);
	return out;
}

Test(conf_generated, examples_of_objects_and_keys_are_right)
{
	const struct key_object *objects[OBJECTS_MAX];
	char problems[1024], json[1024], required[256];
	size_t n = all_objects(objects);

	for (size_t i = 0; i < n; i++) {
		const struct key_object *o = objects[i];
		cr_expect_str_eq(read_as(o, o->example, problems, sizeof(problems)), "", "%s: %s", o->name, problems);
		required[0] = '\0';
		for (size_t k = 0; k < o->n_keys; k++)
			if (o->keys[k].flags & KEY_REQUIRED)
				(void)snprintf(required, sizeof(required), ", \"%s\": %s", o->keys[k].name, o->keys[k].example);
		for (size_t k = 0; k < o->n_keys; k++) {
			const struct key *key = &o->keys[k];
			if (key->example == NULL)
				continue;
			(void)snprintf(json, sizeof(json), "{ \"%s\": %s%s }", key->name, key->example, key->flags & KEY_REQUIRED ? "" : required);
			cr_expect_str_eq(read_as(o, json, problems, sizeof(problems)), "", "%s: %s", json, problems);
		}
	}
}

Test(conf_generated, rows_are_whole)
{
	const struct key_object *objects[OBJECTS_MAX];
	size_t n = all_objects(objects);

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < objects[i]->n_keys; k++) {
			const struct key *key = &objects[i]->keys[k];
			bool number = key->type == KEY_NUMBER || key->type == KEY_DURATION || key->type == KEY_SIZE;
			size_t length = strlen(key->help);
			cr_expect(length > 10 && key->help[length - 1] == '.', "%s.%s: help is a sentence", objects[i]->name, key->name);
			cr_expect(!number || key->max > 0, "%s.%s has no maximum", objects[i]->name, key->name);
			cr_expect(!number || (key->preset >= key->min && key->preset <= key->max) || (key->preset == 0 && key->zero != NULL),
			    "%s.%s: the default is out of bounds", objects[i]->name, key->name);
			cr_expect(key->type != KEY_WORD || key->words[key->preset] != NULL, "%s.%s: the default", objects[i]->name, key->name);
			cr_expect(!objects[i]->inherits || number, "%s.%s: only numbers inherit", objects[i]->name, key->name);
			cr_expect(key->type != KEY_PAIRS || key->check != NULL, "%s.%s: names of pairs are checked", objects[i]->name, key->name);
			cr_expect(!(key->flags & KEY_REQUIRED) || key->example != NULL, "%s.%s", objects[i]->name, key->name);
			for (size_t j = 0; j < k; j++)
				cr_expect_str_neq(objects[i]->keys[j].name, key->name);
		}
	}
}

/* --- example configs --- */

Test(conf_generated, configs_of_the_project_load)
{
	DIR *dir = opendir(SOURCE_DIRECTORY "/conf");
	unsigned loaded = 0;
	struct dirent *d;

	cr_assert_not_null(dir);
	while ((d = readdir(dir)) != NULL) {
		struct conf_problems problems;
		char path[4096];
		if (!sv_ends(sv_cstr(d->d_name), SV(".json")) || strcmp(d->d_name, "schema.json") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/conf/%s", SOURCE_DIRECTORY, d->d_name);
		conf_problems_init(&problems);
		struct conf *c = conf_load(files_direct(), path, &problems);
		cr_expect_not_null(c, "%.*s", SV_FMT(buf_view(&problems.text)));
		cr_expect_eq(problems.warnings, 0, "%.*s", SV_FMT(buf_view(&problems.text)));
		conf_free(c);
		conf_problems_free(&problems);
		loaded++;
	}
	closedir(dir);
	cr_expect_geq(loaded, 4);
}

/* The first run is made with this one. */
Test(conf_generated, the_config_of_the_first_run)
{
	struct conf_problems problems;

	conf_problems_init(&problems);
	struct conf *c = conf_load(files_direct(), SOURCE_DIRECTORY "/conf/example.json", &problems);
	cr_assert_not_null(c, "%.*s", SV_FMT(buf_view(&problems.text)));
	cr_assert_eq(c->n_listeners, 4);
	cr_expect_str_eq(c->listeners[0].address, "127.0.0.1:8443");
	cr_expect_eq(c->listeners[2].redirect_port, 8443);
	cr_expect_str_eq(c->bundles[0].key, SOURCE_DIRECTORY "/conf/../certs-example/server.key");
	cr_expect_str_eq(c->admin_socket, SOURCE_DIRECTORY "/conf/../certs-example/admin.sock");
	cr_expect_null(c->log.access);
	conf_free(c);
	conf_problems_free(&problems);
}
