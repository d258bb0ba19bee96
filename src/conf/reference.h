/*
 * reference.h: what people and editors read of the rows.
 */
#ifndef BASCULE_CONF_REFERENCE_H
#define BASCULE_CONF_REFERENCE_H

#include "base/buf.h"

enum { CONF_REFERENCE_MAX = 1 << 20 }; /* a buffer of this size always holds any of them */

/* conf/schema.json: JSON Schema, draft 7. False when memory is out or `out` is too small. */
bool conf_write_schema(struct buf *out);

/* docs/configuration.md. */
bool conf_write_reference(struct buf *out);

/* docs/bascule.json.5: the same as a manual page. */
bool conf_write_manual(struct buf *out);

#endif
