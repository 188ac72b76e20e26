/* seccomp.h - system call filters, generated at build time by libseccomp
 * SPDX-License-Identifier: Apache-2.0
 *
 * The programs are tables in the binary: nothing is computed at run time.
 * seccomp_gen.c says what each filter is for.
 */
#ifndef EXEAT_SYS_SECCOMP_H
#define EXEAT_SYS_SECCOMP_H

#include <linux/filter.h>
#include <stddef.h>

#include "core/base/err.h"

struct seccomp_prog {
	const struct sock_filter *filter;
	unsigned short len;
};

extern const struct seccomp_prog seccomp_payload;	/* deny-list */
extern const struct seccomp_prog seccomp_cut;	/* deny-list, additional */
extern const struct seccomp_prog seccomp_front;		/* allow-list */
extern const struct seccomp_prog seccomp_dialer;	/* allow-list */
extern const struct seccomp_prog seccomp_tls;		/* allow-list */

/* Needs no_new_privs. */
int seccomp_load(const struct seccomp_prog *prog, struct err *err);

#endif
