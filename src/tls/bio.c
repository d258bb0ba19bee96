#include "tls/bio.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "tls/stream.h"

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

/* The buffer is the thread's: emptied, it keeps its memory. */
static void
empty(struct buf *b)
{
	buf_reset(b);
}

int
tls_bio_flush(struct net_stream *s)
{
	struct buf *cipher = net_loop_cipher(s->loop);
	struct sv all = buf_view(cipher);

	if (all.n == 0)
		return 0;
	int r = net_raw_write(s, &(struct iovec){.iov_base = (void *)all.p, .iov_len = all.n}, 1);
	empty(cipher);
	return r;
}

static int
bio_write(BIO *bio, const char *p, size_t n, size_t *written)
{
	struct net_stream *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*written = n;
	if (LIKELY(buf_append(net_loop_cipher(s->loop), p, n)))
		return 1;
	/* Full, or memory is out: what it holds goes first, then this without a copy. */
	return tls_bio_flush(s) == 0 &&
	    net_raw_write(s, &(struct iovec){.iov_base = (void *)p, .iov_len = n}, 1) == 0;
}

static int
bio_read(BIO *bio, char *p, size_t n, size_t *got)
{
	struct net_stream *s = BIO_get_data(bio);
	ssize_t r = tls_stream_is_flooded(s->state) ? NET_ERROR : net_raw_read(s, p, n);

	BIO_clear_retry_flags(bio);
	*got = r > 0 ? (size_t)r : 0;
	if (r == NET_AGAIN) {
		((struct tls_stream *)s->state)->starved = true;
		BIO_set_retry_read(bio);
	}
	return r > 0;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	/*
	 * Flushing is tls_bio_flush's, once for all that a step has written. BIO_CTRL_EOF is left unanswered on
	 * purpose: OpenSSL would send an alert to a peer that has gone; the end of the stream is known from s->eof.
	 */
	return command == BIO_CTRL_FLUSH;
}

static void
make_method(void)
{
	int type = BIO_get_new_index();

	method = type != -1 ? BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "net_stream") : NULL;
	if (method == NULL)
		return;
	BIO_meth_set_read_ex(method, bio_read);
	BIO_meth_set_write_ex(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

/*
 * In its handshake each SSL puts a buffer of its own before it, so that it is the end of several chains at once. OpenSSL never
 * goes from the end to the beginning, and frees no further than a BIO that others refer to.
 */
BIO *
tls_bio_ref(struct tls_thread *thread)
{
	(void)pthread_once(&method_once, make_method);
	if (thread->bio == NULL && method != NULL && (thread->bio = BIO_new(method)) != NULL)
		BIO_set_init(thread->bio, 1);
	return thread->bio != NULL && BIO_up_ref(thread->bio) == 1 ? thread->bio : NULL;
}

void
tls_bio_set(const SSL *ssl, struct net_stream *s)
{
	BIO_set_data(SSL_get_rbio(ssl), s); /* in a handshake OpenSSL puts a buffer before the other one */
}
