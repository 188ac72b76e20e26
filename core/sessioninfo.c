/* sessioninfo.c - what is in force in a session
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/session.h"

/* One block: the pointers, then the texts. */
static char **list_flat(char *const *texts)
{
	size_t n = 0, bytes = 0;
	char **flat, *at;

	for (; texts && texts[n]; n++)
		bytes += strlen(texts[n]) + 1;
	flat = malloc((n + 1) * sizeof(*flat) + bytes);
	if (!flat)
		return NULL;
	at = (char *)(flat + n + 1);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(texts[i]) + 1;

		flat[i] = memcpy(at, texts[i], len);
		at += len;
	}
	flat[n] = NULL;
	return flat;
}

int exeat_session_fs_allowlist(const struct exeat_session *s,
			       char ***ret_read_only, char ***ret_read_write)
{
	char **ro, **rw;

	if (!s || !ret_read_only || !ret_read_write)
		return -EINVAL;
	ro = list_flat(s->view.read_only.texts);
	rw = list_flat(s->view.read_write.texts);
	if (!ro || !rw) {
		free(ro);
		free(rw);
		return -ENOMEM;
	}
	*ret_read_only = ro;
	*ret_read_write = rw;
	return 0;
}

char *exeat_session_policy(const struct exeat_session *s)
{
	struct policy_upstream upstream;
	struct sbuf text;

	if (!s)
		return NULL;
	upstream =
		(struct policy_upstream){ &s->proxy, s->proxy_direct.policy };
	sbuf_init(&text, LIMIT_POLICY_FILE);
	if (policy_json_with(s->session_policy, &upstream, &text) < 0) {
		sbuf_done(&text);
		return NULL;
	}
	return sbuf_steal(&text);
}
