#include "http/chars.h"
#include "http/h1_internal.h"

/*
 * The first byte from p on that may not stand in a value, looked for eight bytes at a time: a word in which no byte is
 * below 0x20 or is 0x7f is clean. The test for "below" may also take a byte above such a one for one, and HTAB shows
 * in it too, so a word that is not clean is looked at byte by byte.
 */
static const char *
skip_value(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101, tops = ones * 0x80;

	for (uint64_t word; end - p >= (ptrdiff_t)sizeof(word); p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		uint64_t is_del = word ^ ones * 0x7f;
		if ((((word - ones * 0x20) & ~word) | ((is_del - ones) & ~is_del)) & tops) {
			const char *stop = http_chars_skip(p, p + sizeof(word), CHAR_VALUE);
			if (stop < p + sizeof(word))
				return stop;
		}
	}
	return http_chars_skip(p, end, CHAR_VALUE);
}

/* Why a line does not begin with a name and a colon. */
static enum h1_fault
name_fault(const char *line, const char *stop, const char *end)
{
	if (*line == ' ' || *line == '\t')
		return H1_OBS_FOLD;
	if (end - stop >= 2 && stop[0] == '\r' && stop[1] != '\n')
		return H1_BARE_CR;
	return H1_FIELD_NAME;
}

/* A second field of a name is refused where a receiver could take either. */
static enum h1_fault
repeated(const struct http_head *h, enum http_field_id id)
{
	if (id == HTTP_CONTENT_LENGTH)
		return H1_LENGTH;
	if (id == HTTP_TRANSFER_ENCODING)
		return H1_CODING;
	if (h->is_response || (http_field_flags(id) & HTTP_SINGLE) == 0)
		return H1_OK;
	return id == HTTP_HOST ? H1_HOST : H1_DUPLICATE;
}

/* What CGI and its heirs take for a field that frames the message. */
static bool
is_disguised(struct sv name)
{
	return http_field_same(name, SV("content-length")) || http_field_same(name, SV("transfer-encoding"));
}

enum h1_fault
h1_append_field(struct http_head *h, struct sv name, struct sv value)
{
	enum http_field_id id = http_field_id(name);

	h->fields[h->n_fields++] = (struct http_field){.name = name, .value = value, .id = (uint8_t)id};
	if (id == HTTP_OTHER)
		return is_disguised(name) ? H1_FIELD_NAME : H1_OK;
	if (UNLIKELY(h->first[id] != 0))
		return repeated(h, id);
	h->first[id] = (uint8_t)h->n_fields;
	return H1_OK;
}

/* One field line at *at, which is moved behind it. */
static enum h1_fault
parse_field(struct http_head *h, const char **at, const char *end)
{
	const char *name = *at, *colon = http_chars_skip(name, end, CHAR_TOKEN);

	if (colon == name || colon == end || *colon != ':')
		return name_fault(name, colon, end);
	const char *value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	const char *stop = skip_value(value, end);
	if (end - stop < 2 || stop[0] != '\r')
		return H1_FIELD_VALUE;
	if (stop[1] != '\n')
		return H1_BARE_CR;
	*at = stop + 2;
	while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	return h1_append_field(h, sv_of(name, (size_t)(colon - name)), sv_of(value, (size_t)(stop - value)));
}

enum h1_fault
h1_parse_fields(struct http_head *h, struct sv lines, uint32_t max_fields)
{
	const char *p = lines.p, *end = lines.p + lines.n;

	while (p < end) {
		if (h->n_fields >= MIN_OF(max_fields, (uint32_t)HTTP_FIELDS_MAX))
			return H1_TOO_MANY_FIELDS;
		enum h1_fault fault = parse_field(h, &p, end);
		if (fault != H1_OK)
			return fault;
	}
	return H1_OK;
}
