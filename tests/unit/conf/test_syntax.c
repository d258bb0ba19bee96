/* Text that is not JSON, and what may stand in it besides JSON. */
#include <criterion/criterion.h>

#include "try.h"

TRY_SUITE(conf_syntax);

static const struct try_fault faults[] = {
	{"", "c.json: holds nothing; an object { … } is expected\n"},
	{" \n\t\r\n", "c.json: holds nothing; an object { … } is expected\n"},
	{"// nothing\n# here\n/* but */\n", "c.json: holds nothing; an object { … } is expected\n"},
	{"\n [ 1 ]", "c.json:2:2: a list, where an object { … } is expected\n"},
	{"\"x\"", "c.json:1:1: '\"x\"' stands where a value is expected\n"},
	{"{ \"user\": www }", "c.json:1:11: www is no value; strings and keys stand in double quotes\n"},
	{"{ \"user\": 'www' }", "c.json:1:11: 'www' is no value; strings and keys stand in double quotes\n"},
	{"{ user: \"www\" }", "c.json:1:3: user is no value; strings and keys stand in double quotes\n"},
	{"{ \"a\": 1, }", "c.json:1:9: a comma with nothing after it; remove it\n"},
	{"{ \"a\": [ 1,\n2,\n] }", "c.json:2:2: a comma with nothing after it; remove it\n"},
	{"{ \"a\": 1\n  \"b\": 2 }", "c.json:2:3: a comma is missing before this\n"},
	{"{ \"a\": [ 1 2 ] }", "c.json:1:12: a comma is missing before this\n"},
	{"{ \"a\": \"x\" \"y\" }", "c.json:1:12: a comma is missing before this\n"},
	{"{ \"a\" 1 }", "c.json:1:7: a colon is missing before this, after its key\n"},
	{"{ \"a\" }", "c.json:1:7: a colon is missing before this, after its key\n"},
	{"{ \"a\": }", "c.json:1:8: '}' stands where a value is expected\n"},
	{"{ , }", "c.json:1:3: ',' stands where a key in double quotes is expected\n"},
	{"{ \"a\": [\n  1,\n  2\n", "c.json:1:8: this [ is never closed\n"},
	{"{\n  \"a\": {\n    \"b\": 1\n  }\n", "c.json:1:1: this { is never closed\n"},
	{"{ \"a\": [\n{ \"b\": 1 ] }", "c.json:2:10: ] can not close the { of line 2\n"},
	{"{ \"a\": 1 ] }", "c.json:1:10: ] can not close the { of line 1\n"},
	{"{ \"a\": {} } }", "c.json:1:13: something follows the closing bracket of the whole; is a bracket before it one too many?\n"},
	{"{\n\"a\": \"x\ny\" }", "c.json:2:6: this string has no closing quote in its line\n"},
	{"{\n\"a\": \"x", "c.json:2:6: this string has no closing quote\n"},
	{"{ \"path\": \"^/a\\.b\" }", "c.json:1:15: JSON knows no such escape; a backslash itself is written twice: \"\\\\.\"\n"},
	{"{ \"a\": \"x\ty\" }", "c.json:1:10: a control character can not stand in a string; a tab is written \\t\n"},
	{"{ \"a\": \"x\xffy\" }", "c.json:1:10: not UTF-8; save the file in that encoding\n"},
	{"{ \"a\": \"\\u0000\" }", "c.json:1:8: \\u0000 can not stand in a string\n"},
	{"{ \"a\": \"\\ud800\" }", "c.json:1:8: half of a surrogate pair can not stand in a string\n"},
	{"{ \"a\": 123456789012345678901234567890 }", "c.json:1:8: this number is too large\n"},
	{"{ \"a\": 1e999 }", "c.json:1:8: this number is too large\n"},
	{"{ \"a\": 01 }", "c.json:1:8: 01 is no number as JSON writes them\n"},
	{"{ \"a\": 1; }", "c.json:1:8: 1; is no number as JSON writes them\n"},
	{"{ \"user\": \"a\",\n  \"user\": \"b\" }", "c.json:2:3: \"user\" is given twice in one object; keep one\n"},
	{"{ \"a\": 1 } /* open\n", "c.json:1:12: this comment is never closed; end it with */\n"},
	{"{ \"a\": 1 / }", "c.json:1:10: / is no value; strings and keys stand in double quotes\n"},
	{"{ \x1b[31m }", "c.json:1:3: ? is no value; strings and keys stand in double quotes\n"},
	/* A character is one column, however many bytes it has. */
	{"{ \"ü\": \"é\", x }", "c.json:1:13: x is no value; strings and keys stand in double quotes\n"},
	{"{ /* ü */ x }", "c.json:1:11: x is no value; strings and keys stand in double quotes\n"},
	{"{ \"a\": 1,\r\n  x }", "c.json:2:3: x is no value; strings and keys stand in double quotes\n"},
	{"\xef\xbb\xbf{ x }", "c.json:1:3: x is no value; strings and keys stand in double quotes\n"},
};

Test(conf_syntax, faults)
{
	try_faults(&t, "", faults, COUNTOF(faults), "");
}

Test(conf_syntax, a_zero_byte)
{
	try_write_bytes(&t, "c.json", "{ \"a\":\n \0 1 }", 13);
	try_load(&t, "c.json");
	cr_expect_str_eq(t.text, "c.json:2:2: a zero byte; this is no text in UTF-8: save it in that encoding\n");
}

Test(conf_syntax, comments)
{
	try_text(&t, "// a line\n"
		     "# another\n"
		     "/* a block with \"quotes\" { [\n and lines **/\n"
		     TRY_BEGIN
		     "\"user\": /* inside */ \"www\", // behind \"this\": 1,\n"
		     "\"group\": \"a//b/*c*/#d\", # strings stay\n"
		     "\"pid_file\": \"/\\\"//x\" /**/ } // at the end, without a newline");
	cr_assert_str_eq(t.text, "");
	cr_expect_str_eq(t.conf->user, "www");
	cr_expect_str_eq(t.conf->group, "a//b/*c*/#d");
	cr_expect_str_eq(t.conf->pid_file, "/\"//x");
}

Test(conf_syntax, places_behind_comments)
{
	try_text(&t, TRY_BEGIN "/* two\r\nlines: ü */ \"usr\": 1, // ü\r\n  \"gruop\": 2 }");
	cr_expect_str_eq(t.text, "c.json:3:13: usr: unknown key; did you mean \"user\"?\n"
				 "c.json:4:3: gruop: unknown key; did you mean \"group\"?\n");
}

Test(conf_syntax, byte_order_mark_and_crlf)
{
	try_text(&t, "\xef\xbb\xbf{ \"listeners\": [ { \"address\": \"*:80\",\r\n \"redirect\": \"https\" } ] }\r\n");
	cr_expect_str_eq(t.text, "");
	cr_expect_eq(t.conf->listeners[0].at.line, 1);
	cr_expect_eq(t.conf->listeners[0].at.column, 18);
}

Test(conf_syntax, nesting_is_bounded)
{
	char text[8192] = "{ \"user\": ";
	size_t n = strlen(text);

	/* 31 lists in the whole: the reader refuses the first; one more: the text is refused. */
	memset(text + n, '[', 31);
	memset(text + n + 31, ']', 31);
	memcpy(text + n + 62, "}", 2);
	try_text(&t, text);
	cr_expect_str_eq(t.text, "c.json:1:11: user: expected a string, not a list; write \"bascule\"\n"
				 "c.json: listeners: there is none: say where clients connect, as in \"listeners\": [ { \"address\": "
				 "\"*:443\", \"tls\": true } ]\n");
	memset(text + n, '[', 32);
	memset(text + n + 32, ']', 32);
	memcpy(text + n + 64, "}", 2);
	try_text(&t, text);
	cr_expect_str_eq(t.text, "c.json:1:42: user[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]"
				 "[0]: objects and lists stand more than 32 deep in each other\n");
	memset(text + n, '[', 4000);
	memcpy(text + n + 4000, "", 1);
	try_text(&t, text);
	cr_expect_str_eq(t.text, "c.json:1:2058: objects and lists stand too deep in each other\n");
}

/* Every byte replaced by each of those that mean something: nothing crashes, and all refusals say why. */
Test(conf_syntax, mutations)
{
	static const char whole[] =
	    "{ \"listeners\": [ { \"address\": \"*:443\", \"tls\": true } ], // x\n\"bundles\": { \"b\": { \"combined\": \"b.pem\" } },\n"
	    "\"sites\": [ { \"names\": [ \"a.b\", \"*.b\" ], \"bundle\": \"b\", \"routes\": [ { \"path\": \"\\\\d\", \"headers\": { \"X\": \"y\" },"
	    " \"upstream\": \"u\" } ], \"upstream\": \"u\", \"timeouts\": { \"head\": \"1s\" } } ],\n"
	    "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\", { \"address\": \"[::1]:2\", \"weight\": 2 } ], \"tls\": {}, \"sticky\": {} } } }";
	static const char bytes[] = "{}[]\",:/*#\\1a \n\x80";
	char text[sizeof(whole)];

	try_text(&t, whole);
	cr_assert_str_eq(t.text, "");
	for (size_t i = 0; i + 1 < sizeof(whole); i++) {
		for (size_t j = 0; j < sizeof(bytes); j++) {
			memcpy(text, whole, sizeof(whole));
			text[i] = bytes[j];
			try_write_bytes(&t, "c.json", text, sizeof(text) - 1);
			try_load(&t, "c.json");
			if (t.conf == NULL)
				cr_assert_eq(strncmp(t.text, "c.json", 6), 0, "%s: %s", text, t.text);
		}
	}
}
