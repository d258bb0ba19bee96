/*
 * message.h: what supervisor and worker say to each other.
 *
 * Both are the same program, so a message is a struct as it lies in memory,
 * one to a datagram of the SOCK_SEQPACKET socket, with at most one
 * descriptor. The supervisor trusts nothing in it: message_receive() has
 * checked the size, the kind and that the text ends, and lets through one
 * descriptor at most.
 */
#ifndef BASCULE_LINE_MESSAGE_H
#define BASCULE_LINE_MESSAGE_H

#include "base/err.h"
#include "base/files.h"

/* X(name): what the worker asks and tells, and at the end what the supervisor says. */
#define MESSAGE_KINDS(X)                                                                             \
	X(MESSAGE_OPEN_READ)   /* text: path -> descriptor */                                        \
	X(MESSAGE_OPEN_APPEND) /* text: path -> descriptor */                                        \
	X(MESSAGE_STAMP)       /* text: path -> stamp */                                             \
	X(MESSAGE_LIST)        /* text: path -> descriptor of a memfd that holds `number` file_entry, count: 1, there are more */ \
	X(MESSAGE_LIST_ON)     /* number: 0 -> more of it, likewise; 1, no more is wanted */          \
	X(MESSAGE_LISTEN)      /* text: address, number: index, count -> descriptor */               \
	X(MESSAGE_REFRESH)     /* -> text: the problems, when refused */                             \
	X(MESSAGE_WATCH)       /* text: path, number: 1 a file, 0 a directory */                     \
	X(MESSAGE_UNWATCH)     /* all of the above is over */                                        \
	X(MESSAGE_SECRET)      /* -> secret, number: its bytes */                                    \
	X(MESSAGE_KEEP)        /* with sealed memory, for the next worker; number: which part of it */ \
	X(MESSAGE_KEEP_WHOLE)  /* number: so many parts it has; those not handed over since the last time are as they were */ \
	X(MESSAGE_KEPT)        /* number: which part -> its descriptor, number: how many there are; when there are less, that alone */ \
	X(MESSAGE_STATE_PUT)   /* text: name, with sealed memory: keep the state of a rotation (supervisor/shelf.h) */ \
	X(MESSAGE_STATE_GET)   /* text: name -> descriptor to read it from */                        \
	X(MESSAGE_STATE_LIST)  /* -> descriptor of a memfd that holds `number` file_entry, text: directory */ \
	X(MESSAGE_STATE_REFUSE) /* text: name -> text: where it lies now */                          \
	X(MESSAGE_READY)       /* no reply */                                                        \
	X(MESSAGE_RELOADED)    /* number: 1 ok, text: for people. No reply */                        \
	X(MESSAGE_REPLY)       /* to the worker: ok, else error and text say why */                  \
	X(MESSAGE_COMMAND)     /* to the worker, at any time; number: enum control_command */

enum message_kind {
#define X(name) name,
	MESSAGE_KINDS(X)
#undef X
	MESSAGE_KINDS_N
};

enum {
	MESSAGE_TEXT = 4096, /* PATH_MAX, with its NUL */
	MESSAGE_SECRET_MAX = 512,
	MESSAGE_KEEP_MAX = 65, /* parts of what is kept */
};

struct message {
	uint32_t kind; /* enum message_kind */
	bool ok;       /* of a reply */
	int32_t error; /* errno of a reply that is not ok; 0: none fits */
	uint64_t number, count;
	struct file_stamp stamp;
	char text[MESSAGE_TEXT];
	unsigned char secret[MESSAGE_SECRET_MAX];
};

/*
 * Send m and, unless it is -1, fd, which stays the caller's. MSG_DONTWAIT in `flags` for who must not block.
 * False with errno set.
 */
MUST_CHECK bool message_send(int socket, const struct message *m, int fd, int flags);

enum message_result { MESSAGE_GOT, MESSAGE_NONE, MESSAGE_END };

/*
 * The next message. *fd becomes the descriptor that came with it, or -1; fd NULL: descriptors are not wanted and the
 * kernel drops them. MESSAGE_NONE only with MSG_DONTWAIT. MESSAGE_END: the other end has gone, or sent what is no message.
 */
enum message_result message_receive(int socket, struct message *m, int *fd, int flags);

#endif
