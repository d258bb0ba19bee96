#include "http/chars.h"
#include "http/h1_internal.h"

enum { VERSION_SIZE = 8 }; /* "HTTP/1.1" */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The head has outgrown its limit: is it the first line already? Then the target is to blame. */
static enum h1_fault
size_fault(struct sv in, bool is_response)
{
	size_t skip = in.n >= 2 && in.p[0] == '\r' && in.p[1] == '\n' ? 2 : 0;

	if (!is_response && memchr(in.p + skip, '\n', in.n - skip) == NULL)
		return H1_TARGET_TOO_LONG;
	return H1_HEAD_TOO_LARGE;
}

/*
 * Look for the empty line, from where the last call stopped, at most `limit` bytes into the head. Whether a line is
 * empty can be told from the bytes before its LF, so nothing but the place need be kept between calls.
 */
static enum h1_status
find_end(struct sv in, bool is_response, struct h1_scan *scan, size_t limit, size_t *used, enum h1_fault *fault)
{
	size_t n = MIN_OF(in.n, limit);

	for (size_t i = scan->seen; i < n; i++) {
		const char *lf = memchr(in.p + i, '\n', n - i);
		if (lf == NULL)
			break;
		i = (size_t)(lf - in.p);
		if (i == 0 || in.p[i - 1] != '\r') {
			*fault = H1_BARE_LF;
			return H1_BAD;
		}
		if (i == 1 ? is_response : in.p[i - 2] == '\n') { /* an empty line before a request is skipped */
			*used = i + 1;
			return H1_DONE;
		}
	}
	scan->seen = (uint32_t)n;
	if (in.n < limit)
		return H1_MORE;
	*fault = size_fault(sv_of(in.p, n), is_response);
	return H1_BAD;
}

/* HTTP-version at p (RFC 9112, 2.3); `malformed` when it is not even of that form. */
static enum h1_fault
read_version(struct http_head *h, const char *p, const char *end, enum h1_fault malformed)
{
	if (end - p < VERSION_SIZE + 2 || memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' ||
	    !is_digit(p[7]))
		return malformed;
	if (p[5] != '1' || p[7] > '1')
		return H1_VERSION;
	h->minor = (uint8_t)(p[7] - '0');
	return H1_OK;
}

/* The CRLF of the start line at p. A CR here is followed by something, for the head ends with two CRLF. */
static enum h1_fault
end_of_line(const char *p, const char **next, enum h1_fault malformed)
{
	if (p[0] != '\r')
		return malformed;
	if (p[1] != '\n')
		return H1_BARE_CR;
	*next = p + 2;
	return H1_OK;
}

/* method SP request-target SP HTTP-version CRLF at *at, which is moved behind it. */
static enum h1_fault
request_line(struct http_head *h, const char **at, const char *end)
{
	const char *method = *at, *p = http_chars_skip(method, end, CHAR_TOKEN);

	if (p == method || *p != ' ')
		return H1_REQUEST_LINE;
	h->method = sv_of(method, (size_t)(p - method));
	h->method_id = (uint8_t)http_method_id(h->method);
	const char *target = p + 1;
	p = http_chars_skip(target, end, CHAR_TARGET);
	if (*p != ' ' && *p != '\r')
		return H1_TARGET;
	if (p == target || *p == '\r')
		return *p == '\r' && p[1] != '\n' ? H1_BARE_CR : H1_REQUEST_LINE;
	h->target = sv_of(target, (size_t)(p - target));
	enum h1_fault fault = read_version(h, p + 1, end, H1_REQUEST_LINE);
	return fault != H1_OK ? fault : end_of_line(p + 1 + VERSION_SIZE, at, H1_REQUEST_LINE);
}

/*
 * HTTP-version SP status-code [SP [reason-phrase]] CRLF. The SP behind the code is mandatory (RFC 9112, 4), but
 * widely left out with the phrase; there is only one way to read that.
 */
static enum h1_fault
status_line(struct http_head *h, const char **at, const char *end)
{
	const char *p = *at;
	enum h1_fault fault = read_version(h, p, end, H1_STATUS_LINE);

	if (fault != H1_OK)
		return fault;
	p += VERSION_SIZE;
	if (end - p < 6 || p[0] != ' ' || p[1] < '1' || p[1] > '9' || !is_digit(p[2]) || !is_digit(p[3]))
		return H1_STATUS_LINE;
	h->status = (uint16_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
	p += 4;
	if (*p == ' ') {
		const char *reason = p + 1;
		p = http_chars_skip(reason, end, CHAR_VALUE);
		h->reason = sv_of(reason, (size_t)(p - reason));
	}
	return end_of_line(p, at, H1_STATUS_LINE);
}

/* A whole head, with its empty line. */
static enum h1_fault
read_request(struct http_head *h, struct sv head, uint32_t max_fields)
{
	const char *p = head.p, *end = head.p + head.n;

	if (p[0] == '\r' && p[1] == '\n')
		p += 2;
	enum h1_fault fault = request_line(h, &p, end);
	if (fault == H1_OK)
		fault = h1_parse_fields(h, sv_of(p, (size_t)(end - 2 - p)), max_fields);
	if (fault == H1_OK)
		fault = h1_resolve_target(h);
	return fault == H1_OK ? h1_check_framing(h) : fault;
}

static enum h1_fault
read_response(struct http_head *h, struct sv head, uint32_t max_fields)
{
	const char *p = head.p, *end = head.p + head.n;
	enum h1_fault fault = status_line(h, &p, end);

	if (fault == H1_OK)
		fault = h1_parse_fields(h, sv_of(p, (size_t)(end - 2 - p)), max_fields);
	return fault == H1_OK ? h1_check_framing(h) : fault;
}

enum h1_status
h1_parse_request(struct http_head *h, struct sv in, struct h1_scan *scan, const struct h1_limits *limits, size_t *used,
    enum h1_fault *fault)
{
	*fault = H1_OK;
	enum h1_status status = find_end(in, false, scan, limits->head_bytes, used, fault);
	if (status == H1_MORE)
		return status;
	http_head_init(h, false);
	if (status == H1_DONE)
		*fault = read_request(h, sv_of(in.p, *used), limits->fields);
	return *fault == H1_OK ? H1_DONE : H1_BAD;
}

/* SETTINGS, with which a server begins HTTP/2 (RFC 9113, 3.4). No response is complete that begins so, so it is looked for late. */
static bool
begins_as_h2(struct sv in)
{
	static const char rest[] = {4, 0, 0, 0, 0, 0}; /* the type, no flags, stream 0 */

	return in.n >= 3 + sizeof(rest) && in.p[0] == 0 && in.p[1] == 0 && memcmp(in.p + 3, rest, sizeof(rest)) == 0;
}

enum h1_status
h1_parse_response(struct http_head *h, struct sv in, enum http_method answered, struct h1_scan *scan,
    const struct h1_limits *limits, size_t *used, enum h1_fault *fault)
{
	*fault = H1_OK;
	enum h1_status status = find_end(in, true, scan, limits->head_bytes, used, fault);
	if (status != H1_DONE && begins_as_h2(in)) {
		*fault = H1_SPEAKS_H2;
		status = H1_BAD;
	}
	if (status == H1_MORE)
		return status;
	http_head_init(h, true);
	h->method_id = (uint8_t)answered;
	if (status == H1_DONE)
		*fault = read_response(h, sv_of(in.p, *used), limits->fields);
	return *fault == H1_OK ? H1_DONE : H1_BAD;
}
