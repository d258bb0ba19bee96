/* The names that HTTP gives: of fields, methods and statuses. */
#include "http/head.h"

static const struct {
	struct sv name;
	uint8_t flags;
} known_fields[HTTP_FIELD_IDS] = {
    [HTTP_OTHER] = {SV(""), 0},
#define X(id, name, flags) [id] = {SV(name), flags},
    HTTP_FIELDS(X)
#undef X
};

/*
 * The one known name that a name of this length with this first letter can be. A new row of HTTP_FIELDS needs its line
 * here; the unit test asks for every row.
 */
#define KEY(length, first) ((length) << 8 | (first))

static enum http_field_id
candidate(struct sv name)
{
	switch (KEY(name.n, (size_t)(unsigned char)ascii_lower(name.p[0]))) {
	case KEY(2, 't'):
		return HTTP_TE;
	case KEY(4, 'd'):
		return HTTP_DATE;
	case KEY(4, 'h'):
		return HTTP_HOST;
	case KEY(6, 'c'):
		return HTTP_COOKIE;
	case KEY(6, 'e'):
		return HTTP_EXPECT;
	case KEY(6, 's'):
		return HTTP_SERVER;
	case KEY(7, 'r'):
		return HTTP_REFERER;
	case KEY(7, 't'):
		return HTTP_TRAILER;
	case KEY(7, 'u'):
		return HTTP_UPGRADE;
	case KEY(8, 'l'):
		return HTTP_LOCATION;
	case KEY(9, 'f'):
		return HTTP_FORWARDED;
	case KEY(9, 'x'):
		return HTTP_X_REAL_IP;
	case KEY(10, 'c'):
		return HTTP_CONNECTION;
	case KEY(10, 'k'):
		return HTTP_KEEP_ALIVE;
	case KEY(10, 's'):
		return HTTP_SET_COOKIE;
	case KEY(10, 'u'):
		return HTTP_USER_AGENT;
	case KEY(12, 'c'):
		return HTTP_CONTENT_TYPE;
	case KEY(13, 'a'):
		return HTTP_AUTHORIZATION;
	case KEY(14, 'c'):
		return HTTP_CONTENT_LENGTH;
	case KEY(15, 'x'):
		return HTTP_X_FORWARDED_FOR;
	case KEY(16, 'p'):
		return HTTP_PROXY_CONNECTION;
	case KEY(16, 'w'):
		return HTTP_WWW_AUTHENTICATE;
	case KEY(16, 'x'):
		return ascii_lower(name.p[12]) == 'h' ? HTTP_X_FORWARDED_HOST : HTTP_X_FORWARDED_PORT;
	case KEY(17, 't'):
		return HTTP_TRANSFER_ENCODING;
	case KEY(17, 'x'):
		return HTTP_X_FORWARDED_PROTO;
	default:
		return HTTP_OTHER;
	}
}

enum http_field_id
http_field_id(struct sv name)
{
	enum http_field_id id = name.n > 0 ? candidate(name) : HTTP_OTHER;

	return id != HTTP_OTHER && sv_ieq(name, known_fields[id].name) ? id : HTTP_OTHER;
}

static char
fold(char c)
{
	return c == '_' ? '-' : ascii_lower(c);
}

bool
http_field_same(struct sv a, struct sv b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

unsigned
http_field_flags(enum http_field_id id)
{
	return known_fields[id].flags;
}

const char *
http_field_name(enum http_field_id id)
{
	return known_fields[id].name.p;
}

static const struct {
	struct sv name;
	bool idempotent;
} methods[] = {
    [HTTP_METHOD_OTHER] = {SV(""), false},
    [HTTP_GET] = {SV("GET"), true},
    [HTTP_HEAD] = {SV("HEAD"), true},
    [HTTP_POST] = {SV("POST"), false},
    [HTTP_PUT] = {SV("PUT"), true},
    [HTTP_DELETE] = {SV("DELETE"), true},
    [HTTP_OPTIONS] = {SV("OPTIONS"), true},
    [HTTP_PATCH] = {SV("PATCH"), false},
    [HTTP_TRACE] = {SV("TRACE"), true},
    [HTTP_CONNECT] = {SV("CONNECT"), false},
};

enum http_method
http_method_id(struct sv name)
{
	for (size_t i = HTTP_GET; i < COUNTOF(methods); i++)
		if (sv_eq(name, methods[i].name))
			return (enum http_method)i;
	return HTTP_METHOD_OTHER;
}

bool
http_method_is_idempotent(enum http_method m)
{
	return methods[m].idempotent;
}

/* The registry of RFC 9110, 15, and of RFC 6585, 7725, 8297 and 8470. */
#define REASONS(X)                                  \
	X(100, "Continue")                          \
	X(101, "Switching Protocols")               \
	X(103, "Early Hints")                       \
	X(200, "OK")                                \
	X(201, "Created")                           \
	X(202, "Accepted")                          \
	X(203, "Non-Authoritative Information")     \
	X(204, "No Content")                        \
	X(205, "Reset Content")                     \
	X(206, "Partial Content")                   \
	X(207, "Multi-Status")                      \
	X(300, "Multiple Choices")                  \
	X(301, "Moved Permanently")                 \
	X(302, "Found")                             \
	X(303, "See Other")                         \
	X(304, "Not Modified")                      \
	X(307, "Temporary Redirect")                \
	X(308, "Permanent Redirect")                \
	X(400, "Bad Request")                       \
	X(401, "Unauthorized")                      \
	X(402, "Payment Required")                  \
	X(403, "Forbidden")                         \
	X(404, "Not Found")                         \
	X(405, "Method Not Allowed")                \
	X(406, "Not Acceptable")                    \
	X(407, "Proxy Authentication Required")     \
	X(408, "Request Timeout")                   \
	X(409, "Conflict")                          \
	X(410, "Gone")                              \
	X(411, "Length Required")                   \
	X(412, "Precondition Failed")               \
	X(413, "Content Too Large")                 \
	X(414, "URI Too Long")                      \
	X(415, "Unsupported Media Type")            \
	X(416, "Range Not Satisfiable")             \
	X(417, "Expectation Failed")                \
	X(421, "Misdirected Request")               \
	X(422, "Unprocessable Content")             \
	X(423, "Locked")                            \
	X(424, "Failed Dependency")                 \
	X(425, "Too Early")                         \
	X(426, "Upgrade Required")                  \
	X(428, "Precondition Required")             \
	X(429, "Too Many Requests")                 \
	X(431, "Request Header Fields Too Large")   \
	X(451, "Unavailable For Legal Reasons")     \
	X(500, "Internal Server Error")             \
	X(501, "Not Implemented")                   \
	X(502, "Bad Gateway")                       \
	X(503, "Service Unavailable")               \
	X(504, "Gateway Timeout")                   \
	X(505, "HTTP Version Not Supported")        \
	X(507, "Insufficient Storage")              \
	X(511, "Network Authentication Required")

const char *
http_reason(unsigned status)
{
	switch (status) {
#define X(number, text) \
	case number:    \
		return text;
		REASONS(X)
#undef X
	default:
		return "";
	}
}
