#include "http/head.h"

#include "http/chars.h"

void
http_head_init(struct http_head *h, bool is_response)
{
	memset(h, 0, offsetof(struct http_head, fields));
	h->is_response = is_response;
	h->major = 1;
}

const char *
http_version(const struct http_head *h)
{
	return h->major == 2 ? "HTTP/2.0" : h->minor == 1 ? "HTTP/1.1" : "HTTP/1.0";
}

/* Index of the first field from `from` on with this id (a known one) or, for HTTP_OTHER, this name; n_fields: none. */
static size_t
next_field(const struct http_head *h, size_t from, enum http_field_id id, struct sv name)
{
	size_t i = from;

	while (i < h->n_fields && (h->fields[i].id != id || (id == HTTP_OTHER && !sv_ieq(h->fields[i].name, name))))
		i++;
	return i;
}

/* Where a search for this id begins. */
static size_t
first_field(const struct http_head *h, enum http_field_id id, struct sv name)
{
	if (id == HTTP_OTHER)
		return next_field(h, 0, id, name);
	return h->first[id] != 0 ? (size_t)h->first[id] - 1 : h->n_fields;
}

static const struct http_field *
find(const struct http_head *h, enum http_field_id id, struct sv name)
{
	size_t i = first_field(h, id, name);

	while (i < h->n_fields && h->fields[i].dropped)
		i = next_field(h, i + 1, id, name);
	return i < h->n_fields ? &h->fields[i] : NULL;
}

const struct http_field *
http_head_get(const struct http_head *h, enum http_field_id id)
{
	return find(h, id, SV_NONE);
}

const struct http_field *
http_head_find(const struct http_head *h, struct sv name)
{
	return find(h, http_field_id(name), name);
}

static bool
add(struct http_head *h, enum http_field_id id, struct sv name, struct sv value)
{
	if (h->n_fields == HTTP_FIELDS_MAX || !http_is_token(name) || !http_is_value(value))
		return false;
	h->fields[h->n_fields++] = (struct http_field){.name = name, .value = value, .id = (uint8_t)id};
	if (h->first[id] == 0)
		h->first[id] = (uint8_t)h->n_fields;
	return true;
}

bool
http_head_add(struct http_head *h, struct sv name, struct sv value)
{
	return add(h, http_field_id(name), name, value);
}

bool
http_head_add_id(struct http_head *h, enum http_field_id id, struct sv value)
{
	return add(h, id, sv_cstr(http_field_name(id)), value);
}

void
http_head_drop_name(struct http_head *h, struct sv name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (http_field_same(h->fields[i].name, name))
			h->fields[i].dropped = true;
}

void
http_head_drop(struct http_head *h, enum http_field_id id)
{
	http_head_drop_name(h, sv_cstr(http_field_name(id)));
}

/*
 * The next member of a list that may go over several field lines. *i and *rest say how far it is: begin with
 * first_field() and SV_NONE. False: no more. Empty members are skipped (RFC 9110, 5.6.1.2).
 */
static bool
next_member(const struct http_head *h, enum http_field_id id, size_t *i, struct sv *rest, struct sv *member)
{
	for (;;) {
		if (rest->p == NULL) {
			if (*i >= h->n_fields)
				return false;
			*rest = h->fields[*i].value;
			*i = next_field(h, *i + 1, id, SV_NONE);
		}
		*member = sv_trim(sv_cut(rest, ','));
		if (member->n > 0)
			return true;
	}
}

bool
http_head_has_token(const struct http_head *h, enum http_field_id id, struct sv token)
{
	struct sv rest = SV_NONE, member;

	for (size_t i = first_field(h, id, SV_NONE); next_member(h, id, &i, &rest, &member);)
		if (sv_ieq(member, token))
			return true;
	return false;
}

/* As it is spelled: what a peer nominates must not reach further than what it wrote. */
static void
drop_nominated(struct http_head *h, struct sv name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (sv_ieq(h->fields[i].name, name))
			h->fields[i].dropped = true;
}

bool
http_head_strip(struct http_head *h)
{
	size_t i = first_field(h, HTTP_CONNECTION, SV_NONE);
	struct sv rest = SV_NONE, member;

	for (unsigned n = 0; next_member(h, HTTP_CONNECTION, &i, &rest, &member);) {
		unsigned flags = http_field_flags(http_field_id(member));
		if (++n > HTTP_OPTIONS_MAX || !http_is_token(member) || (flags & HTTP_KEPT) != 0)
			return false;
		drop_nominated(h, member);
	}
	for (i = 0; i < h->n_fields; i++)
		if ((http_field_flags(h->fields[i].id) & HTTP_HOP) != 0)
			h->fields[i].dropped = true;
	return true;
}
