/*
 * reasons.h: why a client connection was closed, one row a reason.
 *
 * Every closed connection has exactly one: it is counted under its name, and
 * logged at info level when it is an error, though not each of a flood.
 */
#ifndef BASCULE_PROXY_REASONS_H
#define BASCULE_PROXY_REASONS_H

#include "base/defs.h"

/* X(id, name, is an error, text) */
#define CLOSE_REASONS(X)                                                                                       \
	X(CLOSE_CLIENT, "client", false, "the client closed it")                                               \
	X(CLOSE_LAST_REQUEST, "last_request", false, "the last response said so")                              \
	X(CLOSE_IDLE, "idle", false, "no request within timeouts.idle")                                        \
	X(CLOSE_DRAIN, "drain", false, "the proxy is draining")                                                \
	X(CLOSE_TUNNEL, "tunnel", false, "the tunnel ended")                                                   \
	X(CLOSE_ORIGIN_LEFT, "origin_left", false, "the origin closed the connection that it had authenticated on")  \
	X(CLOSE_PROXY_HEADER, "proxy_header", true, "no good header of the PROXY protocol came")                \
	X(CLOSE_HANDSHAKE, "handshake", true, "the TLS handshake failed")                                      \
	X(CLOSE_HANDSHAKE_TIMEOUT, "handshake_timeout", true, "the TLS handshake took longer than timeouts.handshake") \
	X(CLOSE_HEAD_TIMEOUT, "head_timeout", true, "the request head took longer than timeouts.head")         \
	X(CLOSE_BODY_TIMEOUT, "body_timeout", true, "no byte of the request body within timeouts.body")        \
	X(CLOSE_SEND_TIMEOUT, "send_timeout", true, "the client took nothing within timeouts.send")            \
	X(CLOSE_TUNNEL_TIMEOUT, "tunnel_timeout", true, "nothing went through the tunnel within timeouts.tunnel") \
	X(CLOSE_MALFORMED, "malformed", true, "the request was malformed or ambiguous")                        \
	X(CLOSE_FLOOD, "flood", true, "a flood of HTTP/2: frames that bring nothing (http2.flood_burst), or fields without end") \
	X(CLOSE_REFUSED, "refused", true, "the request was refused and its body not awaited")                  \
	X(CLOSE_CERTIFICATE, "certificate", true, "its client certificate is no longer accepted")              \
	X(CLOSE_ORIGIN_BROKE, "origin_broke", true, "the origin broke off in the middle of a response")        \
	X(CLOSE_CLIENT_BROKE, "client_broke", true, "the client broke the connection")                         \
	X(CLOSE_NO_MEMORY, "no_memory", true, "out of memory")

enum close_reason {
#define X(id, name, error, text) id,
	CLOSE_REASONS(X)
#undef X
	CLOSE_REASONS_N
};

const char *close_reason_name(enum close_reason r);
const char *close_reason_text(enum close_reason r);
bool close_reason_is_error(enum close_reason r);

#endif
