#include "tls/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/bio.h"
#include "tls/server.h"

enum { RECORD = SSL3_RT_MAX_PLAIN_LENGTH, END_OF_STREAM = 1 };

bool
tls_stream_init(struct tls_stream *t, SSL_CTX *context, struct tls_thread *thread)
{
	BIO *bio = tls_bio_ref(thread);

	t->ssl = bio != NULL ? SSL_new(context) : NULL;
	if (t->ssl == NULL) {
		BIO_free(bio);
		ERR_clear_error();
		return false;
	}
	SSL_set_bio(t->ssl, bio, bio);
	return true;
}

void
tls_stream_clear(struct tls_stream *t)
{
	/* Without this OpenSSL takes the missing close_notify for a reason never to resume the session. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	free(t->failure);
}

struct net_stream *
tls_stream_of(const SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}

/* --- failure ------------------------------------------------------------------------------------------------ */

void
tls_stream_note(struct tls_stream *t, const char *fmt, ...)
{
	char text[sizeof(((struct tls_failure *)NULL)->text)];
	va_list ap;

	if (t->failure != NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->failure = strdup(text);
}

void
tls_stream_note_refused(struct tls_stream *t, X509_STORE_CTX *x, const char *whose)
{
	X509 *at = X509_STORE_CTX_get_current_cert(x);
	char subject[512] = "";

	if (at != NULL)
		tls_name_text(X509_get_subject_name(at), subject, sizeof(subject));
	tls_stream_note(t, "%s certificate refused: %s: %s", whose,
	    X509_verify_cert_error_string(X509_STORE_CTX_get_error(x)), subject);
}

/* What broke it stands in OpenSSL's queue. */
static void
note_protocol_error(struct tls_stream *t)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);
	char why[160];

	/* OpenSSL has a reason for each alert that a peer can send: the alert's number and an offset. */
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET &&
	    reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
		t->alert = (uint16_t)(reason - SSL_AD_REASON_OFFSET + 1);
	tls_error_text(why, sizeof(why));
	tls_stream_note(t, "%s", why);
}

/* `r` came of `t`: what is that to the stream? NET_AGAIN, or NET_EOF or NET_ERROR, which then stay. */
static int
outcome(struct net_stream *s, int r)
{
	struct tls_stream *t = s->state;
	int saved = errno; /* the socket's, when that is what failed */

	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return NET_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		t->end = END_OF_STREAM;
		return NET_EOF;
	case SSL_ERROR_SSL:
		note_protocol_error(t);
		t->error = EPROTO;
		break;
	default:
		/* The end without close_notify: what came may have been cut off (RFC 8446, 6.1). */
		t->error = s->eof ? ECONNRESET : saved != 0 ? saved : EPROTO;
		t->left = s->eof || saved == ECONNRESET || saved == EPIPE;
		tls_stream_note(t, "%s", s->eof ? "the peer closed without close_notify" : strerror(t->error));
		break;
	}
	t->end = NET_ERROR;
	errno = t->error;
	return NET_ERROR;
}

static int
broken(struct net_stream *s)
{
	struct tls_stream *t = s->state;

	t->error = errno;
	t->end = NET_ERROR;
	tls_stream_note(t, "%s", strerror(t->error));
	return NET_ERROR;
}

/*
 * Ahead of each call of OpenSSL's that reads or writes; leave() comes after it. No callback may make such a call for another
 * stream: they share the BIO and the cipher buffer. OpenSSL tells failures by way of its queue, which must be empty before.
 * Mostly it is.
 */
static void
enter(struct net_stream *s)
{
	const struct tls_stream *t = s->state;

	if (UNLIKELY(ERR_peek_error() != 0))
		ERR_clear_error();
	errno = 0;
	tls_bio_set(t->ssl, s);
}

static void
leave(const struct tls_stream *t)
{
	tls_bio_set(t->ssl, NULL);
}

void
tls_stream_failure(const struct net_stream *s, struct tls_failure *out)
{
	const struct tls_stream *t = s->transform != NULL ? s->state : NULL;

	*out = (struct tls_failure){0};
	if (t == NULL)
		return;
	(void)snprintf(out->text, sizeof(out->text), "%s", t->failure != NULL ? t->failure : "no reason known");
	out->peer_alert = t->alert;
	out->no_protocol = t->alert == SSL_AD_NO_APPLICATION_PROTOCOL + 1;
	out->unrecognized_name = t->unrecognized;
	out->peer_left = t->left;
}

/* --- the transform ------------------------------------------------------------------------------------------ */

int
tls_stream_handshake(struct net_stream *s)
{
	struct tls_stream *t = s->state;

	enter(s);
	int r = SSL_do_handshake(t->ssl);
	int result = r == 1 ? 1 : outcome(s, r);
	leave(t);
	if (r == 1) {
		t->open = true;
		(void)SSL_free_buffers(t->ssl); /* 33 KB of an idle connection; stays as it is when bytes came along */
	}
	/* An alert as well: the peer is told why. */
	if (tls_bio_flush(s) != 0 && result != NET_ERROR)
		return broken(s);
	if (result == NET_EOF) {
		/* Some clients refuse a certificate in this way. */
		tls_stream_note(t, "the peer sent close_notify in the handshake");
		t->left = true;
		t->error = EPROTO;
		t->end = result = NET_ERROR;
	}
	if (result == NET_ERROR)
		errno = t->error;
	return result;
}

enum { MESSAGES_FREE = 32, BYTES_A_MESSAGE = 1024 * 1024 };

/*
 * Of what is no data, a ticket, a KeyUpdate (RFC 8446, 4.6.3), each costs more than data does and the peer next to nothing,
 * and no data comes of it that a turn could be bounded by: who sends more than anybody needs is cut off.
 */
bool
tls_stream_is_flooded(struct tls_stream *t)
{
	if (t->messages <= MESSAGES_FREE + t->received / BYTES_A_MESSAGE)
		return false;
	tls_stream_note(t, "a flood of messages that are no data (KeyUpdate, perhaps)");
	errno = EPROTO;
	return true;
}

/* One call of SSL_read_ex() goes through all that has been read ahead, and reads more: only here is each one seen. */
void
tls_stream_on_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	(void)version, (void)p, (void)n, (void)arg;
	if (sent != 0 || type != SSL3_RT_HANDSHAKE)
		return;
	struct tls_stream *t = tls_stream_of(ssl)->state;
	if (t->open)
		t->messages++;
}

ssize_t
tls_stream_read(struct net_stream *s, void *p, size_t n)
{
	struct tls_stream *t = s->state;
	size_t got = 0, piece;
	int end = 0;

	if (UNLIKELY(t->end != 0)) {
		errno = t->error;
		return t->end == END_OF_STREAM ? NET_EOF : NET_ERROR;
	}
	/* Nothing here and nothing there: OpenSSL would allocate a record's buffer to find that out. */
	if (s->dry && !SSL_has_pending(t->ssl))
		return NET_AGAIN;
	enter(s);
	do {
		t->starved = false;
		int r = SSL_read_ex(t->ssl, (char *)p + got, n - got, &piece);
		if (UNLIKELY(tls_stream_is_flooded(t))) {
			end = broken(s); /* also when data came behind the flood, in one read with it */
			break;
		}
		if (r == 1) {
			got += piece;
			continue;
		}
		end = outcome(s, r);
		if (end != NET_AGAIN || t->starved)
			break;
		end = 0;
		t->messages++; /* a record that was no data */
	} while (got < n && (got == 0 || SSL_has_pending(t->ssl)));
	leave(t);
	t->received += got;
	/* An alert, or the answer to a KeyUpdate. Who no longer takes it may have said why before: read on. */
	if (tls_bio_flush(s) != 0)
		t->deaf = errno;
	/*
	 * All was read. RELEASE_BUFFERS gives back what records needed, but a message of the handshake among them (a
	 * ticket, a KeyUpdate) has allocated buffers both ways. Not in the midst of a record: CVE-2024-4741.
	 */
	if (end == 0 && got < n)
		(void)SSL_free_buffers(t->ssl);
	if (got > 0)
		return (ssize_t)got; /* an end that was met stays for the next call */
	errno = t->error;
	return end;
}

bool
tls_stream_pending(const struct net_stream *s)
{
	const struct tls_stream *t = s->state;

	return SSL_has_pending(t->ssl);
}

static bool
put(struct net_stream *s, const void *p, size_t n)
{
	struct tls_stream *t = s->state;
	size_t written;

	if (n == 0)
		return true;
	/* The BIO takes everything, so one call writes everything. */
	int r = SSL_write_ex(t->ssl, p, n, &written);
	if (r == 1)
		return true;
	(void)outcome(s, r);
	return false;
}

static bool
put_gathered(struct net_stream *s, struct buf *gather)
{
	struct sv all = buf_view(gather);
	bool ok = put(s, all.p, all.n);

	buf_reset(gather); /* the thread's: it keeps its memory */
	return ok;
}

/* Add to the record that is being put together, and send it when it is full. */
static bool
gather_some(struct net_stream *s, struct buf *gather, const char *p, size_t n)
{
	if (!buf_append(gather, p, n)) {
		errno = ENOMEM;
		(void)broken(s);
		buf_reset(gather);
		return false;
	}
	return buf_len(gather) < RECORD || put_gathered(s, gather);
}

/*
 * As few records as the bytes fit in: what is smaller than a record is put together, what is larger is encrypted from
 * where it stands. A record costs more than copying it does.
 */
static bool
put_all(struct net_stream *s, const struct iovec *v, int n)
{
	struct buf *gather = net_loop_gather(s->loop);

	for (int i = 0; i < n; i++) {
		const char *p = v[i].iov_base;
		size_t left = v[i].iov_len;
		if (buf_len(gather) > 0) {
			size_t fits = MIN_OF(left, RECORD - buf_len(gather));
			if (!gather_some(s, gather, p, fits))
				return false;
			p += fits;
			left -= fits;
		}
		/* Here either nothing is left or nothing is gathered. */
		size_t direct = i == n - 1 ? left : left - left % RECORD;
		if (!put(s, p, direct))
			return false;
		if (left > direct && !gather_some(s, gather, p + direct, left - direct))
			return false;
	}
	return put_gathered(s, gather);
}

int
tls_stream_write(struct net_stream *s, const struct iovec *v, int n, bool last)
{
	struct tls_stream *t = s->state;

	if (t->end == NET_ERROR || t->deaf != 0) {
		errno = t->deaf != 0 ? t->deaf : t->error;
		return NET_ERROR;
	}
	enter(s);
	bool ok = put_all(s, v, n);
	if (ok && last)
		(void)SSL_shutdown(t->ssl); /* 0: our close_notify is written, the peer's has not come yet */
	leave(t);
	if (tls_bio_flush(s) != 0) {
		t->deaf = errno;
		return NET_ERROR;
	}
	if (ok)
		return 0;
	errno = t->error;
	return NET_ERROR;
}
