#include "pki/pki.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"
#include "base/usage.h"
#include "pki/command.h"
#include "pki/show.h"

#define CONFIG_HELP "  -c, --config FILE     the proxy's config (/etc/bascule/bascule.json when it is there)\n"
#define DIR_HELP "  --dir DIR             where the files go (here)\n"
#define SUBJECT_USAGE "NAME [CN:… OU:… O:… L:… ST:… C:…] [subjectAltName:a,b]"
#define SUBJECT_HELP                                                                          \
	"NAME is the base name of the files: letters, digits, - and _.\n\n"                     \
	"  CN:TEXT   --cn TEXT   common name           O:TEXT    --o TEXT    organisation\n"    \
	"  OU:TEXT   --ou TEXT   unit in it            L:TEXT    --l TEXT    town\n"            \
	"  ST:TEXT   --st TEXT   state, province       C:XX      --c XX      country, two letters\n" \
	"  subjectAltName:a,b    --san a,b   host names (*.a.b too), addresses; what clients go by\n\n"
#define NEW_KEY_HELP                                                                          \
	"  --key KIND            ec (P-256), ec:384, ec:521, rsa (3072 bits), rsa:BITS\n"       \
	"  --use-key FILE        certify this key again, in place of a new one\n"
#define PASSWORD_HELP                                                                         \
	"  --password-file FILE  its first line is the password; without it you are asked\n"    \
	"A password on the command line could be read by everybody on this machine, so it is not taken.\n"
#define NEVER "What exists is never overwritten, and no file that the config names.\n"

static const struct pki_command commands[] = {
	{"csr", SUBJECT_USAGE " [--key KIND] [--dir DIR] [-c CONFIG]",
	    "Makes NAME.key, for its owner's eyes only, and NAME.csr, which goes to the CA.\n" SUBJECT_HELP
	    NEW_KEY_HELP DIR_HELP CONFIG_HELP NEVER,
	    TAKES_SUBJECT | TAKES_NEW_KEY | TAKES_DIR | TAKES_CONFIG, 1, 1, cmd_csr},
	{"selfsigned", SUBJECT_USAGE " [--days N] [--key KIND] [--dir DIR] [-c CONFIG]",
	    "Makes NAME.key and NAME.crt, which is signed by itself: for tests, and where clients pin it.\n"
	    SUBJECT_HELP
	    "  --days N              valid so long (397)\n" NEW_KEY_HELP DIR_HELP CONFIG_HELP NEVER,
	    TAKES_SUBJECT | TAKES_NEW_KEY | TAKES_DIR | TAKES_CONFIG | TAKES_DAYS, 1, 1, cmd_selfsigned},
	{"ca", "NAME CN:… [OU:… O:… L:… ST:… C:…] [--issuer CA] [--days N] [--dir DIR] [-c CONFIG]",
	    "Makes NAME.key and NAME.crt of a small CA, with which `sign` signs. Keep the key where only you can\n"
	    "read it.\n"
	    SUBJECT_HELP
	    "  --days N              valid so long (3650)\n"
	    "  --issuer CA           signed by this CA in place of itself: CA.crt and CA.key are its files\n"
	    "  --path-length N       so many CAs may stand below it (0: it signs no CA)\n"
	    NEW_KEY_HELP DIR_HELP CONFIG_HELP NEVER,
	    TAKES_SUBJECT | TAKES_NEW_KEY | TAKES_DIR | TAKES_CONFIG | TAKES_DAYS | TAKES_ISSUER | TAKES_PATH_LENGTH,
	    1, 1, cmd_ca},
	{"sign", "CSR CA [--days N] [--client] [--dir DIR] [-o FILE] [-c CONFIG]",
	    "Signs the request in CSR with CA.key and CA.crt and writes a .crt named after the CSR. Names are\n"
	    "taken from the request; everything else that it asks for (to be a CA, say) is not.\n\n"
	    "  --days N              valid so long (397), but not longer than the CA\n"
	    "  --client              a client's certificate, in place of a server's\n"
	    "  -o, --out FILE        write it there\n" DIR_HELP CONFIG_HELP NEVER,
	    TAKES_DAYS | TAKES_CLIENT | TAKES_DIR | TAKES_OUT | TAKES_CONFIG, 2, 2, cmd_sign},
	{"inspect", "FILE... [--json] [--password-file FILE]",
	    "Says what is in certificates, requests, keys, CRLs and PKCS#12 files, PEM or DER.\n\n"
	    "  --json                as JSON\n" PASSWORD_HELP,
	    TAKES_JSON | TAKES_PASSWORD, 1, ARGS_MAX, cmd_inspect},
	{"match", "KEY CERT",
	    "CERT is a certificate or a request. Status 0 only if what KEY signs, CERT verifies; 1 if not.\n", 0, 2, 2,
	    cmd_match},
	{"verify", "CERT CA [CHAIN] [--name HOST] [--client]",
	    "Against the certificates in the file CA and nothing else; those in CHAIN, and behind the first in\n"
	    "CERT, may lie between. Status 0: it does; 1: it does not.\n\n"
	    "  --name HOST           and it is good for this host name or address\n"
	    "  --client              as a client's certificate, in place of a server's\n",
	    TAKES_NAME | TAKES_CLIENT, 2, 3, cmd_verify},
	{"bundle", "CERT... [-o FILE] [--with-root] [-c CONFIG]",
	    "Writes the certificate and what lies between it and its root, each followed by its issuer, with one\n"
	    "newline between them. Status 3: written, but an intermediate seems to be missing; it says whose,\n"
	    "and where to get it.\n\n"
	    "  -o, --out FILE        write it there (standard output)\n"
	    "  --with-root           the root, too; clients do not need it\n" CONFIG_HELP NEVER,
	    TAKES_OUT | TAKES_ROOT | TAKES_CONFIG, 1, ARGS_MAX, cmd_bundle},
	{"import", "FILE NAME [--password-file FILE] [--dir DIR] [-c CONFIG]",
	    "Makes NAME.key and NAME.crt, the certificate and its chain in order, of a PKCS#12 file.\n\n"
	    PASSWORD_HELP DIR_HELP CONFIG_HELP NEVER,
	    TAKES_PASSWORD | TAKES_DIR | TAKES_CONFIG, 2, 2, cmd_import},
	{"export", "NAME FILE [--password-file FILE] [--dir DIR] [-c CONFIG]",
	    "Makes a PKCS#12 file of NAME.key and NAME.crt (or NAME.pem), with AES-256.\n\n" PASSWORD_HELP
	    "  --dir DIR             where NAME.key and NAME.crt are (here)\n" CONFIG_HELP NEVER,
	    TAKES_PASSWORD | TAKES_DIR | TAKES_CONFIG, 2, 2, cmd_export},
	{"list", "[--warn DAYS] [--json] [-c CONFIG]",
	    "Status 3: a certificate has expired, expires within so many days, or can not be loaded.\n\n"
	    "  --warn DAYS           (30)\n  --json                as JSON\n" CONFIG_HELP,
	    TAKES_CONFIG | TAKES_WARN | TAKES_JSON, 0, 0, cmd_list},
	{"install", "NAME CERT [CHAIN] [--key FILE] [--accept WORD,WORD] [--new] [--dry-run] [-c CONFIG]",
	    "Puts a certificate in the place of the one of bundle NAME, in whatever form the config has it:\n"
	    "checks it as the proxy would, shows what changes, keeps the old files beside as .FILE.previous, and\n"
	    "has the proxy reload. Status 3: the files are in place, but no proxy could be told.\n\n"
	    "  --key FILE            its key; without it the key in CERT, that beside CERT, NAME.key here or in\n"
	    "                        --dir, or the one in place, whichever is the certificate's\n"
	    "  --dir DIR             where NAME.key is looked for (here)\n"
	    "  --accept WORD,WORD    losses that are meant, as `bascule reload` has them: lost-names, …\n"
	    "  --dry-run             check and show, change nothing\n"
	    "  --new                 NAME is a new bundle of the config's one directory\n"
	    "  --no-reload           do not tell the proxy\n"
	    "  --password-file FILE  opens CERT when it is PKCS#12; without it you are asked\n" CONFIG_HELP,
	    TAKES_CONFIG | TAKES_KEY_FILE | TAKES_INSTALL | TAKES_DIR | TAKES_PASSWORD, 2, 3, cmd_install},
	{"wizard", "[--dir DIR] [-c CONFIG]",
	    "Asks what it needs, with an answer to each question that Enter takes. Nothing is written before you\n"
	    "say so, and nothing is put in place before you have seen what changes; Ctrl-C leaves nothing\n"
	    "half-made.\n\n" DIR_HELP CONFIG_HELP,
	    TAKES_DIR | TAKES_CONFIG, 0, 0, cmd_wizard},
};

void
note(const char *fmt, ...)
{
	char text[sizeof(struct err)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fflush(stdout);
	(void)fputs("note: ", stderr);
	show_message(stderr, text);
}

static const struct pki_command *
find(const char *name)
{
	const char *names[COUNTOF(commands)];

	for (size_t i = 0; i < COUNTOF(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
		names[i] = commands[i].name;
	}
	const char *meant = nearest_word(name, names, COUNTOF(names));
	(void)fprintf(stderr, "bascule pki: there is no subcommand \"%s\"%s%s%s; `bascule pki help` lists them\n", name,
	    meant != NULL ? ", did you mean \"" : "", meant != NULL ? meant : "", meant != NULL ? "\"?" : "");
	return NULL;
}

static int
help(const char *name)
{
	if (name == NULL) {
		(void)fputs("bascule pki SUBCOMMAND\n\n" PKI_OVERVIEW, stdout);
		return PKI_OK;
	}
	const struct pki_command *c = find(name);
	if (c == NULL)
		return PKI_USAGE;
	char command[64];
	(void)snprintf(command, sizeof(command), "bascule pki %s", c->name);
	usage_print(stdout, command, c->usage);
	(void)printf("\n%s", c->help);
	return PKI_OK;
}

/* Standard output counts: a result that could not be written is no result. */
static int
run(struct pki *p, int argc, char **argv)
{
	int status = PKI_USAGE;

	if (args_parse(p, argc, argv)) {
		p->thread = tls_thread_new(0, &p->err);
		status = p->thread != NULL ? p->command->run(p) : PKI_FAILED;
		if (p->thread != NULL)
			tls_thread_free(p->thread);
		if ((fflush(stdout) != 0 || ferror(stdout)) && status != PKI_FAILED) {
			err_set(&p->err, "can not write the output");
			status = PKI_FAILED;
		}
	}
	if (p->err.text[0] != '\0' && status != PKI_OK) {
		(void)fprintf(stderr, "bascule pki %s: ", p->command->name);
		show_message(stderr, p->err.text);
	}
	arena_free(&p->arena);
	return status;
}

int
pki_main(int argc, char **argv, const struct pki_host *host)
{
	struct pki p = {.host = host, .arena = ARENA_EMPTY};

	if (argc < 2) {
		(void)fputs("bascule pki: a subcommand must follow; `bascule pki help` lists them\n", stderr);
		return PKI_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	if ((p.command = find(argv[1])) == NULL)
		return PKI_USAGE;
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return help(argv[1]);
	log_init("pki", LOG_WARNING);
	return run(&p, argc - 1, argv + 1);
}
