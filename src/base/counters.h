/*
 * counters.h: what the proxy counts, one row a counter.
 *
 * A row makes the field of the per-thread struct, the line of the Prometheus
 * text and the row of docs/metrics.md. Each thread adds to its own struct
 * without a lock; a reader sums over the threads.
 */
#ifndef BASCULE_BASE_COUNTERS_H
#define BASCULE_BASE_COUNTERS_H

#include "base/defs.h"

/* X(name, kind, help): kind is counter (only grows) or gauge; help tells an operator what to make of it. */
#define COUNTER_ROWS(X)                                                                                              \
	X(connections_accepted, counter, "Client connections accepted.")                                             \
	X(connections_refused, counter,                                                                              \
	    "Client connections closed at once, or told 503: out of descriptors, memory or \"connections\". Raise the limit, " \
	    "or find out who opens them.")                                                                           \
	X(connections_open, gauge, "Client connections open now.")                                                   \
	X(handshakes_full, counter, "TLS handshakes completed with a certificate shown.")                            \
	X(handshakes_resumed, counter, "TLS handshakes completed from a ticket.")                                    \
	X(handshakes_failed, counter,                                                                                \
	    "TLS handshakes that failed. Scanners cause some all day; a rise after a certificate change is not them.") \
	X(handshakes_unrecognized, counter,                                                                          \
	    "TLS handshakes refused because no site serves the name, or it has no certificate.")                     \
	X(requests, counter, "Requests, those refused as malformed among them.")                                     \
	X(requests_in_flight, gauge, "Requests being answered now.")                                                 \
	X(requests_refused, counter, "Requests answered with an error of the proxy's own.")                          \
	X(requests_malformed, counter,                                                                               \
	    "Requests refused as malformed or ambiguous: with 400, in HTTP/2 by a reset of their stream.")           \
	X(requests_misdirected, counter,                                                                             \
	    "Requests answered 421: their Host needs another client-certificate policy than their connection has.")  \
	X(origin_connections_opened, counter, "Connections opened to origins.")                                      \
	X(origin_connections_reused, counter, "Requests sent on an origin connection that was open already.")        \
	X(origin_connections_idle, gauge, "Origin connections open and waiting for use.")                            \
	X(origin_connections_bound, gauge,                                                                           \
	    "Origin connections open that serve one client connection alone: by the PROXY protocol, NTLM or Negotiate.") \
	X(origin_failures, counter, "Origin connections refused, reset, timed out, or whose answer was malformed.")  \
	X(origin_retries, counter, "Requests that went to another server because nothing had reached the first.")    \
	X(origin_http2_connections_open, gauge, "Origin connections open now that speak HTTP/2.")                    \
	X(origin_http2_streams_open, gauge, "Requests that are with origins by HTTP/2 now, or wait for such a connection.") \
	X(origin_http2_streams_refused, counter,                                                                     \
	    "Requests that an origin refused by HTTP/2 (REFUSED_STREAM, GOAWAY). They are sent again, unless their body " \
	    "has gone or the tries are used up. Many: it takes fewer at a time than it grants.")                     \
	X(origin_http2_streams_reset, counter,                                                                       \
	    "Streams that origins reset for another reason, which is a failure. Requests are sent again where that is safe.") \
	X(origin_http2_protocol_errors, counter,                                                                     \
	    "Connections of HTTP/2 ended because the origin broke a rule of it, or flooded.")                        \
	X(bytes_from_clients, counter, "Bytes of request bodies received.")                                          \
	X(bytes_to_clients, counter, "Bytes of response bodies sent.")                                               \
	X(http2_connections_open, gauge, "Client connections open now that speak HTTP/2.")                           \
	X(http2_streams_open, gauge, "Requests that clients have open by HTTP/2, those answered but not sent to their end " \
	    "among them.")                                                                                           \
	X(http2_requests_malformed, counter,                                                                         \
	    "Streams of clients reset because they broke a rule of HTTP/2, or their request one of HTTP.")           \
	X(http2_streams_refused, counter,                                                                            \
	    "Streams of clients refused with REFUSED_STREAM: more at a time than http2.streams, behind a GOAWAY, or " \
	    "out of memory.")  \
	X(http2_streams_cancelled, counter,                                                                          \
	    "Streams that clients reset. Browsers do when a page is left; floods of them end their connection.")     \
	X(http2_streams_stuck, counter,                                                                              \
	    "Streams reset because the client kept its windows closed for timeouts.send.")                           \
	X(http2_protocol_errors, counter,                                                                            \
	    "Connections of HTTP/2 ended because the client broke a rule of it. Floods are not among them: see the " \
	    "reason \"flood\" of bascule_connections_closed.")                                                       \
	X(tunnels_open, gauge, "Upgraded connections (WebSocket) open now.")                                          \
	X(access_lines_lost, counter,                                                                                \
	    "Lines of the access log that were lost: its disk is full, or nobody reads the pipe that it is. Requests never " \
	    "wait for it.")

/* Written by one thread only, with counter_add; read by any with counter_read. */
struct counters {
#define X(name, kind, help) uint64_t name;
	COUNTER_ROWS(X)
#undef X
};

static inline void
counter_add(uint64_t *c, uint64_t n)
{
	/* One writer: a plain add, made of two relaxed accesses so that readers see no torn value. */
	__atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void
counter_sub(uint64_t *c, uint64_t n)
{
	counter_add(c, (uint64_t)0 - n);
}

static inline uint64_t
counter_read(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

#endif
