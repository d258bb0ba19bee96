/*
 * pki.h: `bascule pki`, from a request to an installed bundle without another tool.
 *
 * Runs in a process of its own, never in the proxy: one thread, blocking, with
 * the rights of whoever calls it. What it accepts of a bundle is what certs/load
 * accepts, for it asks that very code.
 */
#ifndef BASCULE_PKI_PKI_H
#define BASCULE_PKI_PKI_H

#include "base/err.h"
#include "conf/config.h"

/* Exit statuses; the first three are those of every command. */
enum {
	PKI_OK = 0,
	PKI_FAILED = 1,
	PKI_USAGE = 2,
	PKI_BUT = 3, /* done, or found to be so, but something wants attention: each subcommand's help says what */
};

enum pki_reload {
	PKI_RELOADED,    /* in service */
	PKI_WAITS,       /* taken, and waits to be started */
	PKI_NOT_ASKED,   /* no proxy runs, or it can not be asked */
	PKI_RELOAD_HELD, /* the proxy refused the bundle or the whole reload */
};

/* What the layers above do for it. */
struct pki_host {
	const char *default_config;
	/*
	 * Have the proxy of this config load its files anew; `accept`: losses that are meant (enum conf_loss), each its bit.
	 * `err` is set unless it is PKI_RELOADED.
	 */
	enum pki_reload (*reload)(const struct conf *conf, const char *bundle, unsigned accept, struct err *err);
	/*
	 * Which generation of the bundle is it that has the certificate of this SHA-256? 0: the proxy of this config has another one
	 * in service, or can not be asked.
	 */
	uint64_t (*generation)(const struct conf *conf, const char *bundle, const unsigned char sha256[32]);
};

/* argv[0] is "pki". Returns the exit status; standard error says why it is not 0. */
int pki_main(int argc, char **argv, const struct pki_host *host);

/* For `bascule help pki` and `bascule pki help`. */
#define PKI_OVERVIEW                                                                               \
	"  csr NAME          make a key and a request to be signed by a CA\n"                        \
	"  selfsigned NAME   make a key and a certificate signed by itself\n"                        \
	"  ca NAME           make a small CA\n"                                                      \
	"  sign CSR CA       sign a request with a CA made here\n"                                   \
	"  inspect FILE...   say what a file holds: names, issuer, days left, order of the chain\n"  \
	"  match KEY CERT    does the key belong to the certificate?\n"                              \
	"  verify CERT CA    does the certificate come from exactly this CA?\n"                      \
	"  bundle CERT...    put a chain in order, say what is missing\n"                            \
	"  import FILE NAME  make PEM files of a PKCS#12 file\n"                                     \
	"  export NAME FILE  make a PKCS#12 file of PEM files\n"                                     \
	"  list              all bundles of a config, those that expire first at the top\n"          \
	"  install NAME CERT put a certificate into a bundle and have the proxy take it\n"           \
	"  wizard            from names to an installed bundle, by questions\n"                      \
	"\nFrom a request to the swap:\n"                                                            \
	"  bascule pki csr shop CN:shop.example subjectAltName:shop.example,www.shop.example\n"      \
	"  bascule pki bundle shop.crt intermediate.crt -o shop.pem    once the CA has answered\n"   \
	"  bascule pki install shop shop.pem --dry-run                 what would change\n"          \
	"  bascule pki install shop shop.pem                           and change it\n"              \
	"\n`bascule pki help SUBCOMMAND` tells more.\n"

#endif
