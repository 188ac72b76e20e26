/* sessioncheck.c - options of a session that are wrong, whatever the machine
 * SPDX-License-Identifier: Apache-2.0
 *
 * The error's object is the option's name. Nothing has been started yet. What
 * has a grammar of its own (rules, policies, URLs, users, names of snapshots)
 * is left to its parser.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/session.h"

static int invalid(struct err *err, const char *what, const char *why)
{
	return err_new(err, ERR_INVALID, "session", what, "%s", why);
}

int time_check(const char *step, const char *name, int64_t ms, struct err *err)
{
	if (ms >= 0 && ms <= LIMIT_TIME_MS)
		return 0;
	return err_new(err, ERR_INVALID, step, name, "%s",
		       ms < 0 ? "negative" : "more than ten years");
}

/* "" is no name of anything. */
static int text_check(const char *name, const char *text, struct err *err)
{
	if (text && *text == '\0')
		return invalid(err, name, "empty");
	return !text || text_is_utf8(text) ? 0 :
					     invalid(err, name, "not UTF-8");
}

static int texts_check(const struct exeat_session_options *o, struct err *err)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "backend", o->backend },
		{ "host_work_dir", o->host_work_dir },
		{ "user", o->user },
		{ "helper_path", o->helper_path },
		{ "upstream_proxy", o->upstream_proxy },
		{ "ca_file", o->ca_file },
		{ "audit_file", o->audit_file },
		{ "snapshot", o->snapshot },
		{ "snapshot_dir", o->snapshot_dir },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (text_check(texts[i].name, texts[i].text, err) < 0)
			return -EINVAL;
	return 0;
}

static int lists_check(const struct exeat_session_options *o, struct err *err)
{
	const struct {
		const char *name;
		const char *const *list;
	} lists[] = {
		{ "read_only_paths", o->read_only_paths },
		{ "read_write_paths", o->read_write_paths },
		{ "governing_files", o->governing_files },
		{ "hidden_files", o->hidden_files },
	};
	char name[48];

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *const *list = lists[i].list;

		for (size_t at = 0; list && list[at]; at++) {
			(void)snprintf(name, sizeof(name), "%s[%zu]",
				       lists[i].name, at);
			if (text_check(name, list[at], err) < 0)
				return -EINVAL;
		}
	}
	return 0;
}

static int label_check(const char *label, struct err *err)
{
	if (!label)
		return 0;
	if (!text_is_utf8(label))
		return invalid(err, "label", "not UTF-8");
	return strlen(label) <= LIMIT_SESSION_LABEL ?
		       0 :
		       err_new(err, ERR_INVALID, "session", "label",
			       "more than %d bytes", LIMIT_SESSION_LABEL);
}

static int audit_check(int fd, struct err *err)
{
	int flags = fd >= 0 ? fcntl(fd, F_GETFL) : 0;

	if (fd < -1 || flags < 0)
		return invalid(err, "audit_fd", "not an open descriptor");
	return fd < 0 || (!(flags & O_PATH) &&
			  (flags & O_ACCMODE) != O_RDONLY) ?
		       0 :
		       invalid(err, "audit_fd", "not open for writing");
}

int session_check_options(const struct exeat_session_options *o,
			  struct err *err)
{
	if (texts_check(o, err) < 0 || lists_check(o, err) < 0 ||
	    label_check(o->label, err) < 0 ||
	    audit_check(o->audit_fd, err) < 0 ||
	    time_check("session", "timeout_ms", o->timeout_ms, err) < 0)
		return -EINVAL;
	if (o->disk_bytes != 0 && (o->disk_bytes < LIMIT_MEMORY_MIN ||
				   o->disk_bytes > LIMIT_MEMORY_MAX))
		return invalid(err, "disk_bytes", "from 1 MiB to 1 PiB");
	return 0;
}
