#include <config.h>

#include "worker/keep.h"

#include <string.h>
#include <unistd.h>

#include "certs/keep.h"
#include "line/sealed.h"

/* Another program's is refused; one with the same name and version that packs otherwise bears another number here. */
static const char format[] = "bascule " PACKAGE_VERSION ", kept, 3";

static const uint32_t end = 0x2e646e65;

static bool
pack_all(struct pack *p, const struct keep *k, struct err *err)
{
	pack_string(p, format);
	pack_u64(p, k->generation);
	pack_u32(p, k->threads);
	pack_block(p, k->secret.bytes, k->secret.n);
	record_pack(k->record, p);
	if (!tls_store_pack(k->store, p))
		return err_no_memory(err);
	pack_u32(p, end);
	return !p->failed || err_set(err, "it is too large");
}

int
keep_seal(const struct keep *k, struct err *err)
{
	struct pack measured = {.to = NULL};
	struct sealed s;

	if (record_failed(k->record)) {
		err_no_memory(err);
		return -1;
	}
	if (!pack_all(&measured, k, err) || !sealed_begin(&s, "bascule-keep", measured.n, err))
		return -1;
	struct pack p = {.to = s.p, .room = s.n};
	bool ok = pack_all(&p, k, err);
	int fd = sealed_finish(&s, ok ? err : NULL);
	if (ok || fd < 0)
		return fd;
	close(fd);
	return -1;
}

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

static bool
unpack_all(struct unpack *u, struct keep *k, const struct tls_thread *thread, struct err *err)
{
	if (strcmp(unpack_string(u), format) != 0)
		return err_set(err, "it is not of this program's version");
	k->generation = unpack_u64(u);
	k->threads = unpack_u32(u);
	if (k->generation == 0 || k->threads == 0 || k->threads >= TLS_THREADS_MAX || !unpack_secret(&k->secret, u) ||
	    (k->record = record_unpack(u)) == NULL)
		return err_set(err, "it is damaged, or memory is out");
	if ((k->store = tls_store_unpack(u, thread, err)) == NULL)
		return false;
	return (unpack_u32(u) == end && u->n == 0) || err_set(err, "it does not end where it should");
}

bool
keep_open(struct keep *k, int fd, const struct tls_thread *thread, struct err *err)
{
	struct sealed s;

	*k = (struct keep){.generation = 0};
	if (!sealed_map(&s, fd, err))
		return false;
	struct unpack u = {.p = s.p, .n = s.n};
	bool ok = unpack_all(&u, k, thread, err);
	sealed_unmap(&s);
	if (!ok)
		keep_free(k);
	return ok;
}

void
keep_free(struct keep *k)
{
	record_free(k->record);
	tls_store_unref(k->store);
	explicit_bzero(k, sizeof(*k));
}
