/* backends_box.h - a keeper in small, to run one command as a backend would
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_BACKENDS_BOX_H
#define EXEAT_TESTS_BACKENDS_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"
#include "core/sys/view.h"

enum { BOX_OUT = 16 << 10 };

/* Points in the life of a run; each is timed from the one before. */
enum box_point { BOX_PREPARED, BOX_STARTED, BOX_EXITED, BOX_GONE, BOX_POINTS };

struct box {
	/* what to do */
	const char *const *argv;
	const char *const *envp;	/* NULL: PATH only */
	const char *cwd;		/* NULL: the work dir */
	const char *work_at;		/* the work dir's path inside */
	bool work_dir_sockets;
	int signal;			/* sent when the output begins */
	bool hang_up;			/* close `control` then instead */
	bool kill_stub;			/* SIGKILL through its pidfd then */
	uint64_t rlimit_fsize;		/* 0: keep */
	unsigned repeat;		/* for timing: so many runs */

	/* how it went */
	bool failed;			/* BACKEND_FAILED, or the box itself */
	struct err err;
	uint32_t exit_code;		/* when failed */
	bool exited;			/* BACKEND_EXITED came */
	int status;			/* wait status then */
	bool gone;			/* the pidfd became readable */
	char out[BOX_OUT];		/* stdout and stderr */
	int64_t session_us;
	int64_t us[BOX_POINTS];		/* the quickest of all runs */
};

/* Directories of one test program. */
struct box_dirs {
	char work[64];			/* on the host */
};
int box_dirs_make(struct box_dirs *d);
void box_dirs_remove(struct box_dirs *d);

/* The uid and gid that payloads get outside, and inside. */
uid_t box_uid(void);

/* Run it in a session of its own. Fails the test if the box breaks. */
void box_run(const struct box_dirs *d, struct box *b);

#endif
