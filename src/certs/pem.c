#include "certs/pem.h"

#include <limits.h>

#include <openssl/evp.h>

#define DASHES "-----"

static bool
find(struct sv in, struct sv what, size_t *at)
{
	const char *p = in.n > 0 ? memmem(in.p, in.n, what.p, what.n) : NULL;

	if (p != NULL)
		*at = (size_t)(p - in.p);
	return p != NULL;
}

static struct sv
skip(struct sv s, size_t n)
{
	return sv_of(s.p + n, s.n - n);
}

static unsigned
line_of(const struct pem_reader *r, const char *p)
{
	unsigned line = 1;

	for (const char *c = r->file.p; c < p; c++)
		line += *c == '\n';
	return line;
}

static enum pem_result
broken(const struct pem_reader *r, const char *at, struct sv label, struct err *err)
{
	err_set(err,
	    "%s: line %u: BEGIN %.*s without its END line: cut off, or still being written; write the file anew",
	    r->path, line_of(r, at), SV_FMT(label));
	return PEM_BROKEN;
}

/* Cut the label of "-----BEGIN LABEL-----" or "-----END LABEL-----" off *s, which stands behind its first word. */
static bool
take_label(struct sv *s, struct sv *label)
{
	size_t end, line;

	if (!find(*s, SV(DASHES), &end) || (find(*s, SV("\n"), &line) && line < end))
		return false;
	*label = sv_of(s->p, end);
	*s = skip(*s, end + sizeof(DASHES) - 1);
	return true;
}

enum pem_result
pem_next(struct pem_reader *r, struct pem_block *out, struct err *err)
{
	struct sv rest = r->rest, ending;
	size_t at;

	if (!find(rest, SV(DASHES "BEGIN "), &at))
		return PEM_END;
	const char *begin = rest.p + at;
	rest = skip(rest, at + sizeof(DASHES "BEGIN ") - 1);
	if (!take_label(&rest, &out->label))
		return broken(r, begin, SV("line"), err);
	if (!find(rest, SV(DASHES), &at))
		return broken(r, begin, out->label, err);
	out->body = sv_of(rest.p, at);
	rest = skip(rest, at);
	if (!sv_starts(rest, SV(DASHES "END ")))
		return broken(r, begin, out->label, err);
	rest = skip(rest, sizeof(DASHES "END ") - 1);
	if (!take_label(&rest, &ending) || !sv_eq(ending, out->label))
		return broken(r, begin, out->label, err);
	r->rest = rest;
	return PEM_BLOCK;
}

size_t
pem_decode(const struct pem_reader *r, const struct pem_block *b, unsigned char *out, struct err *err)
{
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	int n = 0, last = 0;

	if (ctx == NULL || b->body.n > INT_MAX) {
		EVP_ENCODE_CTX_free(ctx);
		err_no_memory(err);
		return 0;
	}
	EVP_DecodeInit(ctx);
	bool ok = EVP_DecodeUpdate(ctx, out, &n, (const unsigned char *)b->body.p, (int)b->body.n) >= 0 &&
	    EVP_DecodeFinal(ctx, out + n, &last) == 1 && n + last > 0;
	EVP_ENCODE_CTX_free(ctx);
	if (ok)
		return (size_t)n + (size_t)last;
	err_set(err, "%s: line %u: %.*s: not base64; write the file anew", r->path, line_of(r, b->body.p),
	    SV_FMT(b->label));
	return 0;
}

bool
pem_is_encrypted(const struct pem_block *b)
{
	size_t at;

	return find(b->body, SV("Proc-Type: 4,ENCRYPTED"), &at);
}
