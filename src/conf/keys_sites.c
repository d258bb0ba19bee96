/*
 * keys_sites.c: the rows of bundles, sites and routes.
 */
#include "conf/keys.h"

static const struct key stage_keys[] = {
	ROW_NUMBER("share", conf_stage, share,
	    "Percent of the clients that get the new generation. By their address, so each gets one and the same.",
	    .min = 1, .max = 100, .preset = 100, .example = "5"),
	ROW_DURATION("for", conf_stage, lasts, "How long, before the next stage. The last stage stays.", .min = 1000, .max = 365 * DAY,
	    .preset = HOUR, .example = "\"10m\""),
};

static const struct key_object keys_stage = {
	.name = "stage",
	.intro = "A part of a rotation.",
	.example = "{ \"share\": 5, \"for\": \"10m\" }",
	.keys = stage_keys,
	.n_keys = COUNTOF(stage_keys),
	.size = sizeof(struct conf_stage),
	.at = offsetof(struct conf_stage, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key notify_keys[] = {
	ROW_STRINGS("command", conf_notify, command,
	    "A command, with its arguments, that is run. No shell; it runs as the worker's user, finds the event as JSON on its "
	    "standard input and its name in `BASCULE_EVENT`, that of the bundle in `BASCULE_BUNDLE`.",
	    .example = "[ \"/usr/local/bin/tell-us\", \"--channel\", \"certificates\" ]"),
	ROW_STRING("url", conf_notify, url,
	    "Where the event is sent as JSON, with POST, over HTTP or HTTPS. What is not answered with a 2xx is sent again, after "
	    "growing pauses; each event has an `id` by which a receiver can drop what it has had already.",
	    .example = "\"https://hooks.example.com/bascule\"", .check = check_web_url),
	ROW_PATH("ca", conf_notify, ca,
	    "PEM: the CA of that server's certificate. Without it: the system's store.", .example = "\"hooks-ca.pem\""),
	ROW_PATH("authorization", conf_notify, authorization,
	    "A file with one line, the value of the field `Authorization` of the request. It is read for each of them, and may be "
	    "readable by root only.",
	    .example = "\"hooks.token\""),
};

static const struct key_object keys_notify = {
	.name = "notify",
	.intro = "Who is told when a rotation begins, goes on to its next stage, is complete, is rolled back, has its first client that "
		 "refuses the new generation, or ends; when the generation before may go; and when a new certificate is held back. A plain "
		 "string, or a list of them, is the command. See [rotation.md](rotation.md#being-told).",
	.example = "{ \"url\": \"https://hooks.example.com/bascule\", \"authorization\": \"hooks.token\" }",
	.keys = notify_keys,
	.n_keys = COUNTOF(notify_keys),
	.size = sizeof(struct conf_notify),
	.at = offsetof(struct conf_notify, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
	.shorthand = "command",
};

static const struct key rotation_keys[] = {
	ROW_WORD("start", conf_rotation, start, conf_start,
	    "`automatic`: a reload, or the watch, that finds a new certificate begins its rotation. `manual`: it is looked at, all that "
	    "is wrong with it is said, and it waits, until `bascule rotation start NAME` begins.",
	    WORDS("automatic", "manual")),
	ROW_WORDS("accept", conf_rotation, accept,
	    "Losses that do not hold a new certificate back: names that sites serve (`lost-names`), an end before that "
	    "of the one in service (`earlier-expiry`), a chain to another CA (`another-root`), a key that is easier to "
	    "break (`weaker-key`), a beginning that clients with slow clocks are not past (`too-fresh`). For one reload "
	    "only: `bascule reload --accept …`.",
	    .words = conf_loss_words, .example = "[ \"earlier-expiry\" ]"),
	ROW_DURATION("fresh", conf_rotation, fresh,
	    "A new certificate must have been valid for so long before it takes the place of another, for clients whose "
	    "clocks are slow reject it. Until then it is held back, and taken by itself at the first look after. An hour "
	    "suits most CAs, which date certificates back by that; devices without a good clock want a day.",
	    .min = SECOND, .max = 30 * DAY, .zero = "at once", .preset = 0, .example = "\"1h\""),
	ROW_LIST("stages", conf_rotation, stages, conf_stage, keys_stage,
	    "Growing shares of the clients that get the new generation first. Without it: all at once.",
	    .example = "[ { \"share\": 5, \"for\": \"10m\" }, { \"share\": 50, \"for\": \"1h\" } ]"),
	ROW_DURATION("keep_previous", conf_rotation, keep_previous,
	    "How long the generation before is kept for clients that refuse the new one, once all others have that; at most until it "
	    "expires.",
	    .min = 1000, .max = 3650 * DAY, .zero = "such clients are not rescued", .preset = 30 * DAY),
	ROW_DURATION("retry", conf_rotation, retry,
	    "When a client that is served the generation before is offered the new one again, for one connection. Doubles each "
	    "time.",
	    .min = 1000, .max = 365 * DAY, .preset = HOUR),
	ROW_DURATION("retry_max", conf_rotation, retry_max, "Up to this.", .min = 1000, .max = 365 * DAY, .preset = DAY),
	ROW_NUMBER("silent_limit", conf_rotation, silent_limit,
	    "Some clients refuse a certificate without a word: they close. So many such ends in a row, of a client that had accepted "
	    "the generation before, count as a refusal.",
	    .min = 1, .max = 100, .zero = "they never do", .preset = 2),
	ROW_DURATION("silent_within", conf_rotation, silent_within,
	    "Who closes later than that after the handshake did not do so for the certificate.",
	    .min = 1, .max = HOUR, .preset = 5 * SECOND),
	ROW_NUMBER("rollback_clients", conf_rotation, rollback.clients,
	    "When clients at so many addresses refuse the new generation that had accepted the one before, it is rolled back without "
	    "asking. A fleet too small for that: when more than half of its networks do, with three clients or more.",
	    .min = 1, .max = 1000000, .zero = "never without asking", .preset = 10),
	ROW_NUMBER("rollback_networks", conf_rotation, rollback.networks,
	    "From so many networks (IPv4 /24, IPv6 /48) at least, so that nobody can cause it from one place.",
	    .min = 1, .max = 64, .preset = 3),
	ROW_NUMBER("rollback_share", conf_rotation, rollback.share,
	    "And so many percent at least of the networks whose known clients have been shown it; each counts as one, by the part of "
	    "its clients that refuses. While few have been shown it: of half of the networks known, or a hundred.",
	    .min = 1, .max = 100, .preset = 10),
	ROW_OBJECT("notify", conf_rotation, notify, conf_notify, keys_notify, "Who is told what becomes of it."),
	ROW_NUMBER("clients", conf_rotation, clients,
	    "How many clients of each bundle are told apart; about 250 bytes each, taken as they come.",
	    .min = 1, .max = CONF_ROTATION_CLIENTS_MAX, .preset = 65536),
	ROW_BOOL("track", conf_rotation, track,
	    "Learn who the clients are before a rotation begins. Without it nobody is known to have accepted the generation before: "
	    "silent refusals are not noticed, and nothing is rolled back without asking.",
	    .preset = true),
};

static const struct key_object keys_rotation = {
	.name = "rotation",
	.intro = "What happens when the content of a bundle changes: who gets the new generation when, and what becomes of those who "
		 "refuse it. See [rotation.md](rotation.md).",
	.example = "{ \"stages\": [ { \"share\": 5, \"for\": \"10m\" }, { \"share\": 50, \"for\": \"1h\" } ], "
		   "\"keep_previous\": \"30d\" }",
	.keys = rotation_keys,
	.n_keys = COUNTOF(rotation_keys),
	.size = sizeof(struct conf_rotation),
	.at = offsetof(struct conf_rotation, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key bundle_keys[] = {
	ROW_PATH("certificate", conf_bundle, certificate, "PEM: the certificate, then its intermediates. Needs `key`.",
	    .example = "\"shop/fullchain.pem\""),
	ROW_PATH("key", conf_bundle, key,
	    "PEM: the private key. May be readable by root only.", .example = "\"shop/key.pem\""),
	ROW_PATH("chain", conf_bundle, chain, "PEM: intermediates, when they are not in the file of `certificate`.",
	    .example = "\"shop/chain.pem\""),
	ROW_PATH("combined", conf_bundle, combined, "One PEM file with the key, the certificate and its intermediates.",
	    .example = "\"shop.pem\""),
	ROW_PATH("pkcs12", conf_bundle, pkcs12, "A PKCS#12 file (.p12, .pfx).", .example = "\"shop.p12\""),
	ROW_PATH("password_file", conf_bundle, password_file,
	    "A file with the password of `pkcs12` in one line. Without it: the empty "
	    "password.", .example = "\"shop.pass\""),
	ROW_PATH("directory", conf_bundle, directory,
	    "Each `NAME.pem` (alone or with `NAME.key`), `NAME.crt` with `NAME.key`, `NAME.p12` (with `NAME.pass`) "
	    "and `NAME/` as certbot or Kubernetes lay it out is a bundle called NAME. Thousands are fine: a key is "
	    "made ready when it is first used.",
	    .example = "\"bundles/\""),
	ROW_OBJECT("rotation", conf_bundle, rotation, conf_rotation, keys_rotation, "What happens when its content changes."),
};

const struct key_object keys_bundle = {
	.name = "bundle",
	.intro = "A certificate with its chain and key, in exactly one of four forms: `certificate` with `key`; "
		 "`combined`; `pkcs12`; or `directory`, which stands for all bundles in it.",
	.example = "{ \"certificate\": \"shop/fullchain.pem\", \"key\": \"shop/key.pem\" }",
	.keys = bundle_keys,
	.n_keys = COUNTOF(bundle_keys),
	.size = sizeof(struct conf_bundle),
	.at = offsetof(struct conf_bundle, at),
	.name_at = offsetof(struct conf_bundle, name),
	.present = KEY_NO_FIELD,
};

static const struct key pin_keys[] = {
	ROW_PATH("ca", conf_pin, ca, "PEM: the CA, or several. Only these are trusted, never the system's store.",
	    .flags = KEY_REQUIRED, .example = "\"devices-ca.pem\""),
	ROW_STRING("from", conf_pin, from, "The day, or the moment, from which it is trusted (UTC). Without it: at once.",
	    .example = "\"2026-07-01\"", .check = check_date),
	ROW_STRING("until", conf_pin, until,
	    "The last day on which it is trusted, or the moment at which that ends (UTC). Without it: as long as it stands here.",
	    .example = "\"2026-12-31\"", .check = check_date),
};

static const struct key_object keys_pin = {
	.name = "pin",
	.intro = "A CA whose client certificates are accepted.",
	.example = "{ \"ca\": \"devices-2025.pem\", \"until\": \"2026-12-31\" }",
	.keys = pin_keys,
	.n_keys = COUNTOF(pin_keys),
	.size = sizeof(struct conf_pin),
	.at = offsetof(struct conf_pin, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key client_certificate_keys[] = {
	ROW_WORD("mode", conf_client_certificate, mode, conf_client_certificate_mode,
	    "`required`: no handshake without a valid one. `optional`: asked for, and refused when it is not valid.",
	    .preset = CONF_CLIENT_NONE, WORDS("none", "optional", "required"), .example = "\"required\""),
	ROW_LIST("pins", conf_client_certificate, pins, conf_pin, keys_pin,
	    "The CAs that are trusted. Two at a time let clients move from one to the other; who has not moved yet, and whether the old "
	    "one may go, says `bascule client-ca status`: see [rotation.md](rotation.md#replacing-a-client-ca).",
	    .example = "[ { \"ca\": \"devices-2025.pem\" }, { \"ca\": \"devices-2026.pem\" } ]"),
	ROW_PATHS("crls", conf_client_certificate, crls,
	    "Files with revocation lists, PEM or DER, read again at each reload.", .example = "\"devices.crl\""),
	ROW_WORD("crl_check", conf_client_certificate, crl_check, conf_crl_check,
	    "`leaf`: the client's certificate must be covered by a list. `chain`: each certificate up to the pin.",
	    .preset = CONF_CRL_LEAF, WORDS("leaf", "chain")),
	ROW_WORD("when_refused", conf_client_certificate, when_refused, conf_when_refused,
	    "What becomes of an open connection whose certificate pins or CRLs that have changed no longer let in. `next_request`: "
	    "what is in flight is answered, the next request gets 421 and the end. `close`: it ends at once, with what is in flight. "
	    "`keep`: it goes on as long as it likes. Tickets never outlive the change.",
	    .preset = CONF_REFUSED_NEXT_REQUEST, WORDS("next_request", "close", "keep"), .example = "\"close\""),
	ROW_NUMBER("depth", conf_client_certificate, depth,
	    "Intermediate CAs allowed between the client's certificate and the pin.", .min = 0, .max = 9, .preset = 2),
	ROW_DURATION("window", conf_client_certificate, window,
	    "Whether a pin may be dropped is told by who came within this time (`bascule client-ca status`); who has not come for "
	    "so long is not waited for. Only time in which bascule served counts.",
	    .min = SECOND, .max = 3650 * DAY, .preset = 30 * DAY, .example = "\"45d\""),
	ROW_NUMBER("remember", conf_client_certificate, remember,
	    "How many certificates of each CA are remembered for that; about 500 bytes each, taken as they come. When there is no room "
	    "for another, nobody can tell whether the pin may be dropped, and bascule says so.",
	    .min = 1, .max = CONF_REMEMBER_MAX, .zero = "none are, and nothing can be told", .preset = 65536),
};

static const struct key_object keys_client_certificate = {
	.name = "client_certificate",
	.intro = "What a site demands of its clients. Unless the mode is none, the origin is told in request fields, "
		 "which are removed from what clients send: `X-Client-Cert-Verify` (SUCCESS, or NONE when no "
		 "certificate was shown), `X-Client-Cert-Subject`, `-Issuer` (RFC 2253), `-Serial` (hex, "
		 "cut with `...` after the 20 octets that one may have) and `-Fingerprint` (SHA-256, hex). The certificates that a client "
		 "sends may have 32 KiB together. A request for a site with other demands than those of the handshake "
		 "is answered 421.",
	.example = "{ \"mode\": \"required\", \"pins\": [ { \"ca\": \"devices-ca.pem\" } ], \"crls\": "
		 "\"devices.crl\" }",
	.keys = client_certificate_keys,
	.n_keys = COUNTOF(client_certificate_keys),
	.size = sizeof(struct conf_client_certificate),
	.at = offsetof(struct conf_client_certificate, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

/* KEY_PAIRS writes a name and a value at these places. */
_Static_assert(sizeof(struct conf_field) == 2 * sizeof(char *), "a pair of strings");
_Static_assert(sizeof(struct conf_match) == 2 * sizeof(char *), "a pair of strings");

static const struct key fields_keys[] = {
	ROW_PAIRS("set", conf_fields, set, conf_field,
	    "Fields to set, in place of those of the same name. A value may hold `${client_address}`, "
	    "`${client_port}`, `${host}`, `${scheme}`, `${method}`, `${path}`, `${request_id}`, `${server_name}` and "
	    "`${tls_version}`; a dollar sign is written `$$`.",
	    .example = "{ \"X-Real-Port\": \"${client_port}\" }", .check = check_editable_field),
	ROW_STRINGS("remove", conf_fields, remove,
	    "Names of fields to remove.", .example = "[ \"Server\", \"X-Powered-By\" ]", .check = check_editable_field),
};

static const struct key_object keys_fields = {
	.name = "fields",
	.intro = "Header fields changed on the way. Those of the site are applied first, then those of the route.",
	.example = "{ \"set\": { \"Strict-Transport-Security\": \"max-age=31536000\" }, \"remove\": [ \"Server\" ] }",
	.keys = fields_keys,
	.n_keys = COUNTOF(fields_keys),
	.size = sizeof(struct conf_fields),
	.at = KEY_NO_FIELD,
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key route_keys[] = {
	ROW_STRING("path", conf_route, path,
	    "PCRE2 pattern for the path without its query. It matches anywhere unless it is anchored with `^` and "
	    "`$`. A backslash is written twice in JSON.",
	    .example = "\"^/api/v\\\\d+/\""),
	ROW_STRING("host", conf_route, host, "PCRE2 pattern for the host in lower case, without the port.",
	    .example = "\"^(www\\\\.)?shop\\\\.example$\""),
	ROW_STRINGS("methods", conf_route, methods, "The methods, in capitals. Without it: any.",
	    .example = "[ \"GET\", \"HEAD\" ]", .check = check_token),
	ROW_PAIRS("headers", conf_route, headers, conf_match,
	    "PCRE2 patterns by the name of a request field. Each must match; a field that is absent matches none.",
	    .example = "{ \"User-Agent\": \"^Mobile/\" }", .check = check_field_name),
	ROW_STRING("upstream", conf_route, upstream,
	    "Where requests go. Without it: to the site's.", .example = "\"api\""),
	ROW_STRING("rewrite", conf_route, rewrite,
	    "What takes the place of the part that `path` matched, with `$1` or `${name}` for its groups. The query "
	    "stays.",
	    .example = "\"/v2/$1\""),
	ROW_OBJECT("request_headers", conf_route, request_headers, conf_fields, keys_fields,
	    "Fields to change on the way to the origin."),
	ROW_OBJECT("response_headers", conf_route, response_headers, conf_fields, keys_fields,
	    "Fields to change on the way to the client."),
	ROW_OBJECT("limits", conf_route, limits, conf_limits, keys_limits, "Other limits than the site's."),
	ROW_OBJECT("timeouts", conf_route, timeouts, conf_timeouts, keys_timeouts, "Other timeouts than the site's."),
};

static const struct key_object keys_route = {
	.name = "route",
	.intro = "Conditions, and what becomes of requests that meet all of them. Routes are tried in their order; "
		 "the first that matches is taken.",
	.example = "{ \"path\": \"^/api/(.*)\", \"methods\": [ \"GET\", \"POST\" ], \"upstream\": \"api\", "
		 "\"rewrite\": \"/$1\" }",
	.keys = route_keys,
	.n_keys = COUNTOF(route_keys),
	.size = sizeof(struct conf_route),
	.at = offsetof(struct conf_route, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};

static const struct key site_keys[] = {
	ROW_STRINGS("names", conf_site, names,
	    "Host names, exact or as `*.suffix`, which covers any depth below (`a.b.c` and `x.a.b.c` for `*.b.c`), "
	    "not the suffix itself. The most specific wins, over all sites.",
	    .flags = KEY_LOWER, .example = "[ \"shop.example\", \"*.shop.example\" ]", .check = check_site_name),
	ROW_BOOL("default", conf_site, is_default,
	    "This site serves names that no site has. Without one, such handshakes fail with "
	    "unrecognized_name.", .preset = false,
	    .example = "true"),
	ROW_STRINGS("bundle", conf_site, bundles,
	    "Names of bundles, at most four; with several, RSA and ECDSA say, the client gets what it can use. Without it: the "
	    "bundle of a `directory` whose certificate covers the name.",
	    .example = "[ \"shop-ecdsa\", \"shop-rsa\" ]"),
	ROW_OBJECT("client_certificate", conf_site, client, conf_client_certificate, keys_client_certificate,
	    "What is demanded of client certificates."),
	ROW_LIST("routes", conf_site, routes, conf_route, keys_route,
	    "Tried in their order; the first that matches is taken.",
	    .example = "[ { \"path\": \"^/api/\", \"upstream\": \"api\" } ]"),
	ROW_STRING("upstream", conf_site, upstream,
	    "Where requests go that no route takes. Without it they are answered 404.", .example = "\"nodes\""),
	ROW_BOOL("connection_auth", conf_site, connection_auth,
	    "Clients authenticate their connection, not each request (NTLM, Negotiate). Each connection of a client then has "
	    "connections to servers of its own from its first request on, stays on its servers, and speaks HTTP/1.1 alone. "
	    "Without it the same begins when one of the two words is seen; docs/forwarding.md tells more.",
	    .preset = false, .example = "true"),
	ROW_BOOL("trace", conf_site, trace,
	    "TRACE goes to the origin, which sends back what it got: also the fields that are added on the way, and credentials that "
	    "a script in a browser could not read otherwise. Without it TRACE is answered 405.",
	    .preset = false, .example = "true"),
	ROW_OBJECT("request_headers", conf_site, request_headers, conf_fields, keys_fields,
	    "Fields to change on the way to the origin."),
	ROW_OBJECT("response_headers", conf_site, response_headers, conf_fields, keys_fields,
	    "Fields to change on the way to the client."),
	ROW_OBJECT("limits", conf_site, limits, conf_limits, keys_limits, "Other limits than those of the top."),
	ROW_OBJECT("timeouts", conf_site, timeouts, conf_timeouts, keys_timeouts,
	    "Other timeouts than those of the top."),
};

const struct key_object keys_site = {
	.name = "site",
	.intro = "What is served under some names.",
	.example = "{\n"
		   "  \"names\": [ \"shop.example\", \"*.shop.example\" ],\n"
		   "  \"bundle\": \"shop\",\n"
		   "  \"routes\": [ { \"path\": \"^/api/\", \"upstream\": \"api\" } ],\n"
		   "  \"upstream\": \"nodes\"\n"
		   "}",
	.keys = site_keys,
	.n_keys = COUNTOF(site_keys),
	.size = sizeof(struct conf_site),
	.at = offsetof(struct conf_site, at),
	.name_at = KEY_NO_FIELD,
	.present = KEY_NO_FIELD,
};
