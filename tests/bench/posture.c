/* posture.c - how long a posture takes: namespace, sockets, rules, a pin
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prints medians in microseconds. Needs user namespaces, no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/netns.h"
#include "core/sys/nft.h"

enum { ROUNDS = 201 };

enum part { NETNS, SOCKETS, LOAD, WHOLE, PIN, REFUSE4, REFUSE6, PARTS };

static const char *const names[PARTS] = {
	[NETNS] = "namespace",
	[SOCKETS] = "gate sockets",
	[LOAD] = "rules",
	[WHOLE] = "these together",
	[PIN] = "pin, one address and two ports",
	[REFUSE4] = "refused connect(), IPv4",
	[REFUSE6] = "refused connect(), IPv6",
};

static const char *const modes[] = {
	[POLICY_BLOCKED] = "blocked",
	[POLICY_ALLOWLIST] = "allowlist",
	[POLICY_OPEN] = "open",
};

static int64_t samples[PARTS][ROUNDS];

static void must(int r, const struct err *err)
{
	char text[1024];

	if (r >= 0)
		return;
	fprintf(stderr, "%s\n", err_str(err, text, sizeof(text)));
	exit(1);
}

static int64_t lap(int64_t *since)
{
	int64_t now = clock_us(), took = now - *since;

	*since = now;
	return took;
}

static void refused(const char *text)
{
	struct endpoint to = { .port = 443 };
	struct sockaddr_storage ss;
	socklen_t len;
	cleanup_fd int fd = -1;

	(void)addr_parse(&text, &to.addr);
	len = endpoint_to_sockaddr(&to, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (void *)&ss, len) == 0 || errno != ECONNREFUSED) {
		fprintf(stderr, "connect: %s\n", strerror(errno));
		exit(1);
	}
}

static void measure(int round, const struct plan *plan)
{
	struct err err = { .code = ERR_NONE };
	struct nft_pin pins[] = {
		{ .proto = RULE_TCP, .range = { 80, 80 } },
		{ .proto = RULE_TCP, .range = { 443, 443 } },
	};
	struct gate_sockets gate;
	struct nft *nft;
	cleanup_fd int ns = -1;
	int64_t t = clock_us();

	must(netns_new(&ns, &err), &err);
	samples[NETNS][round] = lap(&t);
	must(gate_sockets_open(&gate, &err), &err);
	samples[SOCKETS][round] = lap(&t);
	must(nft_open(&nft, &err), &err);
	must(nft_load(nft, plan, &err), &err);
	samples[LOAD][round] = lap(&t);
	samples[WHOLE][round] = samples[NETNS][round] +
				samples[SOCKETS][round] + samples[LOAD][round];
	pins[0].addr = pins[1].addr = addr_from_v4(0xcb007109);
	if (plan->names)
		must(nft_pin(nft, pins, 2, 3600, &err), &err);
	samples[PIN][round] = lap(&t);
	refused("169.254.169.254");
	samples[REFUSE4][round] = lap(&t);
	refused("fd00:ec2::254");
	samples[REFUSE6][round] = lap(&t);
	nft_free(nft);
	gate_sockets_close(&gate);
}

static int compare(const void *x, const void *y)
{
	const int64_t *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

static int enter(void)
{
	char map[32];
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWUSER))
		return -errno;
	(void)snprintf(map, sizeof(map), "0 %u 1\n", uid);
	if (fd_write_file(AT_FDCWD, "/proc/self/uid_map", map) ||
	    fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny"))
		return -EPERM;
	(void)snprintf(map, sizeof(map), "0 %u 1\n", gid);
	return fd_write_file(AT_FDCWD, "/proc/self/gid_map", map);
}

static void report(void)
{
	for (int p = 0; p < PARTS; p++) {
		qsort(samples[p], ROUNDS, sizeof(samples[p][0]), compare);
		printf("  %-32s %6ld us\n", names[p],
		       (long)samples[p][ROUNDS / 2]);
	}
}

int main(void)
{
	int r = enter();

	if (r) {
		fprintf(stderr, "SKIP: no user namespace: %s\n", strerror(-r));
		return 77;
	}
	for (enum policy_mode m = POLICY_BLOCKED; m <= POLICY_OPEN; m++) {
		struct plan plan = {
			.mode = m,
			.names = m != POLICY_BLOCKED,
		};

		for (int i = 0; i < ROUNDS; i++)
			measure(i, &plan);
		printf("%s\n", modes[m]);
		report();
	}
	return 0;
}
