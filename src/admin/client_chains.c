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
read_store(const struct admin_reply *r, const struct tls_thread *thread, struct err *err)
{
	struct sv body = buf_view(&r->body);
	json_t *root = json_loadb(body.n > 0 ? body.p : "", body.n, 0, NULL);
	const json_t *list = json_object_get(root, "bundles");
	struct tls_shown *v = calloc(MAX_OF(json_array_size(list), (size_t)1), sizeof(*v));
	struct tls_store *s = NULL;

	if (v == NULL)
		err_no_memory(err);
	else if (!read_list(list, v))
		admin_unexpected(r, err);
	else
		s = tls_shown_store(v, json_array_size(list), thread, err);
	free(v);
	json_decref(root);
	return s;
}

struct tls_store *
admin_store(const char *socket, const struct tls_thread *thread, struct err *err)
{
	struct admin_reply reply;
	struct tls_store *s = NULL;

	if (!admin_request(socket, "GET", "/v1/chains", &reply, err))
		return NULL;
	if (reply.status == 200)
		s = read_store(&reply, thread, err);
	else
		admin_unexpected(&reply, err);
	admin_reply_free(&reply);
	return s;
}
