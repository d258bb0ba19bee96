#include "admin/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/h1.h"

enum {
	REPLY_MAX = 64 << 20, /* bytes; the status of ten thousand bundles is a few millions */
	READ_SIZE = 64 * 1024,
	HEAD_MAX = 16 * 1024,
	TIMEOUT_S = 120, /* a reload that reads ten thousand bundles from a slow disk */
};

static bool
explain_connect(const char *path, int error, struct err *err)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return err_set(err, "%s: no proxy answers there; is it running? `bascule run` starts it", path);
	case EACCES:
	case EPERM:
		return err_set(err, "%s: not permitted; the socket is for the user who started the proxy: try as root", path);
	default:
		return err_set(err, "%s: can not connect: %s", path, strerror(error));
	}
}

static int
connect_to(const char *path, struct err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd;

	if (!sv_copy(sv_cstr(path), to.sun_path, sizeof(to.sun_path))) {
		err_set(err, "%s: the path of a socket has at most %zu bytes", path, sizeof(to.sun_path) - 1);
		return -1;
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) {
		err_set(err, "can not make a socket: %s", strerror(errno));
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	explain_connect(path, errno, err);
	close(fd);
	return -1;
}

static bool
send_all(int fd, struct sv text)
{
	while (text.n > 0) {
		ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = sv_of(text.p + n, text.n - (size_t)n);
	}
	return true;
}

static bool
send_request(int fd, const char *method, const char *path)
{
	struct buf text;

	buf_init(&text, HEAD_MAX);
	bool ok = buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", method, path,
	              strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "") &&
	          send_all(fd, buf_view(&text));
	buf_clear(&text);
	return ok;
}

/* Everything up to the end of the connection. */
static bool
receive_all(int fd, struct buf *in)
{
	for (;;) {
		char *room = buf_room(in, READ_SIZE);
		if (room == NULL) {
			errno = EMSGSIZE;
			return false;
		}
		ssize_t n = recv(fd, room, READ_SIZE, 0);
		if (n == 0)
			return true;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		buf_added(in, (size_t)n);
	}
}

static bool
take_body(const struct http_head *head, struct sv rest, struct buf *out)
{
	struct h1_body body;
	enum h1_fault fault;
	enum h1_status step;
	struct sv data;
	bool ok;

	h1_body_init(&body, head);
	do {
		step = h1_body_next(&body, &rest, &data, &fault);
		ok = step != H1_BAD && buf_append(out, data.p, data.n);
	} while (ok && step == H1_MORE && rest.n > 0);
	ok = ok && (step == H1_DONE || h1_body_ends_at_close(&body));
	h1_body_free(&body);
	return ok;
}

static bool
take_reply(struct sv in, const char *method, struct admin_reply *out)
{
	const struct h1_limits limits = {.head_bytes = HEAD_MAX, .fields = HTTP_FIELDS_MAX};
	enum http_method asked = strcmp(method, "POST") == 0 ? HTTP_POST : HTTP_GET;
	struct http_head head;
	struct h1_scan scan = {0};
	enum h1_fault fault;
	size_t used;

	if (h1_parse_response(&head, in, asked, &scan, &limits, &used, &fault) != H1_DONE)
		return false;
	out->status = head.status;
	return take_body(&head, sv_of(in.p + used, in.n - used), &out->body);
}

static bool
exchange(int fd, const char *socket, const char *method, const char *path, struct admin_reply *out, struct err *err)
{
	struct buf in;
	bool ok;

	buf_init(&in, REPLY_MAX);
	if (!send_request(fd, method, path) || !receive_all(fd, &in))
		ok = err_set(err, "%s: no reply: %s", socket,
		    errno == EAGAIN ? "the proxy takes too long; its log says what it is at" : strerror(errno));
	else if (!take_reply(buf_view(&in), method, out))
		ok = err_set(err, "%s: the reply is cut off or no HTTP; is it the admin socket of a bascule?", socket);
	else
		ok = true;
	buf_clear(&in);
	return ok;
}

bool
admin_request(const char *socket, const char *method, const char *path, struct admin_reply *out, struct err *err)
{
	*out = (struct admin_reply){0};
	buf_init(&out->body, REPLY_MAX);
	int fd = connect_to(socket, err);
	if (fd < 0)
		return false;
	bool ok = exchange(fd, socket, method, path, out, err);
	close(fd);
	if (!ok)
		admin_reply_free(out);
	return ok;
}

void
admin_reply_free(struct admin_reply *r)
{
	buf_clear(&r->body);
}
