#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return false;
}

bool
err_prefix(struct err *err, const char *fmt, ...)
{
	struct err old;
	char prefix[256];
	va_list ap;

	if (err == NULL)
		return false;
	old = *err;
	va_start(ap, fmt);
	(void)vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	size_t n = strlen(prefix);
	memcpy(err->text, prefix, n);
	(void)snprintf(err->text + n, sizeof(err->text) - n, ": %s", old.text);
	return false;
}

bool
err_no_memory(struct err *err)
{
	return err_set(err, "out of memory");
}
