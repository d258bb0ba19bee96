/* h2_priority.c: which response goes first (RFC 9218). */
#include "http/h2_internal.h"

enum { URGENCY_MAX = 7 };

/* One member of the dictionary; its parameters mean nothing (RFC 9218, 4). */
static void
read_member(struct h2_priority *p, struct sv member)
{
	struct sv name, value = SV_NONE;
	uint64_t urgency;
	const char *end = memchr(member.p, ';', member.n);

	member = sv_trim(sv_of(member.p, end != NULL ? (size_t)(end - member.p) : member.n));
	const char *equals = memchr(member.p, '=', member.n);
	name = equals != NULL ? sv_of(member.p, (size_t)(equals - member.p)) : member;
	if (equals != NULL)
		value = sv_of(equals + 1, member.n - name.n - 1);
	if (sv_eq(name, SV("u")) && sv_u64(value, &urgency) && urgency <= URGENCY_MAX)
		p->urgency = (uint8_t)urgency;
	else if (sv_eq(name, SV("i")) && (equals == NULL || sv_eq(value, SV("?1"))))
		p->incremental = true;
	else if (sv_eq(name, SV("i")) && sv_eq(value, SV("?0")))
		p->incremental = false;
}

void
h2_priority_read(struct h2_priority *p, struct sv field)
{
	while (field.n > 0) {
		const char *comma = memchr(field.p, ',', field.n);
		size_t n = comma != NULL ? (size_t)(comma - field.p) : field.n;
		read_member(p, sv_of(field.p, n));
		n += comma != NULL;
		field = sv_of(field.p + n, field.n - n);
	}
}

/* The client's own word, as libnghttp2 takes it: it does not tell. */
void
h2_priority_of_request(struct h2_priority *p, const struct http_head *h)
{
	*p = H2_PRIORITY;
	for (unsigned i = 0; i < h->n_fields; i++)
		if (sv_eq(h->fields[i].name, SV("priority")))
			h2_priority_read(p, h->fields[i].value);
}

/* The whole of it, in place of what was said before (RFC 9218, 7). */
int
h2_priority_update(struct h2 *s, const nghttp2_ext_priority_update *u)
{
	struct h2_stream *st = h2_stream_of(s->session, u->stream_id);

	if (u->stream_id == 0) /* the library does not see to that */
		return h2_fail(s, "PRIORITY_UPDATE for no stream", H2_PROTOCOL_ERROR);
	if (st == NULL)
		return 0;
	st->priority = H2_PRIORITY;
	h2_priority_read(&st->priority, sv_of((const char *)u->field_value, u->field_value_len));
	return 0;
}

void
h2_prioritize(struct h2 *s, struct h2_stream *st, struct sv field)
{
	h2_priority_read(&st->priority, field);
	const nghttp2_extpri p = {.urgency = st->priority.urgency, .inc = st->priority.incremental};
	if (st->open)
		(void)nghttp2_session_change_extpri_stream_priority(s->session, st->id, &p, 0);
}
