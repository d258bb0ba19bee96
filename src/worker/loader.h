/*
 * loader.h: how config and certificates come into service.
 *
 * One load: read the config, build a snapshot beside the one in service, and
 * when all of that has succeeded publish it to every thread (worker/publish.h).
 * Whatever fails leaves everything as it was. What is in service is then
 * handed to the supervisor, for the worker that follows if this one dies
 * (worker/keep.h). Background thread only.
 */
#ifndef BASCULE_WORKER_LOADER_H
#define BASCULE_WORKER_LOADER_H

#include "admin/admin.h"
#include "line/control.h"
#include "worker/keep.h"
#include "worker/rotations.h"
#include "worker/threads.h"

struct loader {
	struct admin admin; /* what the admin API shows; its `reload` is loader_reload */
	const char *config_path;
	struct control *control;
	struct files *files;
	struct px_thread *background; /* owned by the worker */
	struct threads threads;
	struct server_registry *registry;
	struct rotations rotations;
	struct tls_changes changes; /* of bundles, since what is in service was loaded; the watcher knows */
	struct tls_changes left;    /* after a load: what is to be looked at again */
	struct secret secret;
	struct snapshot *snapshot; /* in service; NULL before the first */
	struct record *record;     /* the files that it was made of, but for those of bundles */
	struct keep kept;          /* while it begins: what the worker before had in service; all zero: there was none */
	struct keep_held held;     /* what the supervisor holds for the next worker */
	struct snap_conf *started; /* the first config: what it said of threads and the like holds until a restart; referenced */
	uint64_t generation;
	bool recovered; /* the states of rotations have been taken back */
	bool follows; /* a worker that has died: what it had in service must not end because of what is on the disk now */
};

/*
 * The first load; starts the threads. When it is refused and we replace a worker that has died, what that one had in
 * service goes on. False: it has been logged why.
 */
MUST_CHECK bool loader_begin(struct loader *l);

/*
 * Load everything anew. True: in service. What was wrong is in l->admin.load and in the log. `accept`: what new certificates
 * may lose this time, see struct tls_load.
 */
bool loader_reload(struct loader *l, unsigned accept);

/* A load that is not even tried: the report says why. */
void loader_refuse(struct loader *l, const char *why);

/*
 * Look at the files of certificates, keys, CAs and CRLs only, the config as it is; quiet when nothing has changed. For the
 * watch. True: something new is in service, or is to be watched.
 */
bool loader_refresh(struct loader *l);

/*
 * Look at the files of this bundle only, the config and all else as it is. False: it is refused, and err says why. *changed:
 * there is something new in service. `accept` as above.
 */
bool loader_start(struct loader *l, const char *bundle, unsigned accept, bool *changed, struct err *err);

/* Open the log files of the config in service again, after they were moved. */
void loader_open_logs(struct loader *l);

void loader_end(struct loader *l);

#endif
