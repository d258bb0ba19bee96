#include "admin/client.h"
#include "cli/cli.h"
#include "pki/pki.h"

/* What the proxy made of the bundle. The file names in its answer are those that are in place now. */
static enum pki_reload
judge(const struct admin_reply *reply, const char *bundle, struct err *err)
{
	bool done = false, whole = false;

	if (!admin_reload_outcome(reply, &done, &whole, err))
		return PKI_NOT_ASKED;
	if (done && admin_reload_waits(reply, bundle, err))
		return PKI_WAITS;
	if (done && (whole || !admin_reload_held(reply, bundle, err)))
		return PKI_RELOADED;
	if (!done)
		admin_reload_problem(reply, err);
	return PKI_RELOAD_HELD;
}

static enum pki_reload
reload(const struct conf *conf, const char *bundle, unsigned accept, struct err *err)
{
	struct admin_reply reply;
	char path[CLI_PATH_SIZE];

	if (conf->admin_socket == NULL) {
		err_set(err, "the config has no admin.socket; send SIGHUP to the proxy");
		return PKI_NOT_ASKED;
	}
	cli_accept_path("/v1/reload", accept, path);
	if (!admin_request(conf->admin_socket, "POST", path, &reply, err))
		return PKI_NOT_ASKED;
	enum pki_reload result = judge(&reply, bundle, err);
	admin_reply_free(&reply);
	return result;
}

static uint64_t
generation(const struct conf *conf, const char *bundle, const unsigned char sha256[32])
{
	char path[4 * CLI_PATH_SIZE] = "/v1/rotations/";
	struct admin_reply reply;
	struct err err = {""};

	if (conf->admin_socket == NULL || !cli_put_segment(path, sizeof(path), bundle) ||
	    !admin_request(conf->admin_socket, "GET", path, &reply, &err))
		return 0;
	uint64_t number = admin_rotation_generation(&reply, sha256);
	admin_reply_free(&reply);
	return number;
}

int
cli_pki(int argc, char **argv)
{
	static const struct pki_host host = {.default_config = CLI_DEFAULT_CONFIG, .reload = reload, .generation = generation};

	return pki_main(argc, argv, &host);
}
