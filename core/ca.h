/* ca.h - authorities: those that the machine trusts, and the caller's own
 * SPDX-License-Identifier: Apache-2.0
 *
 * A network whose proxies open TLS has an authority of its own. Its file is
 * trusted besides the machine's: of an https:// proxy, and inside, where one
 * file has both and the variables that programs look at name it.
 */
#ifndef EXEAT_CORE_CA_H
#define EXEAT_CORE_CA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

/* As PEM, until who needs them has them; zero-initialised is none. */
struct ca {
	char *own, *machine;
	size_t own_len, machine_len;
	bool inside; /* the caller's is trusted by programs inside, too */
};

/* Where this machine keeps the authorities that it trusts, or NULL. */
const char *ca_machine_path(void);
/*
 * `file`: the caller's, or NULL. `needed`: there must be some (ERR_UNAVAILABLE
 * names the remedy). ERR_INVALID: the file.
 */
int ca_open(const char *file, bool needed, struct ca *ret, struct err *err);
/* Both in one text: heap, or NULL without memory. */
char *ca_bundle(const struct ca *ca);
/* What they are; `inside` stays. */
void ca_forget(struct ca *ca);

#endif
