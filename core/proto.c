/* proto.c - the messages between caller, keeper, front and dialer: which may come where
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/proto.h"

#include "core/base/limits.h"
#include "core/sys/nft.h"

#define ANY UINT32_MAX /* in every state of the receiver */
#define STARTING (1U << PROTO_STARTING)
#define SERVING (1U << PROTO_SERVING)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	VERSION_MAX = 64,
	ERR_MAX = 1200, /* an encoded struct err */
	EVENT_MAX = 16 << 10,
	COMMAND_MAX = LIMIT_ARGS_BYTES + 4096,
	VIEW_MAX = 4 << 20,
	WORK_MAX = 16 << 10,
	PINS_MAX = 1 << 20,
	FLUSH_LEN = 8 + 8 * NFT_REFUSALS,
};

/* {type, states, least and most bytes, least and most descriptors} */

const struct msg_rule proto_keeper_caller_rules[] = {
	{ K_OPEN, ANY, 20, VIEW_MAX, 0, MSG_FDS_MAX },
	{ K_WORK, ANY, 16, WORK_MAX, 0, 0 },
	{ K_FRESH, ANY, 4, 64, 2, 2 },
	{ K_POSTURE, ANY, 4, 4, 1, 1 },
	{ K_POSTURE_DROP, ANY, 4, 4, 0, 0 },
	{ K_POLICY, ANY, 4, 4, 1, 1 },
	{ K_PREPARE, ANY, 4, 4, 0, 0 },
	{ K_RUN, ANY, 24, COMMAND_MAX, 3, 6 },
	{ K_KILL, ANY, 8, 8, 0, 0 },
	{ K_END, ANY, 5, 5, 0, 0 },
	{ K_LIFE, ANY, 8, 8, 0, 0 },
	{ K_PAUSE, ANY, 1, 1, 0, 5 },
	{ P_PING, ANY, 0, 0, 0, 0 },
};
const size_t proto_keeper_caller_nrules = COUNT(proto_keeper_caller_rules);

const struct msg_rule proto_keeper_front_rules[] = {
	{ G_POSTURE_READY, ANY, 4, 4, 0, 0 },
};
const size_t proto_keeper_front_nrules = COUNT(proto_keeper_front_rules);

const struct msg_rule proto_keeper_dialer_rules[] = {
	{ G_POSTURE_READY, ANY, 4, 4, 0, 0 },
	{ G_PIN, ANY, 16, PINS_MAX, 0, 0 },
	{ G_STAYING, ANY, 12, PINS_MAX, 0, 0 },
};
const size_t proto_keeper_dialer_nrules = COUNT(proto_keeper_dialer_rules);

const struct msg_rule proto_front_caller_rules[] = {
	{ F_OPEN, ANY, 8, 1024, 0, 1 },
	{ P_PING, ANY, 0, 0, 0, 0 },
};
const size_t proto_front_caller_nrules = COUNT(proto_front_caller_rules);

const struct msg_rule proto_front_keeper_rules[] = {
	{ G_POSTURE, ANY, 8, 8, 1, MSG_FDS_MAX },
	{ G_POSTURE_DROP, ANY, 4, 4, 0, 0 },
	{ G_POLICY, ANY, 4, 4, 1, 1 },
	{ G_RUN, ANY, 8, 8, 0, 0 },
	{ G_FLUSH, ANY, FLUSH_LEN, FLUSH_LEN, 0, 0 },
};
const size_t proto_front_keeper_nrules = COUNT(proto_front_keeper_rules);

const struct msg_rule proto_dialer_caller_rules[] = {
	{ D_OPEN, ANY, 8, 4 << 20, 0, 0 },
	{ D_PROXY, ANY, 8, 2048, 1, 2 },
	{ P_PING, ANY, 0, 0, 0, 0 },
};
const size_t proto_dialer_caller_nrules = COUNT(proto_dialer_caller_rules);

const struct msg_rule proto_dialer_keeper_rules[] = {
	{ G_POSTURE, ANY, 8, 8, 1, 1 }, { G_POSTURE_DROP, ANY, 4, 4, 0, 0 },
	{ G_POLICY, ANY, 4, 4, 1, 1 },	{ G_POLICY_NOW, ANY, 4, 4, 0, 0 },
	{ G_PINNED, ANY, 8, 8, 0, 0 },
};
const size_t proto_dialer_keeper_nrules = COUNT(proto_dialer_keeper_rules);

/* A descriptor that finds no place costs that one connection. */
const struct msg_rule proto_dialer_tls_rules[] = {
	{ T_WRAPPED, ANY, 8, 8, 0, 1 },
};
const size_t proto_dialer_tls_nrules = COUNT(proto_dialer_tls_rules);

const struct msg_rule proto_tls_caller_rules[] = {
	{ T_OPEN, ANY, 8, 2 * LIMIT_CA_FILE + 4096, 0, 0 },
	{ P_PING, ANY, 0, 0, 0, 0 },
};
const size_t proto_tls_caller_nrules = COUNT(proto_tls_caller_rules);

const struct msg_rule proto_tls_dialer_rules[] = {
	{ T_WRAP, ANY, 4, 4, 0, 1 },
	{ T_UNWRAP, ANY, 4, 4, 0, 0 },
};
const size_t proto_tls_dialer_nrules = COUNT(proto_tls_dialer_rules);

static const struct msg_rule caller_keeper_rules[] = {
	{ P_HELLO, STARTING, 0, VERSION_MAX, 1, 1 },
	{ P_ERROR, ANY, 8, ERR_MAX, 0, 0 },
	{ P_BYE, ANY, 0, 0, 0, 0 },
	{ P_PONG, SERVING, 0, 0, 0, 0 },
	{ K_OPENED, SERVING, 0, 0, 0, 0 },
	{ K_POSTURE_READY, SERVING, 4, 4, 0, 0 },
	{ K_POSTURE_FAILED, SERVING, 8, ERR_MAX, 0, 0 },
	{ K_POLICY_SET, SERVING, 4, 4, 0, 0 },
	{ K_POLICY_FAILED, SERVING, 8, ERR_MAX, 0, 0 },
	{ K_WORK_MADE, SERVING, 0, ERR_MAX, 0, 1 },
	{ K_TTY, SERVING, 4, 4, 1, 1 },
	{ K_PAUSED, SERVING, 1, 1, 0, 0 },
	{ K_RUN_FAILED, SERVING, 8, ERR_MAX, 0, 0 },
	{ K_EXITED, SERVING, 41, 41, 0, 0 },
};

/* It parses hostile bytes: it has no say in how a run ended. */
static const struct msg_rule caller_front_rules[] = {
	{ P_HELLO, STARTING, 0, VERSION_MAX, 1, 1 },
	{ P_ERROR, ANY, 8, ERR_MAX, 0, 0 },
	{ P_BYE, ANY, 0, 0, 0, 0 },
	{ P_PONG, SERVING, 0, 0, 0, 0 },
	{ F_FLUSHED, SERVING, 4, 4, 0, 0 },
	{ F_EVENT, SERVING, 1, EVENT_MAX, 0, 0 },
};

static const struct msg_rule caller_dialer_rules[] = {
	{ P_HELLO, STARTING, 0, VERSION_MAX, 1, 1 },
	{ P_ERROR, ANY, 8, ERR_MAX, 0, 0 },
	{ P_BYE, ANY, 0, 0, 0, 0 },
	{ P_PONG, SERVING, 0, 0, 0, 0 },
};

const struct proto_table proto_caller_tables[4] = {
	{ caller_keeper_rules, COUNT(caller_keeper_rules) },
	{ caller_front_rules, COUNT(caller_front_rules) },
	{ caller_dialer_rules, COUNT(caller_dialer_rules) },
	/* it says no more than the dialer does */
	{ caller_dialer_rules, COUNT(caller_dialer_rules) },
};
