/*
 * scratch.h: a directory of the test's own, which is also the current one.
 */
#ifndef BASCULE_TESTS_PKI_SCRATCH_H
#define BASCULE_TESTS_PKI_SCRATCH_H

#include "pki/command.h"

extern struct pki scratch; /* a run of some subcommand, zeroed but for what is set here */

void scratch_setup(void);
void scratch_teardown(void);

void scratch_file(const char *path, const char *text);
bool scratch_holds(const char *path, const char *text); /* NULL: there is no such file */
size_t scratch_count(void);                             /* entries of the directory, hidden ones too */

#endif
