#include <jansson.h>
#include <stdlib.h>

#include "admin/client.h"
#include "certs/shown.h"

/* Views into the reply, which must outlive them. */
static bool
read_list(const json_t *list, struct tls_shown *out)
{
	size_t i;
	const json_t *b;

	json_array_foreach(list, i, b) {
		const json_t *pem = json_object_get(b, "pem");
		out[i] = (struct tls_shown){
			.name = json_string_value(json_object_get(b, "name")),
			.generation = (uint64_t)json_integer_value(json_object_get(b, "generation")),
			.pem = sv_of(json_string_value(pem), json_string_length(pem)),
		};
		if (out[i].name == NULL || out[i].pem.p == NULL)
			return false;
	}
	return json_is_array(list);
}

static struct tls_store *
read_store(const struct admin_reply *r, const json_t *list, const struct tls_thread *thread, struct err *err)
{
	struct tls_shown *v = calloc(MAX_OF(json_array_size(list), (size_t)1), sizeof(*v));
	struct tls_store *s = NULL;

	if (v == NULL)
		err_no_memory(err);
	else if (!read_list(list, v))
		admin_unexpected(r, err);
	else
		s = tls_shown_store(v, json_array_size(list), thread, err);
	free(v);
	return s;
}

static bool
read_chains(const struct admin_reply *r, const struct tls_thread *thread, struct admin_chains *out, struct err *err)
{
	struct sv body = buf_view(&r->body);
	json_t *root = json_loadb(body.n > 0 ? body.p : "", body.n, 0, NULL);

	out->bundles = read_store(r, json_object_get(root, "bundles"), thread, err);
	if (out->bundles != NULL)
		out->rolled_back_to = read_store(r, json_object_get(root, "rolled_back_to"), thread, err);
	json_decref(root);
	return out->rolled_back_to != NULL;
}

bool
admin_chains(const char *socket, const struct tls_thread *thread, struct admin_chains *out, struct err *err)
{
	struct admin_reply reply;

	*out = (struct admin_chains){NULL, NULL};
	if (!admin_request(socket, "GET", "/v1/chains", &reply, err))
		return false;
	bool ok = reply.status == 200 && read_chains(&reply, thread, out, err);
	if (reply.status != 200)
		admin_unexpected(&reply, err);
	admin_reply_free(&reply);
	return ok;
}

void
admin_chains_free(struct admin_chains *c)
{
	tls_store_unref(c->bundles);
	tls_store_unref(c->rolled_back_to);
	*c = (struct admin_chains){NULL, NULL};
}
