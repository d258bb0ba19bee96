/* client_h2_connect.c: WebSocket over HTTP/2 (RFC 8441), for origins that know it over HTTP/1.1 (RFC 6455). */
#include "proxy/client.h"

enum { KEY_TEXT = 24 }; /* 16 bytes in base64 */

/*
 * What an origin answers to proves that it has understood, to a client that might be talked into it by a page. Here we are
 * the client, and nobody talks us into anything: the key need not be a secret, only well-formed.
 */
static struct sv
make_key(struct exchange *x)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *key = arena_alloc(&x->extra, KEY_TEXT);
	uint64_t random = px_random(x->thread);

	if (key == NULL)
		return SV_NONE;
	for (int i = 0; i < KEY_TEXT - 3; i++) {
		if (i % 10 == 0)
			random = px_random(x->thread);
		key[i] = base64[random & 63];
		random >>= 6;
	}
	key[KEY_TEXT - 3] = 'A'; /* of the last byte two bits are left, and four that are none */
	key[KEY_TEXT - 2] = key[KEY_TEXT - 1] = '=';
	return sv_of(key, KEY_TEXT);
}

bool
client_h2_upgrade(struct exchange *x)
{
	struct http_head *h = &x->request;
	struct sv key = make_key(x);

	http_head_drop_name(h, SV("sec-websocket-key"));
	h->method = SV("GET");
	h->method_id = HTTP_GET;
	x->request_framing = HTTP_NO_BODY;
	x->request_ended = true;
	return key.p != NULL && http_head_add_id(h, HTTP_CONNECTION, SV("Upgrade")) &&
	    http_head_add_id(h, HTTP_UPGRADE, SV("websocket")) && http_head_add(h, SV("Sec-WebSocket-Key"), key);
}

const struct h2_response client_h2_upgraded = {.status = 200, .without = {"sec-websocket-accept", sizeof("sec-websocket-accept") - 1}};
