/* limits.h - every limit of every table, buffer, queue and wait, in one place
 * SPDX-License-Identifier: Apache-2.0
 *
 * Units are in the names. What happens at a limit stands beside it.
 */
#ifndef EXEAT_BASE_LIMITS_H
#define EXEAT_BASE_LIMITS_H

#include <stdint.h>

enum {
	/* names (RFC 1035 2.3.4) */
	LIMIT_NAME = 253,		/* characters, no trailing dot */
	LIMIT_LABEL = 63,

	/* policy: over it, compile fails with ERR_LIMIT */
	LIMIT_RULES = 1000000,
	LIMIT_RULE_TEXT = 512,		/* characters of one rule */
	LIMIT_RULE_PORTS = 16,		/* items in a port list */
	LIMIT_PORT_GROUPS = 64,		/* distinct port lists of a policy */
	LIMIT_BUDGETS = 256,		/* also of all policies of a session */
	LIMIT_POLICY_FILE = 64 << 20,	/* bytes */

	/* sessions and runs: over it, the call fails with ERR_LIMIT */
	LIMIT_POSTURES = 32,		/* idle ones go least recently used */
	LIMIT_RUNS = 1024,		/* alive at a time in a session */
	LIMIT_SPARES = 32,		/* children made for runs to come; what comes
					 * beside them makes its own */
	LIMIT_SPARE_IDLE_MS = 10000,	/* no run for that long: most go */
	LIMIT_FLUSH_MS = 5000,		/* front tells a run's refusals: else the
					 * session ends */
	LIMIT_SESSION_GRACE_MS = 10000,	/* its time is up: from TERM to KILL */
	LIMIT_SESSION_LAST_MS = 2000,	/* after that, to hear of it */
	LIMIT_SILENT_MS = 60000,	/* a helper says nothing, while something
					 * is awaited: the session ends */
	LIMIT_HELLO_MS = 2000,		/* at close: to say who they are, and */
	LIMIT_LAST_MS = 2000,		/* to finish; then they are killed */
	LIMIT_KILL_MS = 10000,		/* which the kernel may put off (a file
					 * system that hangs): close goes on */
	LIMIT_PAUSE_MS = 30000,		/* every process stands still: else the
					 * call fails */
	LIMIT_POLICY_MS = 30000,	/* a new policy is in force: likewise */
	LIMIT_SESSION_LABEL = 255,	/* bytes */
	LIMIT_REFUSALS = 64,		/* kept in one result */
	LIMIT_ARGS_BYTES = 4 << 20,	/* argv and envp of one run */

	/* the gate, per session: over it, accept pauses or the one
	 * connection, flow or query is refused */
	LIMIT_FLOWS = 4096,
	LIMIT_FLOW_NAMES = 32,		/* of one HTTP/2 connection: with more it ends
					 * when the policy changes */
	LIMIT_UDP_FLOWS = 1024,		/* a silent one gives way first */
	LIMIT_DNS_QUERIES = 1024,	/* in flight */
	LIMIT_DNS_TCP = 64,		/* open DNS connections */
	LIMIT_FD_RESERVE = 32,		/* accept pauses below it */
	LIMIT_PEEK_BYTES = 64 << 10,	/* ClientHello or HTTP head */
	LIMIT_PEEK_MS = 5000,		/* first bytes, name rules on 80/443 */
	LIMIT_SERVER_FIRST_MS = 300,	/* silence, then the pin decides */
	LIMIT_PROXY_IDLE_MS = 60000,	/* a proxy's client between requests */
	LIMIT_DIAL_MS = 30000,
	LIMIT_KEEPALIVE_S = 60,		/* a silent target is probed: what a
					 * payload sends for that ends at us,
					 * and a NAT would forget the flow */
	LIMIT_WRAP_MS = 10000,		/* TLS handshake of the caller's proxy */
	LIMIT_WRAP_FLUSH_MS = 5000,	/* its last bytes, where it broke off */
	LIMIT_CA_FILE = 4 << 20,	/* bytes; over it, open fails */
	LIMIT_HE_DELAY_MS = 250,	/* RFC 8305 5 */
	LIMIT_HE_PROXY_MS = 3000,	/* the same, asking a proxy */
	LIMIT_SYNTH = 32768,		/* names with a synthetic address, of one
					 * posture; the least recently used go */
	LIMIT_UDP_IDLE_MS = 60000,
	LIMIT_UDP_SPARE_MS = 2000,	/* silent for that long: gives way */
	LIMIT_RELAY_CHUNK = 256 << 10,	/* bytes of one copy */
	LIMIT_CNAME_CHAIN = 12,
	LIMIT_DNS_ADDRS = 32,		/* of one answer; the rest is cut */
	LIMIT_TTL_MIN_S = 5,
	LIMIT_TTL_MAX_S = 300,
	LIMIT_PIN_S = 3600,
	LIMIT_PINS = 65536,		/* of one posture */
	LIMIT_DNS_UPSTREAM_MS = 5000,
	LIMIT_DNS_FAILED_MS = 1000,	/* a failure is kept (RFC 9520 3.2) */

	/*
	 * What a payload may say in names that it makes up, per posture: over
	 * it, new names are refused until others have not been asked for during
	 * the window. A page of a shop or a news site asks for some 60 names
	 * below a CDN's wildcard, a package manager for less than ten; none of
	 * them comes near. 27 bytes a second are left to a tunnel.
	 */
	LIMIT_DNS_WINDOW_S = 600,
	LIMIT_DNS_NAMES = 256,		/* different ones of a wildcard rule */
	LIMIT_DNS_NAME_BYTES = 16 << 10, /* what stands for the wildcard */
	LIMIT_DNS_NAMES_ALL = 8192,	/* of all wildcards together */
	/* questions that go upstream; what is kept costs nothing. A browser
	 * that opens all tabs of yesterday asks for a few hundred at once */
	LIMIT_DNS_RATE_S = 200,		/* of one posture */
	LIMIT_DNS_BURST = 2000,
	LIMIT_DNS_SESSION_RATE_S = 400,
	LIMIT_DNS_SESSION_BURST = 4000,
	LIMIT_DNS_TOLD_MS = 5000,	/* refusals at limits: one record */

	/* kernel log of refusals, per posture */
	LIMIT_NFLOG_RATE_S = 100,	/* packets logged a second */
	LIMIT_NFLOG_BURST = 200,

	/* messages */
	LIMIT_CHAN_QUEUE = 8 << 20,	/* bytes waiting in one chan */

	/* audit */
	LIMIT_AUDIT_TEXT = 1024,	/* bytes of one untrusted field */
	LIMIT_AUDIT_SESSIONS = 1 << 18,	/* of one file that is verified; with
					 * more it cannot be told */
};

/* What an option may name: more, or less, is not what anybody means. */
#define LIMIT_TIME_MS INT64_C(315576000000) /* ten years */
#define LIMIT_MEMORY_MIN (UINT64_C(1) << 20) /* of a memory, of a disk */
#define LIMIT_MEMORY_MAX (UINT64_C(1) << 50)

#endif
