#include "pki/ask.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sv.h"
#include "pki/show.h"

enum { ANSWER_MAX = 4096 };

/* A line without its end, trimmed, in the arena; NULL with err set. */
static const char *
read_answer(struct pki *p)
{
	char line[ANSWER_MAX];

	(void)fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL) {
		err_set(&p->err, "the answers have ended before the questions");
		return NULL;
	}
	struct sv text = sv_cstr(line);
	if (!sv_ends(text, SV("\n")) && text.n + 1 == sizeof(line)) {
		err_set(&p->err, "an answer is too long");
		return NULL;
	}
	while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	text = sv_trim(text);
	if (!isatty(STDIN_FILENO))
		(void)printf("%.*s\n", SV_FMT(text)); /* what came shall be seen beside what was asked */
	const char *answer = arena_copy(&p->arena, text);
	if (answer == NULL)
		err_no_memory(&p->err);
	return answer;
}

bool
ask_text(struct pki *p, const char *question, const char *preset, ask_check check, const char **out)
{
	for (;;) {
		(void)printf("%s [%s]: ", question, preset);
		const char *answer = read_answer(p);
		if (answer == NULL)
			return false;
		*out = answer[0] == '\0' ? preset : answer;
		if (check == NULL || check(p, *out))
			return true;
		if (!isatty(STDIN_FILENO))
			return false;
		(void)fputs("  ", stdout);
		show_message(stdout, p->err.text);
		p->err.text[0] = '\0';
	}
}

static bool
is_yes_or_no(struct pki *p, const char *answer)
{
	static const char *const words[] = {"yes", "y", "no", "n"};

	for (size_t i = 0; i < COUNTOF(words); i++)
		if (sv_ieq(sv_cstr(answer), sv_cstr(words[i])))
			return true;
	return err_set(&p->err, "\"%s\": yes or no is wanted", answer);
}

bool
ask_yes(struct pki *p, const char *question, bool preset, bool *out)
{
	const char *answer;

	if (!ask_text(p, question, preset ? "yes" : "no", is_yes_or_no, &answer))
		return false;
	*out = ascii_lower(answer[0]) == 'y';
	return true;
}

static bool
is_digit(struct pki *p, const char *answer)
{
	return (answer[0] >= '1' && answer[0] <= '9' && answer[1] == '\0') ||
	    err_set(&p->err, "\"%s\": the number of one of them is wanted", answer);
}

bool
ask_choice(struct pki *p, const char *question, const char *const *choices, size_t n, size_t preset, size_t *out)
{
	char shown[2] = {(char)('1' + preset), '\0'};
	const char *answer;

	for (size_t i = 0; i < n; i++)
		(void)printf("  %zu  %s\n", i + 1, choices[i]);
	for (;;) {
		if (!ask_text(p, question, shown, is_digit, &answer))
			return false;
		*out = (size_t)(answer[0] - '1');
		if (*out < n)
			return true;
		err_set(&p->err, "%s: there are only %zu", answer, n);
		if (!isatty(STDIN_FILENO))
			return false;
		(void)fputs("  ", stdout);
		show_message(stdout, p->err.text);
		p->err.text[0] = '\0';
	}
}
