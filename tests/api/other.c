/* other.c - a helper of another version: it says so, and understands nothing
 * SPDX-License-Identifier: Apache-2.0
 *
 * Its version is the end of the name that it was executed by, behind the last
 * '-': none means one of the time when no version was told.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/proto.h"

int main(void)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	const char *version = strrchr(name, '-') + 1;
	const int self = pidfd_open(getpid(), 0);
	uint8_t body[64];
	struct wbuf b = wbuf_make(body, sizeof(body));
	struct chan caller;

	chan_init(&caller, KEEPER_FD_CALLER, NULL, 0, LIMIT_CHAN_QUEUE);
	if (*version)
		wbuf_str(&b, version);
	if (chan_send(&caller, P_HELLO, body, wbuf_len(&b), &self, 1) < 0)
		return EXIT_FAILURE;
	for (;;)
		(void)pause();
}
