#include "proxy/reasons.h"

static const struct {
	const char *name, *text;
	bool is_error;
} rows[] = {
#define X(id, n, error, t) [id] = {.name = n, .text = t, .is_error = error},
	CLOSE_REASONS(X)
#undef X
};

const char *
close_reason_name(enum close_reason r)
{
	return rows[r].name;
}

const char *
close_reason_text(enum close_reason r)
{
	return rows[r].text;
}

bool
close_reason_is_error(enum close_reason r)
{
	return rows[r].is_error;
}
