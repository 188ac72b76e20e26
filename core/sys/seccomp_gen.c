/* seccomp_gen.c - writes the system call filters as C tables, at build time
 * SPDX-License-Identifier: Apache-2.0
 *
 * Usage: seccomp_gen OUTPUT [sanitized]
 *
 * Theory of operation
 *
 * The rules are in seccomp_list.h. libseccomp compiles them for the
 * architecture that it was built for; the exported program is printed as an
 * array, so that nothing is computed and no library is needed at run time.
 * The programs begin with a check of the architecture: a call of another one
 * (i386, x32) kills the process.
 */
#include <linux/filter.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/sys/seccomp_list.h"

static int complain(const char *filter, const char *what, int error)
{
	(void)fprintf(stderr, "seccomp_gen: %s: %s: %s\n", filter, what,
		      strerror(error < 0 ? -error : error));
	return -1;
}

/* Binary search over the calls, not a chain of 100 comparisons. */
#define OPTIMIZE_TREE 2

static scmp_filter_ctx new_filter(uint32_t default_action)
{
	scmp_filter_ctx ctx = seccomp_init(default_action);

	if (!ctx)
		return NULL;
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_TREE) ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
			     SCMP_ACT_KILL_PROCESS)) {
		seccomp_release(ctx);
		return NULL;
	}
	return ctx;
}

static int add_rule(scmp_filter_ctx ctx, const struct rule *rule)
{
	int nr = seccomp_syscall_resolve_name(rule->name);
	uint32_t action = rule->action == ALLOW ?
				  SCMP_ACT_ALLOW :
				  SCMP_ACT_ERRNO((uint32_t)rule->action);

	if (nr == __NR_SCMP_ERROR && rule->number > 0)
		nr = rule->number;
	if (nr == __NR_SCMP_ERROR)
		return -ENOSYS;
	/* a negative number: this architecture has no such call */
	if (nr < 0)
		return 0;
	return seccomp_rule_add_array(ctx, action, nr, rule->nconds,
				      rule->conds);
}

/* A row of sanitizers widens a plain one: the plain one must not be added. */
static bool replaced(const struct rule *rule, int filter)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if ((rules[i].filters & SANITIZED) &&
		    (rules[i].filters & filter) && &rules[i] != rule &&
		    strcmp(rules[i].name, rule->name) == 0)
			return true;
	return false;
}

static int add_rules(scmp_filter_ctx ctx, const char *name, int filter,
		     bool sanitized)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *rule = &rules[i];
		int r;

		if (!(rule->filters & filter))
			continue;
		if ((rule->filters & SANITIZED) && !sanitized)
			continue;
		if (sanitized && replaced(rule, filter))
			continue;
		r = add_rule(ctx, rule);
		if (r < 0)
			return complain(name, rule->name, r);
	}
	return 0;
}

/* Print the program that libseccomp wrote into fd. */
static int print_program(FILE *out, const char *name, int fd)
{
	struct sock_filter op;
	unsigned n = 0;

	(void)fprintf(out, "static const struct sock_filter %s_ops[] = {\n",
		      name);
	while (read(fd, &op, sizeof(op)) == (ssize_t)sizeof(op)) {
		(void)fprintf(out, "\t{ 0x%02x, %3u, %3u, 0x%08x },\n",
			      (unsigned)op.code, (unsigned)op.jt,
			      (unsigned)op.jf, (unsigned)op.k);
		n++;
	}
	if (n == 0 || n > BPF_MAXINSNS)
		return complain(name, "program size", E2BIG);
	(void)fprintf(out,
		      "};\nconst struct seccomp_prog seccomp_%s = "
		      "{ %s_ops, %u };\n\n",
		      name, name, n);
	return 0;
}

static int write_filter(FILE *out, const char *name, int filter,
			uint32_t default_action, bool sanitized)
{
	scmp_filter_ctx ctx = new_filter(default_action);
	int fd = memfd_create(name, MFD_CLOEXEC);
	int r = -1;

	if (!ctx || fd < 0) {
		complain(name, "start", ENOMEM);
	} else if (add_rules(ctx, name, filter, sanitized) == 0) {
		int e = seccomp_export_bpf(ctx, fd);

		if (e < 0)
			complain(name, "export", e);
		else if (lseek(fd, 0, SEEK_SET) == 0)
			r = print_program(out, name, fd);
	}
	if (ctx)
		seccomp_release(ctx);
	if (fd >= 0)
		(void)close(fd);
	return r;
}

int main(int argc, char **argv)
{
	bool sanitized = argc == 3 && strcmp(argv[2], "sanitized") == 0;
	FILE *out;
	int r;

	if (argc != 2 && !sanitized) {
		(void)fputs("usage: seccomp_gen OUTPUT [sanitized]\n", stderr);
		return 2;
	}
	out = fopen(argv[1], "we");
	if (!out) {
		complain(argv[1], "open", errno);
		return 1;
	}
	(void)fputs("/* Written by seccomp_gen from seccomp_list.h. */\n"
		    "#include \"core/sys/seccomp.h\"\n\n",
		    out);
	r = write_filter(out, "payload", PAYLOAD, SCMP_ACT_ALLOW, sanitized);
	if (r == 0)
		r = write_filter(out, "cut", CUT, SCMP_ACT_ALLOW, sanitized);
	if (r == 0)
		r = write_filter(out, "front", FRONT, SCMP_ACT_KILL_PROCESS,
				 sanitized);
	if (r == 0)
		r = write_filter(out, "dialer", DIALER, SCMP_ACT_KILL_PROCESS,
				 sanitized);
	if (r == 0)
		r = write_filter(out, "tls", TLS, SCMP_ACT_KILL_PROCESS,
				 sanitized);
	if (fclose(out) != 0 && r == 0)
		r = complain(argv[1], "write", errno);
	return r == 0 ? 0 : 1;
}
