/*
 * client_ca_states.h: what is known of the client CAs of each site outlives the worker, and with a state_dir a restart.
 *
 * A new certificate, and whatever else changes an answer, is handed over
 * within seconds; that a known one came again, now and then. Background
 * thread only.
 */
#ifndef BASCULE_WORKER_CLIENT_CA_STATES_H
#define BASCULE_WORKER_CLIENT_CA_STATES_H

#include "rotation/client_cas_state.h"
#include "worker/state.h"

/* Into the registry; what can not be taken back is told. */
void client_ca_states_take_back(struct states *s, const char *name);

/* Those that are due, until `end` (monotonic, ms). */
void client_ca_states_keep(struct states *s, enum states_when when, uint64_t end);

/* As state_unframe(). */
MUST_CHECK bool client_ca_state_unframe(struct sv bytes, const struct tls_thread *thread, struct unpack *u, struct err *err);

#endif
