#include "webhook/webhook.h"

#include <config.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CURL_DISABLE_TYPECHECK /* it knows the functions by their names, and here they are pointers */
#include <curl/curl.h>

#define LIBRARY "libcurl.so.4"

/* What is used of the library. */
#define CALLS(X)          \
	X(global_init)    \
	X(easy_init)      \
	X(easy_setopt)    \
	X(easy_perform)   \
	X(easy_getinfo)   \
	X(easy_strerror)  \
	X(easy_cleanup)   \
	X(slist_append)   \
	X(slist_free_all)

struct calls {
	void *library;
#define X(name) __typeof__(&curl_##name) name;
	CALLS(X)
#undef X
};

/* It stays loaded until the process ends. */
static bool
load(struct calls *c, struct err *err)
{
	const char *why, *lacks = NULL;

	*c = (struct calls){.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
	if (c->library == NULL) {
		why = dlerror();
		(void)err_set(err, "what posts to a \"url\" is not there: %s; install libcurl (Debian: libcurl4)", why != NULL ? why : LIBRARY);
		return false;
	}
#define X(name)                                                                   \
	*(void **)(void *)&c->name = dlsym(c->library, "curl_" #name);           \
	if (c->name == NULL)                                                     \
		lacks = #name;
	CALLS(X)
#undef X
	if (lacks != NULL)
		(void)err_set(err, "%s has no curl_%s: it is not the one that is needed", LIBRARY, lacks);
	return lacks == NULL;
}

bool
webhook_is_possible(struct err *err)
{
	struct calls c;

	return load(&c, err);
}

/* --- the order ------------------------------------------------------------------------------------------------ */

void
webhook_pack(struct pack *p, const struct webhook_order *o)
{
	pack_string(p, o->url);
	pack_block(p, o->ca.p, o->ca.n);
	pack_string(p, o->authorization);
	pack_block(p, o->body.p, o->body.n);
}

static bool
take_order(int in, struct webhook_order *o)
{
	struct stat st;

	if (fstat(in, &st) != 0 || st.st_size <= 0)
		return false;
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
	if (map == MAP_FAILED)
		return false;
	struct unpack u = {.p = map, .n = (size_t)st.st_size};
	o->url = unpack_string(&u);
	o->ca = unpack_block(&u);
	o->authorization = unpack_string(&u);
	o->body = unpack_block(&u);
	return !u.bad && u.n == 0;
}

/* --- the request ---------------------------------------------------------------------------------------------- */

enum { ANSWER_MAX = 64 * 1024 }; /* bytes of a body that are waited for: a server that goes on for ever has been heard by then */

/* Whatever it has to say beside its status, up to a bound; then the library ends with CURLE_WRITE_ERROR. */
static size_t
ignore(char *bytes, size_t size, size_t n, void *arg)
{
	size_t *left = arg;

	(void)bytes;
	if (size * n > *left)
		return 0;
	*left -= size * n;
	return size * n;
}

static struct curl_slist *
fields_of(const struct calls *c, const struct webhook_order *o)
{
	const char *name = "Authorization: ";
	size_t size = strlen(name) + strlen(o->authorization) + 1;
	struct curl_slist *list = c->slist_append(NULL, "Content-Type: application/json"), *more = NULL;
	char *field;

	if (list == NULL || o->authorization[0] == '\0')
		return list;
	if ((field = malloc(size)) != NULL) {
		(void)snprintf(field, size, "%s%s", name, o->authorization);
		more = c->slist_append(list, field);
		explicit_bzero(field, size);
		free(field);
	}
	if (more == NULL)
		c->slist_free_all(list);
	return more;
}

/* Verified by that CA and by no other: the library's own directory of CAs would count as well. */
static bool
trust_only(const struct calls *c, CURL *h, struct sv ca)
{
	struct curl_blob blob = {.data = (void *)(uintptr_t)ca.p, .len = ca.n, .flags = CURL_BLOB_NOCOPY};

	return c->easy_setopt(h, CURLOPT_CAINFO, (char *)NULL) == CURLE_OK &&
	       c->easy_setopt(h, CURLOPT_CAPATH, (char *)NULL) == CURLE_OK &&
	       c->easy_setopt(h, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
}

/* No redirects, no proxy of an environment, no other protocol: it goes where the config says, or nowhere. */
static bool
set_up(const struct calls *c, CURL *h, const struct webhook_order *o, struct curl_slist *fields, size_t *left, char *why)
{
#define SET(option, value) (c->easy_setopt(h, CURLOPT_##option, (value)) == CURLE_OK)
	return SET(URL, o->url) && SET(PROTOCOLS_STR, "http,https") && SET(FOLLOWLOCATION, 0L) && SET(PROXY, "") && SET(NOSIGNAL, 1L) &&
	       SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       SET(SSL_VERIFYPEER, 1L) && SET(SSL_VERIFYHOST, 2L) && SET(TIMEOUT_MS, (long)WEBHOOK_TIME_MS) &&
	       SET(POSTFIELDSIZE_LARGE, (curl_off_t)o->body.n) && SET(POSTFIELDS, o->body.p) && SET(HTTPHEADER, fields) &&
	       SET(USERAGENT, "bascule/" PACKAGE_VERSION) && SET(WRITEFUNCTION, ignore) && SET(WRITEDATA, left) &&
	       SET(ERRORBUFFER, why) && (o->ca.n == 0 || trust_only(c, h, o->ca));
#undef SET
}

/* A server that is busy, or is being changed, may want it later; one that finds fault with the request will not. */
static enum webhook_outcome
judge(long status, struct err *why)
{
	bool later = status >= 500 || status == 408 || status == 425 || status == 429;

	if (status >= 200 && status < 300)
		return WEBHOOK_DELIVERED;
	(void)err_set(why, "it answers with status %ld%s", status, status >= 300 && status < 400 ? "; redirects are not followed" : "");
	return later ? WEBHOOK_FAILED : WEBHOOK_REFUSED;
}

static enum webhook_outcome
post(const struct calls *c, CURL *h, const struct webhook_order *o, struct curl_slist *fields, struct err *why)
{
	char detail[CURL_ERROR_SIZE] = "";
	size_t left = ANSWER_MAX;
	long status = 0;

	if (!set_up(c, h, o, fields, &left, detail)) {
		(void)err_set(why, "%s can not be told what to do; it must be 7.85 or newer", LIBRARY);
		return WEBHOOK_FAILED;
	}
	CURLcode result = c->easy_perform(h);
	if (result != CURLE_OK && result != CURLE_WRITE_ERROR) {
		(void)err_set(why, "%s", detail[0] != '\0' ? detail : c->easy_strerror(result));
		return WEBHOOK_FAILED;
	}
	if (c->easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
		status = 0;
	return judge(status, why);
}

static enum webhook_outcome
try(const struct webhook_order *o, struct err *why)
{
	struct calls c;

	if (!load(&c, why))
		return WEBHOOK_FAILED;
	CURL *h = c.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? c.easy_init() : NULL;
	struct curl_slist *fields = h != NULL ? fields_of(&c, o) : NULL;
	enum webhook_outcome outcome = WEBHOOK_FAILED;
	if (fields != NULL)
		outcome = post(&c, h, o, fields, why);
	else
		(void)err_no_memory(why);
	c.slist_free_all(fields);
	c.easy_cleanup(h);
	return outcome;
}

enum webhook_outcome
webhook_run(int in, int out)
{
	struct webhook_order order;
	struct err why = {""};
	enum webhook_outcome outcome = WEBHOOK_FAILED;

	if (take_order(in, &order))
		outcome = try(&order, &why);
	else
		(void)err_set(&why, "this command is run by the proxy alone, which says what to post on its standard input");
	if (outcome != WEBHOOK_DELIVERED && dprintf(out, "%.*s", WEBHOOK_REASON_MAX - 1, why.text) < 0)
		return outcome; /* nobody reads it */
	return outcome;
}
