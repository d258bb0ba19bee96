#include "proxy/access_log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "proxy/client.h"

/*
 * Of a value so much is logged, which escaped may be six times as long. A line has five that a client can choose freely
 * (method, target, referer, user agent, certificate subject), and short ones.
 */
enum { VALUE_MAX = 2048, LINE_MAX_BYTES = 5 * 6 * VALUE_MAX + 16 * 1024, LINES_MAX = 64 * 1024 };

enum { TELL_EVERY_MS = 60 * 1000 };

void
access_log_init(struct access_log *l, uint64_t *lost)
{
	*l = (struct access_log){.to = OUTLET(-1), .lost = lost};
	buf_init(&l->lines, LINES_MAX + LINE_MAX_BYTES);
}

/* In the error log, at once and then from time to time. */
static void
tell_lost(struct access_log *l)
{
	uint64_t now = clock_mono_ms();

	if (l->to.lost == 0 || now < l->silent_until_ms)
		return;
	log_error("access log: %llu line%s lost: %s", (unsigned long long)l->to.lost, l->to.lost == 1 ? " was" : "s were",
	    outlet_why(&l->to));
	l->to.lost = 0;
	l->silent_until_ms = now + TELL_EVERY_MS;
}

void
access_log_flush(struct access_log *l)
{
	uint64_t before = l->to.lost;

	if (buf_len(&l->lines) == 0)
		return;
	outlet_put(&l->to, buf_view(&l->lines));
	counter_add(l->lost, l->to.lost - before);
	tell_lost(l);
	buf_reset(&l->lines); /* keeps its memory: it is needed again at once */
}

void
access_log_set(struct access_log *l, int fd, enum conf_access_format format)
{
	access_log_flush(l);
	outlet_set(&l->to, fd);
	l->format = format;
	if (fd < 0)
		buf_clear(&l->lines);
}

/* --- escaping ----------------------------------------------------------------------------------------------- */

/*
 * Inside quotes: what ends the quotes and every control byte is escaped, in JSON's way, which readers of the combined form
 * know, too. Bytes above 0x7e are escaped as well: a field value need not be UTF-8, and JSON must be.
 */
static void
put_escaped(struct buf *b, struct sv s)
{
	static const char hex[] = "0123456789abcdef";
	size_t max = MIN_OF(s.n, (size_t)VALUE_MAX);
	char *to = buf_room(b, max * 6);
	size_t n = 0;

	if (to == NULL)
		return;
	for (size_t i = 0; i < max; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"' || c == '\\') {
			to[n++] = '\\';
			to[n++] = (char)c;
		} else if (c < 0x20 || c > 0x7e) {
			memcpy(to + n, "\\u00", 4);
			to[n + 4] = hex[c >> 4];
			to[n + 5] = hex[c & 15];
			n += 6;
		} else {
			to[n++] = (char)c;
		}
	}
	buf_added(b, n);
}

static void
put(struct buf *b, struct sv s)
{
	bool fits = buf_append(b, s.p, s.n);

	(void)fits; /* the room for a line has been seen to, and every part of it is bounded */
}

static void
put_string(struct buf *b, struct sv key, struct sv value)
{
	put(b, SV(",\""));
	put(b, key);
	put(b, SV("\":\""));
	put_escaped(b, value);
	put(b, SV("\""));
}

static void
put_number(struct buf *b, const char *key, uint64_t value)
{
	(void)!buf_printf(b, ",\"%s\":%llu", key, (unsigned long long)value);
}

static struct sv
field(const struct exchange *x, enum http_field_id id)
{
	const struct http_field *f = http_head_get(&x->request, id);

	return f != NULL ? f->value : SV_NONE;
}

/* --- the two forms ------------------------------------------------------------------------------------------ */

static void
put_json(struct buf *b, const struct exchange *x)
{
	char when[CLOCK_TEXT_SIZE];
	struct sv tls, server_name;
	uint64_t now = clock_wall_us();

	clock_text(x->started_us, when);
	put(b, SV("{\"time\":\""));
	put(b, sv_cstr(when));
	put(b, SV("\""));
	put_string(b, SV("client"), exchange_client_address(x));
	put_string(b, SV("method"), x->request.method);
	put_string(b, SV("host"), x->request.authority);
	put_string(b, SV("target"), x->request.target);
	put_string(b, SV("protocol"), sv_cstr(http_version(&x->request)));
	put_number(b, "status", x->status);
	put_number(b, "bytes_in", x->body_in);
	put_number(b, "bytes_out", x->body_out);
	put_number(b, "duration_us", now > x->started_us ? now - x->started_us : 0); /* the clock may have been put back */
	put_number(b, "thread", x->thread->number);
	put_number(b, "request", x->number);
	if (x->server >= 0) {
		put_string(b, SV("upstream"), sv_cstr(upstream_conf(x->upstream->balance)->name));
		put_string(b, SV("server"), sv_cstr(upstream_at(x->upstream->balance, (unsigned)x->server)->conf->address));
		put_number(b, "tries", x->tries);
		if (x->origin_version != NULL)
			put_string(b, SV("server_protocol"), sv_cstr(x->origin_version));
	}
	if (client_tls_words(x->client, &tls, &server_name)) {
		put_string(b, SV("tls"), tls);
		put_string(b, SV("server_name"), server_name);
	}
	if (x->client->told != NULL && x->client->told->header.unique_id.n > 0)
		put_string(b, SV("connection"), x->client->told->header.unique_id);
	if (x->client->peer != NULL)
		put_string(b, SV("client_subject"), sv_cstr(x->client->peer->subject));
	put_string(b, SV("referer"), field(x, HTTP_REFERER));
	put_string(b, SV("user_agent"), field(x, HTTP_USER_AGENT));
	if (x->failure != NULL)
		put_string(b, SV("reason"), sv_cstr(x->failure));
	put(b, SV("}\n"));
}

static struct sv
field_or_dash(const struct exchange *x, enum http_field_id id)
{
	struct sv value = field(x, id);

	return value.n > 0 ? value : SV("-");
}

/* Apache's combined form: client - user [time] "request" status bytes "referer" "user agent" */
static void
put_combined(struct buf *b, const struct exchange *x)
{
	time_t when = (time_t)(x->started_us / 1000000);
	struct tm tm;
	char text[40] = "";

	if (gmtime_r(&when, &tm) != NULL)
		(void)!strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	put(b, exchange_client_address(x));
	put(b, SV(" - - ["));
	put(b, sv_cstr(text));
	put(b, SV("] \""));
	put_escaped(b, x->request.method);
	put(b, SV(" "));
	put_escaped(b, x->request.target);
	(void)!buf_printf(b, " %s\" %u %llu \"", http_version(&x->request), x->status, (unsigned long long)x->body_out);
	put_escaped(b, field_or_dash(x, HTTP_REFERER));
	put(b, SV("\" \""));
	put_escaped(b, field_or_dash(x, HTTP_USER_AGENT));
	put(b, SV("\"\n"));
}

void
access_log_write(struct access_log *l, const struct exchange *x)
{
	if (l->to.fd < 0)
		return;
	if (buf_len(&l->lines) > LINES_MAX)
		access_log_flush(l);
	if (l->format == CONF_ACCESS_JSON)
		put_json(&l->lines, x);
	else
		put_combined(&l->lines, x);
}
