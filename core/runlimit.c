/* runlimit.c - what runs may use: which limits there are, and who keeps them
 * SPDX-License-Identifier: Apache-2.0
 *
 * A limit that was asked for is kept by a cgroup or it is an error. Only where
 * best effort was asked for is there something less: limits of each process
 * (setrlimit(2)), and fewer processors; of a work dir that is the host's, its
 * files are counted when a run begins. The result says which.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/fd.h"
#include "core/session.h"
#include "core/sys/command.h"

#define RUN_LIMITS (EXEAT_LIMIT_MEMORY | EXEAT_LIMIT_CPUS | EXEAT_LIMIT_PIDS)

/* An option, by the kind that it is a limit of. */
static const struct {
	const char *name;
	unsigned bit;	    /* of best_effort */
	const char *effort; /* what keeps it then */
} kinds[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = { "memory", EXEAT_LIMIT_MEMORY, "rlimit" },
	[CGROUP_CPU] = { "cpus", EXEAT_LIMIT_CPUS, "affinity" },
	[CGROUP_PIDS] = { "pids", EXEAT_LIMIT_PIDS, "rlimit" },
};

enum {
	CPUS_MAX = 8192,     /* more no kernel is made for (CONFIG_NR_CPUS) */
	PIDS_MAX = 4 << 20,  /* PID_MAX_LIMIT of Linux */
	OPEN_FILES_MIN = 16, /* what a command needs until it is executed */
};

static uint64_t limit_of(const struct cgroup_limits *l, int kind)
{
	return kind == CGROUP_MEMORY ? l->memory :
	       kind == CGROUP_CPU    ? l->cpu_millis :
				       l->pids;
}

static int invalid(struct err *err, const char *what, const char *why)
{
	return err_new(err, ERR_INVALID, "limit", what, "%s", why);
}

static int limits_take(uint64_t memory, double cpus, uint64_t pids,
		       struct cgroup_limits *ret, struct err *err)
{
	if (memory != 0 &&
	    (memory < LIMIT_MEMORY_MIN || memory > LIMIT_MEMORY_MAX))
		return invalid(err, "memory_bytes", "from 1 MiB to 1 PiB");
	/* also what is no number */
	if (!(cpus >= 0 && cpus <= CPUS_MAX) || (cpus > 0 && cpus < 0.01))
		return invalid(err, "cpus", "from 0.01 to 8192");
	if (pids > PIDS_MAX)
		return invalid(err, "pids", "at most 4194304");
	*ret = (struct cgroup_limits){
		.memory = memory,
		.cpu_millis = (uint64_t)(cpus * 1000 + 0.5),
		.pids = pids,
	};
	return 0;
}

static int effort_check(unsigned best_effort, unsigned known, struct err *err)
{
	return best_effort & ~known ?
		       invalid(err, "limits_best_effort", "no such limit") :
		       0;
}

/* What setrlimit(2) may raise nobody here can. */
static int within(int resource, uint64_t wanted, const char *name,
		  struct err *err)
{
	struct rlimit own;

	if (getrlimit(resource, &own) < 0)
		return err_sys(err, errno, "read limit", "%s", name);
	if (wanted <= own.rlim_max)
		return 0;
	return err_new(err, ERR_INVALID, "limit", name,
		       "more than the caller's own hard limit, %llu",
		       (unsigned long long)own.rlim_max);
}

static int rlimits_check(const struct exeat_run_options *o, struct err *err)
{
	if (o->open_files != 0 && o->open_files < OPEN_FILES_MIN)
		return invalid(err, "open_files", "at least 16");
	return within(RLIMIT_FSIZE, o->file_size_bytes, "file_size_bytes",
		      err) < 0 ?
		       -EINVAL :
		       within(RLIMIT_NOFILE, o->open_files, "open_files", err);
}

/* The session's group, made when first asked for. */
static int group_open(struct exeat_session *s, struct err *err)
{
	int r;

	if (s->cgroup_tried)
		return 0;
	r = cgroup_open(s->id, &s->cgroup, err);
	s->cgroup_tried = r == 0;
	return r;
}

/* Every limit has a keeper; *ret says whether a group is one of them. */
static int keepers(struct exeat_session *s, const struct cgroup_limits *l,
		   unsigned best_effort, bool *ret, struct err *err)
{
	int r = 0;

	*ret = false;
	for (int k = 0; r == 0 && k < CGROUP_KINDS; k++) {
		if (limit_of(l, k) == 0)
			continue;
		r = group_open(s, err);
		if (r == 0 && s->cgroup.kinds & 1U << k)
			*ret = true;
		else if (r == 0 && !(best_effort & kinds[k].bit))
			r = cgroup_need(&s->cgroup, (enum cgroup_kind)k, err);
	}
	return r;
}

int limits_open(struct exeat_session *s, const struct exeat_session_options *o,
		struct err *err)
{
	bool grouped = false;
	int r = limits_take(o->memory_bytes, o->cpus, o->pids, &s->limits, err);

	if (r == 0)
		r = effort_check(o->limits_best_effort,
				 RUN_LIMITS | EXEAT_LIMIT_DISK, err);
	s->best_effort = o->limits_best_effort;
	if (r == 0)
		r = keepers(s, &s->limits, s->best_effort, &grouped, err);
	if (r == 0 && grouped)
		r = cgroup_limit(&s->cgroup, &s->limits, err);
	return r;
}

void limits_close(struct exeat_session *s)
{
	(void)cgroup_close(&s->cgroup);
	(void)cgroup_close(&s->freezer);
}

/* ---- a run ---- */

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Where no group keeps it: in the command, which the payload applies. */
static void best_effort(const struct exeat_session *s,
			const struct cgroup_limits *own, struct command *c)
{
	struct cgroup_limits l = {
		.memory = lower(own->memory, s->limits.memory),
		.cpu_millis = lower(own->cpu_millis, s->limits.cpu_millis),
		.pids = lower(own->pids, s->limits.pids),
	};
	unsigned kept = s->cgroup.kinds;

	if (l.memory && !(kept & 1U << CGROUP_MEMORY))
		c->rlimit_as = l.memory;
	if (l.pids && !(kept & 1U << CGROUP_PIDS))
		c->rlimit_nproc = l.pids;
	if (l.cpu_millis && !(kept & 1U << CGROUP_CPU))
		c->cpus = (uint32_t)((l.cpu_millis + 999) / 1000);
}

static void say_who(struct exeat_run *run, const struct cgroup_limits *own)
{
	const struct exeat_session *s = run->session;
	const char *who[CGROUP_KINDS];

	for (int k = 0; k < CGROUP_KINDS; k++)
		who[k] = limit_of(own, k) == 0 && limit_of(&s->limits, k) == 0 ?
				 "" :
			 s->cgroup.kinds & 1U << k ? "cgroup" :
						     kinds[k].effort;
	run->result.memory_enforced = who[CGROUP_MEMORY];
	run->result.cpus_enforced = who[CGROUP_CPU];
	run->result.pids_enforced = who[CGROUP_PIDS];
	run->result.disk_enforced = s->disk_bytes == 0 ? "" :
				    s->work.mount >= 0 ? "tmpfs" :
							 "rlimit";
}

/*
 * Of the host's own folder nobody keeps how much is in it: no file gets larger
 * than what is left of that when its run begins.
 */
static int disk_run(const struct exeat_session *s, struct command *c,
		    struct err *err)
{
	uint64_t used = 0;
	int r;

	if (s->disk_bytes == 0 || s->work.mount >= 0 || s->disk_spared)
		return 0;
	r = workdir_measure(&s->work, &used, err);
	if (r < 0)
		return r;
	if (used >= s->disk_bytes) {
		r = err_new(err, ERR_LIMIT, "limit", "disk",
			    "%" PRIu64 " bytes are in the work dir already",
			    used);
		err_remedy(err, "remove some of it, or allow more");
		return r;
	}
	c->rlimit_fsize = lower(c->rlimit_fsize, s->disk_bytes - used);
	return 0;
}

int limits_run(struct exeat_run *run, const struct exeat_run_options *o,
	       struct command *c, int ret_fds[CGROUP_KINDS], struct err *err)
{
	struct exeat_session *s = run->session;
	struct cgroup_limits own = { 0 };
	bool grouped = false;
	int r = limits_take(o->memory_bytes, o->cpus, o->pids, &own, err);

	if (r == 0)
		r = effort_check(o->limits_best_effort, RUN_LIMITS, err);
	if (r == 0)
		r = rlimits_check(o, err);
	if (r == 0)
		r = keepers(s, &own, o->limits_best_effort, &grouped, err);
	if (r < 0)
		return r;
	say_who(run, &own);
	best_effort(s, &own, c);
	c->rlimit_fsize = o->file_size_bytes ? o->file_size_bytes : UINT64_MAX;
	r = disk_run(s, c, err);
	if (r < 0)
		return r;
	c->rlimit_nofile = o->open_files ? o->open_files : UINT64_MAX;
	c->rlimit_core = o->core_bytes ? o->core_bytes : UINT64_MAX;
	/* all of them are in it, so that what each used is told apart */
	if (!grouped && s->cgroup.nplaces == 0)
		return 0;
	r = cgroup_open_below(&s->cgroup, run->id, &run->cgroup, err);
	if (r == 0)
		r = cgroup_limit(&run->cgroup, &own, err);
	return r == 0 ? cgroup_joins(&run->cgroup, ret_fds, err) : r;
}

void limits_ended(struct exeat_run *run, int status)
{
	struct cgroup_usage used;

	if (run->cgroup.nplaces == 0)
		return;
	cgroup_usage(&run->cgroup, &used);
	run->result.memory_peak_bytes = used.memory_peak;
	run->result.oom_kills = used.oom_kills;
	/* the stub tells of those that were waited for, and of what they did
	 * before they joined; the group of all */
	if (used.user_us + used.system_us >
	    (uint64_t)(run->result.user_us + run->result.system_us)) {
		run->result.user_us = (int64_t)used.user_us;
		run->result.system_us = (int64_t)used.system_us;
	}
	/* what the kernel killed is known; that it was the command's end is,
	 * if nothing else ended it and it did not succeed */
	if (used.oom_kills > 0 && status != 0 &&
	    (run->reason[0] == '\0' ||
	     strcmp(run->reason, "signal:SIGKILL") == 0))
		(void)snprintf(run->reason, sizeof(run->reason), "oom");
	(void)cgroup_close(&run->cgroup);
}
