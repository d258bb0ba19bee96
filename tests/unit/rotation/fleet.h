/* fleet.h: clients that trust one generation, the other or both, and a rotation to meet them with. */
#ifndef BASCULE_TESTS_FLEET_H
#define BASCULE_TESTS_FLEET_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "rotation/private.h"

enum { OLD = 1, NEW = 2, BOTH = 3, NEITHER = 0 }; /* what a client trusts: bits by generation */

enum manner { ALOUD, SILENT }; /* how it refuses */

struct visitor {
	const char *address;
	uint64_t hello;
	unsigned trusts;
	enum manner manner;
};

extern struct rotation *r;
extern struct moment now;
extern struct rotation_settings settings;

/* Test suite hooks: a rotation with generation 1 in service, and default settings. */
void fleet_begin(void);
void fleet_end(void);

/* Generation n, valid for a year; owned by the fleet. */
struct tls_bundle *generation(uint64_t n);

struct client_identity identity(const struct visitor *v);

/* One full handshake: the generation that it was offered. Its answer is reported. */
uint64_t visit(const struct visitor *v);
/* The same; true when it accepted. */
bool gets_in(const struct visitor *v);

/* It has come, and stays: a connection of one that is known is open. For rotation_left(). */
struct client_record *stays(const struct visitor *v);

void pass_seconds(unsigned s);

/* The new generation's files are there. */
void swap_to(uint64_t n);

#endif
