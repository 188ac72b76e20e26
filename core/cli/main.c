/* main.c - exeat: the command
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/options.h"
#include "core/include/exeat.h"

/* the sandbox failed; and no 0, 1 or 2 of the other commands */
enum { EXIT_CANNOT_BEGIN = 125 };

const struct cli_option cli_no_options[] = { { .type = CLI_END } };

const struct cli_command cli_commands[] = {
	{ "run", "[--] CMD [ARG...]",
	  "Run one command in a session of its own.",
	  "The exit status is the command's; 128+N for signal N; 124 time-out; "
	  "123 with --fail-on-deny when something was refused and the command "
	  "succeeded; 125 the sandbox failed; 126, 127 as a shell. Options end "
	  "at CMD.",
	  cli_run_options, 125, cli_run },
	{ "policy check", "[FILE]",
	  "Is a policy valid? Prints its canonical form.",
	  "Warns on standard error of rules that open more than they seem to: "
	  "hosts where anybody can have a name or leave data, wide ranges, all "
	  "ports; a budget (--max-upload, --max-download) for such a host "
	  "quiets it. Exits 0 if the policy is valid, 1 if not, or, with "
	  "--strict, if there are warnings, 2 on wrong usage.",
	  cli_policy_check_options, 2, cli_policy_check },
	{ "policy test", "TARGET...", "Would these targets pass, and why?",
	  "A target is NAME, NAME:PORT, ADDRESS:PORT, [V6]:PORT, with udp/ or "
	  "tcp/ before it, or a URL. Exits 0 if all pass, 1 if one does not, 2 "
	  "on wrong usage, 3 if the policy is not valid.",
	  &cli_policy_check_options[1], 2, cli_policy_test },
	{ "policy presets", "[NAME]",
	  "What the presets stand for on this machine.", NULL, cli_no_options,
	  2, cli_policy_presets },
	{ "audit verify", "FILE...", "Is an audit as it was written?",
	  "Follows the chain of each session (exeat-audit(5) says what that "
	  "proves) and names each line that does not fit. FILE - is standard "
	  "input: the pieces of one audit are verified together. Exits 0 if "
	  "all are whole, 1 if one is broken, 2 on wrong usage, 3 if that "
	  "cannot be told: a session has no end, or a file cannot be read or "
	  "has no records.",
	  cli_audit_verify_options, 2, cli_audit_verify },
	{ "doctor", "",
	  "Can sessions run here? Every needed feature, and the remedy.",
	  "Exits 0 if nothing is missing, 1 otherwise.", cli_no_options, 2,
	  cli_doctor },
	{ "selftest", "[ROW...]",
	  "Does it hold here? Tries the attack suite, offline.",
	  "Each row is one thing that a command might try to get out, or that "
	  "must get through. Three witnesses judge it, in namespaces of its "
	  "own: the program inside, a sniffer outside, the audit. It takes "
	  "under a minute and needs neither root nor a network, but python3, "
	  "openssl and iproute2. ROW is a number as --list shows it. Exits 0 "
	  "if all held, 1 if one did not, 2 on wrong usage, 3 if that cannot "
	  "be told; it names what is missing.",
	  cli_selftest_options, 2, cli_selftest },
	{ .name = NULL },
};

/* The words of a command's name that argv begins with; 0: another one. */
static int matches(const struct cli_command *c, int argc, char *argv[])
{
	const char *name = c->name;
	int words = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (words + 1 >= argc || strlen(argv[words + 1]) != len ||
		    memcmp(argv[words + 1], name, len) != 0)
			return 0;
		words++;
		name += len;
		name += *name == ' ';
	}
	return words;
}

/* A word that commands begin with, or NULL. */
static const char *group(const char *word)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (word && cli_is_of(c, word))
			return word;
	return NULL;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* exeat help [COMMAND...] */
static int help(int argc, char *argv[])
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (argc < 2 || matches(c, argc, argv) != argc - 1)
			continue;
		cli_help(c);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || (argc == 2 && !group(argv[1]))) {
		cli_usage(stderr, NULL);
		return 2;
	}
	cli_usage(stdout, argv[1]);
	return EXIT_SUCCESS;
}

/* A standard descriptor that is closed stays so to all who use it: who reads or
 * writes gets EBADF. But its number is taken, else it would be that of one of
 * ours, which the command would have as its own. */
static int hold_closed(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null",
			 fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return -1;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (hold_closed() < 0)
		return EXIT_CANNOT_BEGIN;
	(void)sigaction(SIGPIPE, &ignore, NULL);
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		int words = matches(c, argc, argv);

		if (words)
			return c->main(c, argc - words, argv + words);
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("exeat %s\n", exeat_version());
		return EXIT_SUCCESS;
	}
	if ((argc == 3 || argc == 4) && strcmp(argv[1], "manual") == 0)
		return cli_manual(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "completion") == 0) {
		cli_completion();
		return EXIT_SUCCESS;
	}
	if (argc >= 2 && (is_help(argv[1]) || strcmp(argv[1], "help") == 0))
		return help(argc - 1, argv + 1);
	/* of commands that begin with a word */
	if (argc == 3 && is_help(argv[2]) && group(argv[1]))
		return help(argc - 1, argv);
	cli_usage(stderr, group(argv[1]));
	return 2;
}
