#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/sv.h"
#include "pki/command.h"

enum option_kind { OPTION_TEXT, OPTION_FLAG, OPTION_SAN };

/* One row an option. A row with a `pair` may also be given as "CN:value". */
static const struct option {
	const char *name;
	const char *pair;
	enum option_kind kind;
	unsigned takes;
	size_t offset; /* in struct args */
} options[] = {
#define AT(m) offsetof(struct args, m)
	{"--cn", "CN", OPTION_TEXT, TAKES_SUBJECT, AT(subject.cn)},
	{"--ou", "OU", OPTION_TEXT, TAKES_SUBJECT, AT(subject.ou)},
	{"--o", "O", OPTION_TEXT, TAKES_SUBJECT, AT(subject.o)},
	{"--l", "L", OPTION_TEXT, TAKES_SUBJECT, AT(subject.l)},
	{"--st", "ST", OPTION_TEXT, TAKES_SUBJECT, AT(subject.st)},
	{"--c", "C", OPTION_TEXT, TAKES_SUBJECT, AT(subject.c)},
	{"--san", "subjectAltName", OPTION_SAN, TAKES_SUBJECT, 0},
	{"-c", NULL, OPTION_TEXT, TAKES_CONFIG, AT(config)},
	{"--config", NULL, OPTION_TEXT, TAKES_CONFIG, AT(config)},
	{"--dir", NULL, OPTION_TEXT, TAKES_DIR, AT(dir)},
	{"-o", NULL, OPTION_TEXT, TAKES_OUT, AT(out)},
	{"--out", NULL, OPTION_TEXT, TAKES_OUT, AT(out)},
	{"--key", NULL, OPTION_TEXT, TAKES_NEW_KEY | TAKES_KEY_FILE, AT(key)},
	{"--use-key", NULL, OPTION_TEXT, TAKES_NEW_KEY, AT(use_key)},
	{"--days", NULL, OPTION_TEXT, TAKES_DAYS, AT(days)},
	{"--path-length", NULL, OPTION_TEXT, TAKES_PATH_LENGTH, AT(path_length)},
	{"--issuer", NULL, OPTION_TEXT, TAKES_ISSUER, AT(issuer)},
	{"--password-file", NULL, OPTION_TEXT, TAKES_PASSWORD, AT(password_file)},
	{"--name", NULL, OPTION_TEXT, TAKES_NAME, AT(name)},
	{"--warn", NULL, OPTION_TEXT, TAKES_WARN, AT(warn)},
	{"--accept", NULL, OPTION_TEXT, TAKES_INSTALL, AT(accept)},
	{"--json", NULL, OPTION_FLAG, TAKES_JSON, AT(json)},
	{"--client", NULL, OPTION_FLAG, TAKES_CLIENT, AT(client)},
	{"--with-root", NULL, OPTION_FLAG, TAKES_ROOT, AT(with_root)},
	{"--dry-run", NULL, OPTION_FLAG, TAKES_INSTALL, AT(dry_run)},
	{"--new", NULL, OPTION_FLAG, TAKES_INSTALL, AT(create)},
	{"--no-reload", NULL, OPTION_FLAG, TAKES_INSTALL, AT(no_reload)},
#undef AT
};

static bool
fail(struct pki *p, const char *argument, const char *why)
{
	return err_set(&p->err, "%.120s: %s; `bascule pki help %s` tells what it takes", argument, why, p->command->name);
}

/* Comma-separated, and the option may come several times. */
static bool
add_sans(struct pki *p, const char *value)
{
	struct subject *s = &p->args.subject;
	struct sv rest = sv_cstr(value);

	while (rest.p != NULL) {
		struct sv one = sv_trim(sv_cut(&rest, ','));
		if (one.n == 0)
			return fail(p, value, "a name is empty");
		if (s->n_san == SAN_MAX)
			return fail(p, value, "too many names");
		if ((s->san[s->n_san++] = arena_copy(&p->arena, one)) == NULL)
			return err_no_memory(&p->err);
	}
	return true;
}

static bool
store(struct pki *p, const struct option *o, const char *argument, const char *value)
{
	char *field = (char *)&p->args + o->offset;

	if (o->kind == OPTION_FLAG) {
		*(bool *)field = true;
		return value == NULL || fail(p, argument, "it takes no value");
	}
	if (value == NULL || value[0] == '\0')
		return fail(p, argument, value == NULL ? "a value must follow" : "the value is empty");
	if (o->kind == OPTION_SAN)
		return add_sans(p, value);
	const char **text = (const char **)(void *)field;
	if (*text != NULL)
		return fail(p, argument, "is given twice");
	*text = value;
	return true;
}

/* "--name=value" and "--name"; *value is NULL in the second case. */
static const struct option *
find_option(const struct pki *p, const char *argument, const char **value)
{
	for (size_t i = 0; i < COUNTOF(options); i++) {
		const struct option *o = &options[i];
		size_t n = strlen(o->name);
		if ((o->takes & p->command->takes) == 0 || strncmp(argument, o->name, n) != 0)
			continue;
		if (argument[n] != '\0' && (argument[n] != '=' || n < 3))
			continue;
		*value = argument[n] == '=' ? argument + n + 1 : NULL;
		return o;
	}
	return NULL;
}

/* "CN:value" */
static const struct option *
find_pair(const struct pki *p, const char *argument, const char **value)
{
	const char *colon = strchr(argument, ':');

	for (size_t i = 0; colon != NULL && i < COUNTOF(options); i++) {
		const struct option *o = &options[i];
		if (o->pair == NULL || (o->takes & p->command->takes) == 0 ||
		    !sv_ieq(sv_cstr(o->pair), sv_of(argument, (size_t)(colon - argument))))
			continue;
		*value = colon + 1;
		return o;
	}
	return NULL;
}

static bool
unknown_option(struct pki *p, const char *argument)
{
	const char *names[COUNTOF(options)];
	size_t n = 0;

	for (size_t i = 0; i < COUNTOF(options); i++)
		if ((options[i].takes & p->command->takes) != 0)
			names[n++] = options[i].name;
	const char *meant = nearest_word(argument, names, n);
	return err_set(&p->err, "%.120s: not understood%s%s%s; `bascule pki help %s` tells what it takes", argument,
	    meant != NULL ? ", did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?" : "",
	    p->command->name);
}

/* Who takes a subject takes one name, that of the files; a second is mostly what the certificate is to say. */
static bool
too_many(struct pki *p, const char *argument)
{
	char why[256];

	if ((p->command->takes & TAKES_SUBJECT) == 0)
		return fail(p, argument, "one argument too many");
	(void)snprintf(why, sizeof(why), "the files have a name already, \"%.64s\"; the name in the certificate is written 'CN:%.64s'",
	    p->args.v[0], argument);
	return fail(p, argument, why);
}

bool
args_parse(struct pki *p, int argc, char **argv)
{
	bool only_arguments = false;

	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i], *value = NULL;
		if (!only_arguments && strcmp(argument, "--") == 0) {
			only_arguments = true;
			continue;
		}
		const struct option *o = only_arguments ? NULL : find_option(p, argument, &value);
		if (o != NULL && o->kind != OPTION_FLAG && value == NULL && i + 1 < argc)
			value = argv[++i];
		if (o == NULL && !only_arguments)
			o = find_pair(p, argument, &value);
		if (o != NULL) {
			if (!store(p, o, argument, value))
				return false;
			continue;
		}
		if (!only_arguments && argument[0] == '-' && argument[1] != '\0')
			return unknown_option(p, argument);
		if (p->args.n == p->command->max)
			return too_many(p, argument);
		p->args.v[p->args.n++] = argument;
	}
	return p->args.n >= p->command->min || fail(p, p->command->usage, "something is missing");
}

bool
args_number(
    const char *option, const char *text, uint64_t min, uint64_t max, uint64_t preset, uint64_t *out, struct err *err)
{
	*out = preset;
	if (text == NULL || (sv_u64(sv_cstr(text), out) && *out >= min && *out <= max))
		return true;
	return err_set(err, "%s %s: a number from %llu to %llu is wanted", option, text, (unsigned long long)min,
	    (unsigned long long)max);
}
