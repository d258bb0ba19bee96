/*
 * words.h: times and fingerprints for people.
 */
#ifndef BASCULE_PKI_WORDS_H
#define BASCULE_PKI_WORDS_H

#include "base/defs.h"

enum { DATE_TEXT = 32, LEFT_TEXT = 64, FINGERPRINT_TEXT = 32 * 3 };

/* "2026-11-21 10:20:30 UTC" */
void date_text(int64_t at, char out[DATE_TEXT]);

/* "expires in 3 days", "expired 2 days ago", "not valid for another 5 hours" */
void left_text(int64_t not_before, int64_t not_after, int64_t now, char out[LEFT_TEXT]);

/* Whole days until then, rounded down: -1 as soon as it has passed. */
int64_t days_left(int64_t not_after, int64_t now);

/* "AB:CD:…" */
void fingerprint_text(const unsigned char sha256[32], char out[FINGERPRINT_TEXT]);

#endif
