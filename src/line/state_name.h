/*
 * state_name.h: under which names the worker has its states kept.
 *
 * A state is what a worker learns and a later one has to know: of a bundle's
 * rotation, of a site's client certificates. The worker packs it, the
 * supervisor keeps it (supervisor/shelf.h), in a file of this name.
 */
#ifndef BASCULE_LINE_STATE_NAME_H
#define BASCULE_LINE_STATE_NAME_H

#include "base/sv.h"

enum {
	STATE_NAME_MAX = 224,       /* bytes of a name; what is put behind one fits into 255 */
	STATE_SIZE_MAX = 512 << 20, /* bytes of a state */
	STATE_CONTENT_MAX = 448 << 20, /* of what is packed into it; the rest is room for who comes meanwhile */
};
#define STATE_ROTATION ".rotation"   /* of a bundle's rotation */
#define STATE_CLIENT_CAS ".client-ca" /* of the client certificates of a site */
#define STATE_REFUSED ".refused"     /* behind one of these: it was no such state */

/* No two bundles have the same; neither do two sites. */
void state_name(const char *bundle, char out[STATE_NAME_MAX + 1]);
void state_site_name(const char *site, char out[STATE_NAME_MAX + 1]); /* its client CAs */

/* Letters, digits and "%_.-" only, no dot at the beginning, ending in one of the two: lies in the directory itself. */
bool state_name_is_safe(const char *name);

#endif
