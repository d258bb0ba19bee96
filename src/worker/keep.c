#include <config.h>

#include "worker/keep.h"

#include <string.h>
#include <unistd.h>

#include "line/message.h"
#include "line/sealed.h"

_Static_assert((int)KEEP_PARTS_MAX <= (int)MESSAGE_KEEP_MAX, "the supervisor takes as many");

/* Another program's is refused; one with the same name and version that packs otherwise bears another number here. */
static const char format[] = "bascule " PACKAGE_VERSION ", kept, 4";

static const uint32_t end = 0x2e646e65;

/* --- handing over --- */

static void
pack_first(struct pack *p, const struct keep *k, const struct tls_parts *parts)
{
	pack_string(p, format);
	pack_u64(p, k->generation);
	pack_u32(p, k->threads);
	pack_block(p, k->secret.bytes, k->secret.n);
	record_pack(k->record, p);
	tls_store_pack(k->store, p);
	pack_block(p, parts->digest, parts->n * TLS_DIGEST);
	pack_u32(p, end);
}

static bool
pack_part(struct pack *p, const struct keep *k, const struct tls_parts *parts, size_t part, struct err *err)
{
	if (part == 0)
		pack_first(p, k, parts);
	else if (!tls_store_pack_part(k->store, parts, part - 1, p))
		return err_no_memory(err);
	return !p->failed || err_set(err, "it is too large");
}

int
keep_seal(const struct keep *k, const struct tls_parts *parts, size_t part, struct err *err)
{
	struct pack measured = {.to = NULL};
	struct sealed s;

	if (!pack_part(&measured, k, parts, part, err) || !sealed_begin(&s, "bascule-keep", measured.n, err))
		return -1;
	struct pack p = {.to = s.p, .room = s.n};
	bool ok = pack_part(&p, k, parts, part, err);
	int fd = sealed_finish(&s, ok ? err : NULL);
	if (ok || fd < 0)
		return fd;
	close(fd);
	return -1;
}

static bool
hand_over_part(const struct keep *k, const struct tls_parts *parts, size_t part, struct control *c, struct err *err)
{
	int fd = keep_seal(k, parts, part, err);
	bool ok = fd >= 0 && control_keep(c, part, fd, err);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool
hand_over_all(const struct keep *k, const struct keep_held *held, const struct tls_parts *parts, struct control *c,
    struct err *err)
{
	if (record_failed(k->record))
		return err_no_memory(err);
	for (size_t i = 0; i < parts->n; i++) {
		bool same = held->n == parts->n && memcmp(held->digest[i], parts->digest[i], TLS_DIGEST) == 0;
		if (!same && !hand_over_part(k, parts, i + 1, c, err))
			return false;
	}
	return hand_over_part(k, parts, 0, c, err) && control_keep_whole(c, parts->n + 1, err);
}

bool
keep_hand_over(const struct keep *k, struct keep_held *held, const struct tls_thread *thread, struct control *c,
    struct err *err)
{
	struct tls_parts parts;

	bool made = tls_parts_make(&parts, k->store, thread) || err_no_memory(err);
	bool ok = made && hand_over_all(k, held, &parts, c, err);
	held->n = ok ? parts.n : 0;
	if (ok)
		memcpy(held->digest, parts.digest, sizeof(held->digest));
	if (made)
		tls_parts_free(&parts);
	if (!ok)
		(void)!control_keep_whole(c, 0, NULL);
	return ok;
}

/* --- taking --- */

static bool
unpack_secret(struct secret *s, struct unpack *u)
{
	struct sv bytes = unpack_block(u);

	if (u->bad || bytes.n < SECRET_MIN || bytes.n > sizeof(s->bytes))
		return false;
	memcpy(s->bytes, bytes.p, bytes.n);
	s->n = bytes.n;
	return true;
}

/* What follows the store in the first part: what the others hold. */
static bool
unpack_held(struct keep_held *held, struct unpack *u, size_t n)
{
	struct sv digests = unpack_block(u);

	if (unpack_u32(u) != end || u->bad || u->n != 0 || digests.n != n * TLS_DIGEST)
		return false;
	memcpy(held->digest, digests.p, digests.n);
	held->n = n;
	return true;
}

/* Parts of two stores do not make one. */
static bool
is_as_told(const struct tls_store *s, const struct keep_held *held, const struct tls_thread *thread)
{
	struct tls_parts parts;

	if (!tls_parts_make(&parts, s, thread))
		return false;
	bool ok = parts.n == held->n && memcmp(parts.digest, held->digest, held->n * TLS_DIGEST) == 0;
	tls_parts_free(&parts);
	return ok;
}

/* n: parts with bundles. */
static bool
unpack_all(struct unpack *first, struct unpack *parts, size_t n, struct keep *k, struct keep_held *held,
    const struct tls_thread *thread, struct err *err)
{
	if (strcmp(unpack_string(first), format) != 0)
		return err_set(err, "it is not of this program's version");
	k->generation = unpack_u64(first);
	k->threads = unpack_u32(first);
	if (k->generation == 0 || k->threads == 0 || k->threads >= TLS_THREADS_MAX || !unpack_secret(&k->secret, first) ||
	    (k->record = record_unpack(first)) == NULL)
		return err_set(err, "it is damaged, or memory is out");
	if ((k->store = tls_store_unpack(first, parts, n, thread, err)) == NULL)
		return false;
	return (unpack_held(held, first, n) && is_as_told(k->store, held, thread)) ||
	    err_set(err, "its parts do not belong together, or memory is out");
}

bool
keep_open(struct keep *k, struct keep_held *held, const int *fds, size_t n, const struct tls_thread *thread, struct err *err)
{
	struct sealed s[KEEP_PARTS_MAX] = {{.p = NULL}};
	struct unpack u[KEEP_PARTS_MAX];
	bool ok = (n >= 1 && n <= KEEP_PARTS_MAX) || err_set(err, "it has %zu parts", n);

	*k = (struct keep){.generation = 0};
	held->n = 0;
	for (size_t i = 0; ok && i < n; i++) {
		ok = sealed_map(&s[i], fds[i], err);
		u[i] = (struct unpack){.p = s[i].p, .n = s[i].n};
	}
	ok = ok && unpack_all(&u[0], &u[1], n - 1, k, held, thread, err);
	for (size_t i = 0; i < KEEP_PARTS_MAX; i++)
		sealed_unmap(&s[i]);
	if (ok)
		return true;
	held->n = 0;
	keep_free(k);
	return false;
}

bool
keep_take(struct keep *k, struct keep_held *held, const struct tls_thread *thread, struct control *c, struct err *err)
{
	int fds[KEEP_PARTS_MAX];
	size_t n = 0, all = KEEP_PARTS_MAX;
	bool ok = true;

	*k = (struct keep){.generation = 0};
	held->n = 0;
	for (; ok && n < MIN_OF(all, (size_t)KEEP_PARTS_MAX); n++)
		ok = control_kept(c, n, &fds[n], &all, err);
	ok = ok && (all == 0 || keep_open(k, held, fds, all, thread, err));
	while (n-- > 0)
		if (fds[n] >= 0)
			close(fds[n]);
	return ok;
}

void
keep_free(struct keep *k)
{
	record_free(k->record);
	tls_store_unref(k->store);
	explicit_bzero(k, sizeof(*k));
}
