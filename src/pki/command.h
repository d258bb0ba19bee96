/*
 * command.h: what the subcommands share.
 */
#ifndef BASCULE_PKI_COMMAND_H
#define BASCULE_PKI_COMMAND_H

#include "base/arena.h"
#include "certs/thread.h"
#include "pki/pki.h"

enum { ARGS_MAX = 64, SAN_MAX = 128 };

/* What a certificate is to be called, as it was given. */
struct subject {
	const char *cn, *ou, *o, *l, *st, *c; /* NULL: not given */
	const char *san[SAN_MAX];             /* subjectAltName, in their order */
	size_t n_san;
};

struct args {
	const char *v[ARGS_MAX]; /* what is no option */
	size_t n;
	struct subject subject;
	const char *config; /* -c; NULL: not given */
	const char *dir, *out, *key, *use_key, *days, *path_length, *issuer, *password_file, *name, *warn, *accept;
	bool json, client, with_root, dry_run, create, no_reload;
};

/* One run of one subcommand. */
struct pki {
	const struct pki_command *command;
	const struct pki_host *host;
	struct tls_thread *thread; /* its library context */
	struct arena arena;        /* strings that live as long as the run */
	struct args args;
	struct err err;            /* printed by the dispatcher when the run has failed */
};

/* Options, as bits: which of them a subcommand takes. */
enum {
	TAKES_SUBJECT = 1 << 0, /* CN:… and --cn, and so on */
	TAKES_CONFIG = 1 << 1,
	TAKES_DIR = 1 << 2,
	TAKES_OUT = 1 << 3,
	TAKES_NEW_KEY = 1 << 4, /* --key ec|rsa[:bits], --use-key */
	TAKES_DAYS = 1 << 5,
	TAKES_PATH_LENGTH = 1 << 6,
	TAKES_ISSUER = 1 << 7,
	TAKES_PASSWORD = 1 << 8,
	TAKES_NAME = 1 << 9,
	TAKES_WARN = 1 << 10,
	TAKES_JSON = 1 << 11,
	TAKES_CLIENT = 1 << 12,
	TAKES_ROOT = 1 << 13,
	TAKES_INSTALL = 1 << 14, /* --accept, --dry-run, --new, --no-reload */
	TAKES_KEY_FILE = 1 << 15, /* --key FILE */
};

struct pki_command {
	const char *name;
	const char *usage; /* what follows the name */
	const char *help;
	unsigned takes;
	size_t min, max; /* arguments that are no options */
	int (*run)(struct pki *p);
};

/* Fill p->args. False, with err set, when something is not understood. */
MUST_CHECK bool args_parse(struct pki *p, int argc, char **argv);

/* A decimal number of an option; `text` NULL gives `preset`. False with err set. */
MUST_CHECK bool args_number(
    const char *option, const char *text, uint64_t min, uint64_t max, uint64_t preset, uint64_t *out, struct err *err);

/* A line for people that is no result and no error. Standard error. */
void note(const char *fmt, ...) PRINTF_LIKE(1, 2);

int cmd_csr(struct pki *p);
int cmd_selfsigned(struct pki *p);
int cmd_ca(struct pki *p);
int cmd_sign(struct pki *p);
int cmd_inspect(struct pki *p);
int cmd_match(struct pki *p);
int cmd_verify(struct pki *p);
int cmd_bundle(struct pki *p);
int cmd_import(struct pki *p);
int cmd_export(struct pki *p);
int cmd_list(struct pki *p);
int cmd_install(struct pki *p);
int cmd_wizard(struct pki *p);

#endif
