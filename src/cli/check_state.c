#include "cli/check_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/check_start.h"
#include "worker/client_ca_states.h"

static void
check_file(const struct conf *conf, const char *name, const struct tls_thread *thread, const struct conf_where *at,
    struct conf_problems *problems)
{
	char path[4096 + STATE_NAME_MAX + 2];
	struct err err = {""};
	struct unpack u;
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", conf->state_dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	unsigned char *bytes = fd >= 0 ? frame_read(fd, &n, &err) : NULL;
	if (fd < 0)
		err_set(&err, "%s", strerror(errno));
	else
		close(fd);
	bool client_cas = sv_ends(sv_cstr(name), SV(STATE_CLIENT_CAS)), whole = false;
	if (bytes != NULL && client_cas)
		whole = client_ca_state_unframe(sv_of((const char *)bytes, n), thread, &u, &err);
	else if (bytes != NULL)
		whole = state_unframe(sv_of((const char *)bytes, n), thread, &u, &err);
	if (!whole)
		conf_warning(problems, at, "state_dir", "%s: %s; the next start moves it to %s" STATE_REFUSED
		    " and begins %s anew: put a good one in its place before that", path, err.text, name,
		    client_cas ? "to note client certificates" : "this rotation");
	secret_wipe(bytes, n);
}

static bool
was_refused(const char *name)
{
	return strstr(name, STATE_ROTATION STATE_REFUSED) != NULL || strstr(name, STATE_CLIENT_CAS STATE_REFUSED) != NULL;
}

static void
check_files(const struct conf *conf, const struct tls_thread *thread, const struct conf_where *at, struct conf_problems *problems)
{
	struct file_entry *entries = NULL;
	struct err err = {""};
	size_t n = 0;

	if (!files_list(files_direct(), conf->state_dir, &entries, &n, &err)) {
		conf_error(problems, at, "state_dir", "%s", err.text);
		return;
	}
	for (size_t i = 0; entries != NULL && i < n; i++) {
		if (entries[i].dangling)
			continue;
		if (state_name_is_safe(entries[i].name))
			check_file(conf, entries[i].name, thread, at, problems);
		else if (was_refused(entries[i].name))
			conf_warning(problems, at, "state_dir",
			    "%s/%s was refused at a start: put a good one back under its old name and restart, or remove it", conf->state_dir,
			    entries[i].name);
	}
	free(entries);
}

void
check_state_dir(const struct conf *conf, const struct tls_thread *thread, struct conf_problems *problems)
{
	const struct conf_where at = {.file = conf->files.v[0], .line = 1, .column = 1};
	const char *path = conf->state_dir;
	struct stat st;

	if (path == NULL)
		return;
	bool there = stat(path, &st) == 0;
	if (!there && errno == ENOENT && check_is_made_by_unit(path, strlen(path))) {
		conf_warning(problems, &at, "state_dir", "%s: does not exist; make it" CHECK_UNIT_MAKES_IT, path);
	} else if (!there) {
		conf_error(problems, &at, "state_dir", "%s: %s; make it: install -d -m 700 %s, as the user who starts the proxy", path,
		    strerror(errno), path);
	} else if (!S_ISDIR(st.st_mode)) {
		conf_error(problems, &at, "state_dir", "%s is not a directory", path);
	} else if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
		conf_error(problems, &at, "state_dir",
		    "%s can not be written by the user who asks (%u): %s; chown it to the user who starts the proxy, and ask as that one", path,
		    (unsigned)geteuid(), strerror(errno));
	} else {
		if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
			conf_warning(problems, &at, "state_dir", "%s: others than its owner can get at private keys in it; chmod 700 %s", path, path);
		check_files(conf, thread, &at, problems);
	}
}
