/*
 * load_report.h: what a load has to tell, to the log and to whoever asks.
 *
 * The report itself (struct admin_load) is the loader's, and what the admin
 * API shows; each load begins it anew. Background thread only.
 */
#ifndef BASCULE_WORKER_LOAD_REPORT_H
#define BASCULE_WORKER_LOAD_REPORT_H

#include "admin/admin.h"

/* Empty, as of now; not in service yet. What the last one that was taken had to tell stays, should this one be refused. */
void load_report_reset(struct admin_load *r);

void load_report_free(struct admin_load *r);

/* All of it, a line each. */
void load_report_log(const struct admin_load *r);

void load_report_log_problems(const struct conf_problems *problems);

/* What was refused, or waits, is so until it is told otherwise; what was taken over is news once. */
bool load_report_stands(const struct tls_outcome *o);

/* After a load of this bundle alone, what else was refused in the one before stays to be seen. */
void load_report_keep_others(struct tls_outcomes *o, const struct tls_outcomes *before, const char *bundle);

/* All that stands does so no more, which is logged; nothing else has come into service. */
void load_report_mended(struct admin_load *r);

/*
 * Is `a` what the last look, `b`, already told? Then nobody wants to read it again every few seconds. What was then taken
 * over (`taken_over`) would not come up again, had it not changed once more.
 */
bool load_report_same(const struct tls_outcomes *a, const struct tls_outcomes *b, bool taken_over);

#endif
