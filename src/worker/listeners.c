#include "worker/listeners.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
listeners_close(struct listeners *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		for (size_t k = 0; l->rows[i] != NULL && k < l->columns; k++)
			if (l->rows[i][k] >= 0)
				close(l->rows[i][k]);
		free(l->rows[i]);
	}
}

static bool
listens_already(const struct conf *c, const char *address)
{
	for (size_t i = 0; c != NULL && i < c->n_listeners; i++)
		if (strcmp(c->listeners[i].address, address) == 0)
			return true;
	return false;
}

bool
listeners_open(struct listeners *out, struct control *control, unsigned threads, const struct conf *c, const struct conf *before,
    struct err *err)
{
	*out = (struct listeners){.columns = c->n_listeners, .n = threads};
	for (unsigned i = 0; i < out->n; i++) {
		out->rows[i] = malloc((c->n_listeners + 1) * sizeof(int));
		if (out->rows[i] == NULL)
			return err_no_memory(err);
		for (size_t k = 0; k < c->n_listeners; k++)
			out->rows[i][k] = -1;
	}
	for (size_t k = 0; k < c->n_listeners; k++) {
		const char *address = c->listeners[k].address;
		/* Threads share a Unix socket; of a port each has a socket of its own. */
		bool shared = sv_starts(sv_cstr(address), SV("unix:"));
		for (unsigned i = 0; !listens_already(before, address) && i < out->n; i++) {
			out->rows[i][k] = control_listen(control, address, shared ? 0 : i, shared ? 1 : out->n, err);
			if (out->rows[i][k] < 0)
				return err_prefix(err, "listener");
		}
	}
	return true;
}
