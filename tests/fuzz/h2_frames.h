/*
 * h2_frames.h: HTTP/2's bytes as frames, and the changing of them for a fuzz target.
 */
#ifndef BASCULE_TESTS_FUZZ_H2_FRAMES_H
#define BASCULE_TESTS_FUZZ_H2_FRAMES_H

#include "base/sv.h"

/* RFC 9113, 6 */
enum h2_type {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST_STREAM,
	H2_SETTINGS,
	H2_PUSH_PROMISE,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW_UPDATE,
	H2_CONTINUATION,
	H2_PRIORITY_UPDATE = 16, /* RFC 9218, 7.1 */
};

#define H2_MAGIC SV("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

enum { H2_FRAME_HEAD = 9, H2_END_STREAM = 1 };

struct h2_frame {
	uint8_t type, flags;
	uint32_t id;            /* of its stream */
	const uint8_t *payload; /* where it was */
	size_t n;
};

/* Of n bytes, as HTTP/2 writes numbers. */
uint32_t h2_number(const uint8_t *p, size_t n);

/* The frame at the front of *in, which is moved behind it. False: there is no whole one. */
bool h2_next_frame(struct sv *in, struct h2_frame *f);

#endif
