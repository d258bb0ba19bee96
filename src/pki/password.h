/*
 * password.h: passwords, from a file or from a terminal without echo. Never from the command line.
 */
#ifndef BASCULE_PKI_PASSWORD_H
#define BASCULE_PKI_PASSWORD_H

#include "certs/pieces.h"
#include "pki/command.h"

/* What is asked for when there is no file. */
enum password_ask { PASSWORD_OLD, PASSWORD_NEW /* asked twice, and not empty */ };

/* Into `out`, which the caller wipes in any case. False with err set. */
MUST_CHECK bool
password_get(struct pki *p, const char *file, enum password_ask ask, char out[PASSWORD_MAX + 1]);

/* The content of a password file. */
MUST_CHECK bool password_read(const char *path, char out[PASSWORD_MAX + 1], struct err *err);

#endif
