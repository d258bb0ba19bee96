/*
 * keys.h: what can stand in a config, one row a key.
 *
 * A row makes the parser know the key, the schema describe it and the
 * reference page explain it: a new key is a field in config.h and a row in one
 * of keys_*.c. Rows are grouped by the object they stand in.
 */
#ifndef BASCULE_CONF_KEYS_H
#define BASCULE_CONF_KEYS_H

#include "conf/config.h"

enum key_type {
	KEY_BOOL,     /* bool */
	KEY_NUMBER,   /* uint64_t */
	KEY_DURATION, /* uint64_t, milliseconds */
	KEY_SIZE,     /* uint64_t, bytes */
	KEY_WORD,     /* an enum; `words` by its values */
	KEY_WORDS,    /* unsigned: those of `words` that are given, each its bit; from one string or a list */
	KEY_STRING,   /* const char *; with `words`: one of them */
	KEY_PATH,     /* const char *, made absolute */
	KEY_STRINGS,  /* struct conf_strings, from one string or a list */
	KEY_PATHS,    /* the same, of paths */
	KEY_PAIRS,    /* an array of two strings each, from an object of strings */
	KEY_OBJECT,   /* a struct within the struct */
	KEY_LIST,     /* an array of structs, from a list of objects */
	KEY_MAP,      /* an array of structs with a name, from an object of objects */
};

enum key_flags {
	KEY_REQUIRED = 1 << 0,
	KEY_RESTART = 1 << 1,    /* takes effect only when the supervisor starts anew */
	KEY_LOWER = 1 << 2,      /* letters are folded to lower case */
	KEY_NOT_STORED = 1 << 3, /* has no field: for editors, or used by the loader itself */
	KEY_EMPTY = 1 << 4,      /* an empty string is fine */
};

#define KEY_NO_MAX (UINT64_MAX - 1)
#define KEY_NO_FIELD SIZE_MAX

struct key_object;

struct key {
	const char *name;
	const char *help; /* a sentence or two that teach */
	enum key_type type;
	unsigned flags;
	size_t offset;   /* of the field in the struct of the object */
	size_t n_offset; /* of the field that counts the array */
	uint64_t min, max;
	const char *zero;     /* what 0 means, where it is allowed besides min to max; NULL: it is not */
	uint64_t preset;      /* the default of a bool, a number, a word */
	const char *text;     /* the default of a string; NULL: none */
	const char *example;  /* of a value, as JSON; NULL: the default serves */
	const char *const *words; /* ends with NULL */
	const struct key_object *object; /* what KEY_OBJECT, KEY_LIST, KEY_MAP consist of */
	/* Is this string (each of a list, the name of a pair) well formed? False with what is expected in err. */
	bool (*check)(const char *value, struct err *err);
};

struct key_object {
	const char *name;    /* for the schema and the reference: "client_certificate" */
	const char *intro;   /* a paragraph of the reference */
	const char *example; /* a whole object, JSON with comments */
	const struct key *keys;
	size_t n_keys;
	size_t size;         /* of its struct */
	/* Offsets of fields, or KEY_NO_FIELD: its place, its name in a map, the bool that tells that it was given. */
	size_t at, name_at, present;
	const char *shorthand; /* the key that a plain string in place of the object gives, or a list where it takes one; NULL: none */
	bool inherits;       /* numbers that are not given are CONF_UNSET, to be taken from the level above */
};

extern const struct key_object conf_keys; /* the whole */

const struct key *key_find(const struct key_object *o, const char *name);

/* The units of durations and sizes. */
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Rows: KIND("name", struct, member, "help", .what = else). A field of another type does not compile. */
#define KEY_FIELD(s, m, t)        \
	(offsetof(struct s, m) +  \
	    0 * sizeof(struct {   \
		    _Static_assert(_Generic(((struct s *)0)->m, t : 1, default : 0), #m " is no " #t); \
		    char c;       \
	    }))
#define KEY_ROW(key, k, o, h, ...) {.name = (key), .type = (k), .offset = (o), .help = (h), ##__VA_ARGS__}
#define ROW_BOOL(key, s, m, h, ...) KEY_ROW(key, KEY_BOOL, KEY_FIELD(s, m, bool), h, ##__VA_ARGS__)
#define ROW_NUMBER(key, s, m, h, ...) KEY_ROW(key, KEY_NUMBER, KEY_FIELD(s, m, uint64_t), h, ##__VA_ARGS__)
#define ROW_DURATION(key, s, m, h, ...) KEY_ROW(key, KEY_DURATION, KEY_FIELD(s, m, uint64_t), h, ##__VA_ARGS__)
#define ROW_SIZE(key, s, m, h, ...) KEY_ROW(key, KEY_SIZE, KEY_FIELD(s, m, uint64_t), h, ##__VA_ARGS__)
#define ROW_WORD(key, s, m, e, h, ...) KEY_ROW(key, KEY_WORD, KEY_FIELD(s, m, enum e), h, ##__VA_ARGS__)
#define ROW_WORDS(key, s, m, h, ...) KEY_ROW(key, KEY_WORDS, KEY_FIELD(s, m, unsigned), h, ##__VA_ARGS__)
#define ROW_STRING(key, s, m, h, ...) KEY_ROW(key, KEY_STRING, KEY_FIELD(s, m, const char *), h, ##__VA_ARGS__)
#define ROW_PATH(key, s, m, h, ...) KEY_ROW(key, KEY_PATH, KEY_FIELD(s, m, const char *), h, ##__VA_ARGS__)
#define ROW_TEXTS(key, k, s, m, h, ...)                          \
	KEY_ROW(key, k, KEY_FIELD(s, m, struct conf_strings), h, \
	    .n_offset = offsetof(struct s, m) + offsetof(struct conf_strings, n), ##__VA_ARGS__)
#define ROW_STRINGS(key, s, m, h, ...) ROW_TEXTS(key, KEY_STRINGS, s, m, h, ##__VA_ARGS__)
#define ROW_PATHS(key, s, m, h, ...) ROW_TEXTS(key, KEY_PATHS, s, m, h, ##__VA_ARGS__)
#define ROW_PAIRS(key, s, m, t, h, ...) \
	KEY_ROW(key, KEY_PAIRS, KEY_FIELD(s, m, struct t *), h, .n_offset = KEY_FIELD(s, n_##m, size_t), ##__VA_ARGS__)
#define ROW_OBJECT(key, s, m, t, o, h, ...) \
	KEY_ROW(key, KEY_OBJECT, KEY_FIELD(s, m, struct t), h, .object = &(o), ##__VA_ARGS__)
#define ROW_ARRAY(key, k, s, m, t, o, h, ...) \
	KEY_ROW(key, k, KEY_FIELD(s, m, struct t *), h, .n_offset = KEY_FIELD(s, n_##m, size_t), .object = &(o), \
	    ##__VA_ARGS__)
#define ROW_LIST(key, s, m, t, o, h, ...) ROW_ARRAY(key, KEY_LIST, s, m, t, o, h, ##__VA_ARGS__)
#define ROW_MAP(key, s, m, t, o, h, ...) ROW_ARRAY(key, KEY_MAP, s, m, t, o, h, ##__VA_ARGS__)

#define WORDS(...) .words = (const char *const[]){__VA_ARGS__, NULL}

/* Objects of other files that rows refer to. */
extern const struct key_object keys_limits, keys_timeouts, keys_bundle, keys_site, keys_upstream;

/* Checks of strings, in check_value.c. */
bool check_listen_address(const char *value, struct err *err);
bool check_server_address(const char *value, struct err *err);
bool check_network(const char *value, struct err *err);
bool check_network_or_unix(const char *value, struct err *err);
bool check_site_name(const char *value, struct err *err);
bool check_host_name(const char *value, struct err *err);
bool check_token(const char *value, struct err *err);
bool check_field_name(const char *value, struct err *err);
bool check_editable_field(const char *value, struct err *err);
bool check_cookie_path(const char *value, struct err *err);
bool check_date(const char *value, struct err *err);
bool check_web_url(const char *value, struct err *err);
bool check_key_pin(const char *value, struct err *err);

#endif
