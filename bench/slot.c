/*
 * slot.c: one connection: its handshake, its requests one after the other, and the check of each response.
 */
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536 };

bool
slot_is_active(const struct slot *s)
{
	return s->state != CLOSED && s->state != IDLE;
}

static void
set_state(struct slot *s, enum state state)
{
	bool was = slot_is_active(s);

	s->state = state;
	if (was && !slot_is_active(s)) {
		gen.active--;
		TAILQ_INSERT_TAIL(&gen.free, s, next);
	} else if (!was && slot_is_active(s)) {
		gen.active++;
		TAILQ_REMOVE(&gen.free, s, next);
	}
}

static void
close_connection(struct slot *s)
{
	if (s->ssl != NULL) {
		if (s->state == CLOSING || s->state == IDLE)
			SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
		s->ssl = NULL;
		close(s->fd);
	}
	ERR_clear_error();
	set_state(s, CLOSED);
}

/* The request of `s` has failed; the first reason is kept, without what JSON would have to escape. */
void
slot_fail(struct slot *s, enum failure why, const char *fmt, ...)
{
	va_list ap;

	if (gen.count.failures++ == 0) {
		va_start(ap, fmt);
		vsnprintf(gen.first_failure, sizeof(gen.first_failure), fmt, ap);
		va_end(ap);
		for (char *p = gen.first_failure; *p != '\0'; p++)
			if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
				*p = '.';
	}
	gen.count.failed[why]++;
	close_connection(s);
}

/* Bytes read into `buf`; 0 when none are there yet; -1 when the server has closed, by close_notify or without. */
static int
receive(struct slot *s, char *buf, int size)
{
	int n = SSL_read(s->ssl, buf, size);

	if (n > 0) {
		s->progress = gen.now;
		return n;
	}
	return SSL_get_error(s->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

static void
open_connection(struct slot *s)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s };
	int on = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->ssl = SSL_new(gen.tls);
	if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1 || SSL_set_tlsext_host_name(s->ssl, gen.name) != 1)
		die("out of memory");
	SSL_set_connect_state(s->ssl);
	set_state(s, HANDSHAKE);
	if (epoll_ctl(gen.epoll, EPOLL_CTL_ADD, s->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
	if (connect(s->fd, (struct sockaddr *)&gen.to, sizeof(gen.to)) != 0 && errno != EINPROGRESS)
		slot_fail(s, FAIL_CONNECT, "connect: %s", strerror(errno));
}

static void
note_certificate(const SSL *ssl)
{
	unsigned char sha256[32];
	X509 *x = SSL_get0_peer_certificate(ssl);

	if (x == NULL || X509_digest(x, EVP_sha256(), sha256, NULL) != 1)
		return;
	for (struct certificate *c = gen.certificate; c < gen.certificate + CERTIFICATES; c++) {
		if (c->seen > 0 && memcmp(c->sha256, sha256, sizeof(sha256)) != 0)
			continue;
		memcpy(c->sha256, sha256, sizeof(sha256));
		c->seen++;
		return;
	}
}

/* The steps: each returns true to go on with the next, false when the server has to do something first. */

static bool
step_handshake(struct slot *s)
{
	int r = SSL_do_handshake(s->ssl), e = SSL_get_error(s->ssl, r);

	if (r == 1) {
		gen.count.handshakes++;
		gen.count.resumed += (unsigned long)SSL_session_reused(s->ssl);
		note_certificate(s->ssl);
		set_state(s, SENDING);
		return true;
	}
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return false;
	unsigned long code = ERR_peek_error();
	slot_fail(s, FAIL_CONNECT, "handshake: %s", code != 0 ? ERR_reason_error_string(code) : strerror(errno));
	return false;
}

static bool
step_sending(struct slot *s)
{
	int r = SSL_write(s->ssl, gen.request, gen.request_len), e = SSL_get_error(s->ssl, r);

	if (r > 0) {
		s->head_len = s->body_read = 0;
		set_state(s, HEAD);
		return true;
	}
	if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
		slot_fail(s, FAIL_LOST, "the connection was closed while the request was sent");
	return false;
}

static void
response_complete(struct slot *s)
{
	int64_t us = (gen.now - s->began) / 1000;
	size_t bucket = (size_t)(us / BUCKET_US);

	gen.count.requests++;
	gen.count.body_bytes += gen.body_len;
	gen.count.latency[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	set_state(s, gen.reconnect || s->server_closes ? CLOSING : IDLE);
}

/* Takes `n` bytes of the body; false when the request is over, one way or the other. */
static bool
take_body(struct slot *s, const char *p, size_t n)
{
	if (n > gen.body_len - s->body_read) {
		slot_fail(s, FAIL_BODY, "more than the Content-Length came");
		return false;
	}
	if (memcmp(gen.body + s->body_read, p, n) != 0) {
		slot_fail(s, FAIL_BODY, "the body differs within %zu bytes from byte %zu on", n, s->body_read);
		return false;
	}
	s->body_read += n;
	if (s->body_read == gen.body_len) {
		response_complete(s);
		return false;
	}
	return true;
}

/* The head is complete; its last CRLF CRLF begins at `end` and is followed by `rest` bytes of the body. */
static void
take_head(struct slot *s, char *end, size_t rest)
{
	const char *length;
	char *first_line_end;

	end[2] = '\0';
	first_line_end = strstr(s->head, "\r\n");
	length = strcasestr(s->head, "\r\nContent-Length:");
	if (strncmp(s->head, "HTTP/1.1 200", 12) != 0) {
		slot_fail(s, FAIL_STATUS, "%.*s", (int)(first_line_end - s->head), s->head);
	} else if (length == NULL) {
		slot_fail(s, FAIL_HEAD, "no Content-Length");
	} else if (strtoull(length + strlen("\r\nContent-Length:"), NULL, 10) != gen.body_len) {
		slot_fail(s, FAIL_BODY, "%.40s, expected %zu", length + 2, gen.body_len);
	} else {
		s->server_closes = strcasestr(s->head, "\r\nConnection: close") != NULL;
		set_state(s, BODY);
		take_body(s, end + 4, rest);
	}
}

static bool
step_head(struct slot *s)
{
	int n = receive(s, s->head + s->head_len, (int)(HEAD_MAX - s->head_len));
	char *end;

	if (n == 0)
		return false;
	if (n < 0) {
		slot_fail(s, FAIL_LOST, "the connection was closed in place of a response");
		return false;
	}
	s->head_len += (size_t)n;
	end = memmem(s->head, s->head_len, "\r\n\r\n", 4);
	if (end != NULL)
		take_head(s, end, s->head_len - (size_t)(end + 4 - s->head));
	else if (s->head_len == HEAD_MAX)
		slot_fail(s, FAIL_HEAD, "a response head of more than %d bytes", HEAD_MAX);
	return true;
}

static bool
step_body(struct slot *s)
{
	static char chunk[CHUNK];
	int n = receive(s, chunk, sizeof(chunk));

	if (n == 0)
		return false;
	if (n < 0) {
		slot_fail(s, FAIL_LOST, "the connection was closed after %zu bytes of the body", s->body_read);
		return false;
	}
	take_body(s, chunk, (size_t)n);
	return true;
}

/* IDLE and CLOSING: nothing but the end may come. Reading also sees an end that came with the last response. */
static bool
step_quiet(struct slot *s)
{
	char byte;
	int n = receive(s, &byte, 1);

	if (n > 0)
		slot_fail(s, FAIL_BODY, "bytes after the response");
	if (n < 0) {
		gen.count.closed += s->state == IDLE;
		close_connection(s);
	}
	return false;
}

void
slot_drive(struct slot *s)
{
	bool go_on = true;

	while (go_on) {
		switch (s->state) {
		case HANDSHAKE: go_on = step_handshake(s); break;
		case SENDING: go_on = step_sending(s); break;
		case HEAD: go_on = step_head(s); break;
		case BODY: go_on = step_body(s); break;
		case IDLE:
		case CLOSING: go_on = step_quiet(s); break;
		case CLOSED: return;
		}
	}
	ERR_clear_error();
}

void
slot_start(struct slot *s)
{
	s->began = s->progress = gen.now;
	gen.count.started++;
	if (s->state == IDLE) {
		set_state(s, SENDING);
	} else {
		gen.count.reopened += s->opened && !gen.reconnect;
		s->opened = true;
		open_connection(s);
	}
	slot_drive(s);
}
