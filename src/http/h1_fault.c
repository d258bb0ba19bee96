#include "http/h1.h"

static const struct {
	unsigned status;
	const char *text;
} faults[] = {
#define X(name, status, text) [name] = {status, text},
    H1_FAULTS(X)
#undef X
};

const char *
h1_fault_text(enum h1_fault f)
{
	return faults[f].text;
}

unsigned
h1_fault_status(enum h1_fault f)
{
	return faults[f].status;
}
