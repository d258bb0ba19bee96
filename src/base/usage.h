/*
 * usage.h: how a command is called, in the lines of a help page.
 */
#ifndef BASCULE_BASE_USAGE_H
#define BASCULE_BASE_USAGE_H

#include <stdio.h>

enum { USAGE_WIDTH = 100 };

/* "COMMAND usage" and a newline, broken between words and brackets where it would be too wide; UTF-8. */
void usage_print(FILE *out, const char *command, const char *usage);

#endif
