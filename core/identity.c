/* identity.c - who the payload is, outside and inside
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	kind	which of the three callers this is: from the effective uid,
 *		/proc/self/uid_map and the effective capabilities
 *	ids	uid and gid of the payload on the host, then inside
 *	texts	/etc/passwd and /etc/group as the payload will see them: the
 *		host's, with one line for the payload
 *
 * Nothing here changes the process; the helpers do (isolate_identity).
 */
#include "core/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/base/num.h"

enum {
	ID_NOBODY = 65534,
	ID_INSIDE = 1000,     /* of uid 0 in a namespace with one id */
	TEXT_MAX = 256 << 10, /* of the host's files */
	GROUPS_MAX = 65536,   /* the kernel's NGROUPS_MAX */
};

static const char step[] = "find identity";

/* ---- kind ---- */

/* The ids that the calling process's user namespace maps. */
struct id_map {
	bool one; /* exactly one */
	unsigned nranges;
	struct {
		uint64_t first, count;
	} ranges[340]; /* the kernel's limit */
};

static bool map_number(const char **p, uint64_t *ret)
{
	while (**p == ' ')
		(*p)++;
	return num_parse_u64(p, UINT32_MAX, ret);
}

static int id_map_read(const char *path, struct id_map *ret)
{
	cleanup_free char *text = NULL;
	const char *p;
	int r = fd_read_file(AT_FDCWD, path, 64 << 10, &text, NULL);

	if (r < 0)
		return r;
	ret->nranges = 0;
	for (p = text; *p; p += *p == '\n') {
		uint64_t first, outside, count;

		if (!map_number(&p, &first) || !map_number(&p, &outside) ||
		    !map_number(&p, &count) || (*p && *p != '\n'))
			return -EBADMSG;
		if (ret->nranges ==
		    sizeof(ret->ranges) / sizeof(ret->ranges[0]))
			return -E2BIG;
		ret->ranges[ret->nranges].first = first;
		ret->ranges[ret->nranges++].count = count;
	}
	ret->one = ret->nranges == 1 && ret->ranges[0].count == 1;
	return 0;
}

static bool id_map_has(const struct id_map *m, uint64_t id)
{
	for (unsigned i = 0; i < m->nranges; i++)
		if (id >= m->ranges[i].first &&
		    id - m->ranges[i].first < m->ranges[i].count)
			return true;
	return false;
}

/* Effective CAP_SETUID and CAP_SETGID. */
static bool may_change_ids(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };
	uint32_t want = 1U << CAP_SETUID | 1U << CAP_SETGID;

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return (data[0].effective & want) == want;
}

/*
 * A payload of ours? Its /run/exeat/bin is there, and it can neither gain
 * privileges nor shed its system call filter.
 */
static bool inside_exeat(void)
{
	cleanup_free char *status = NULL;

	if (access("/run/exeat/bin", F_OK) < 0)
		return false;
	if (fd_read_file(AT_FDCWD, "/proc/self/status", 64 << 10, &status,
			 NULL) < 0)
		return true;
	return strstr(status, "\nNoNewPrivs:\t1\n") &&
	       strstr(status, "\nSeccomp:\t2\n");
}

struct maps {
	struct id_map uid, gid;
};

static int find_kind(struct maps *maps, enum identity_kind *ret,
		     struct err *err)
{
	int r;

	if (inside_exeat()) {
		r = err_new(err, ERR_UNAVAILABLE, step, NULL,
			    "this is the inside of a sandbox of Exeat");
		err_remedy(err, "open the second session from outside");
		return r;
	}
	if (getuid() != geteuid() || getgid() != getegid())
		return err_new(err, ERR_UNAVAILABLE, step, NULL,
			       "the program runs set-user-ID or set-group-ID");
	*ret = IDENTITY_USER;
	if (geteuid() != 0)
		return 0;
	r = id_map_read("/proc/self/uid_map", &maps->uid);
	if (r < 0)
		return err_sys(err, -r, step, "/proc/self/uid_map");
	r = id_map_read("/proc/self/gid_map", &maps->gid);
	if (r < 0)
		return err_sys(err, -r, step, "/proc/self/gid_map");
	*ret = maps->uid.one ? IDENTITY_ONE_ID_ROOT : IDENTITY_ROOT;
	if (*ret == IDENTITY_ROOT && !may_change_ids()) {
		r = err_new(err, ERR_UNAVAILABLE, step, "uid 0",
			    "root may not become another user here, and no "
			    "payload runs as root");
		err_remedy(err,
			   "grant CAP_SETUID and CAP_SETGID, or start as an "
			   "ordinary user");
		return r;
	}
	return 0;
}

/* ---- ids ---- */

static bool parse_user(const char *text, uint64_t *uid, uint64_t *gid,
		       bool *has_gid)
{
	const char *p = text;

	*has_gid = false;
	if (!num_parse_u64(&p, UINT32_MAX - 1, uid))
		return false;
	if (*p == ':') {
		p++;
		*has_gid = true;
		if (!num_parse_u64(&p, UINT32_MAX - 1, gid))
			return false;
	}
	return *p == '\0';
}

/* The primary group of a uid, never 0. */
static gid_t group_of(uid_t uid, gid_t otherwise)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found &&
	    pw.pw_gid != 0)
		return pw.pw_gid;
	return otherwise != 0 ? otherwise : ID_NOBODY;
}

static int root_ids(const struct maps *maps, int work_dir_fd, const char *user,
		    struct identity *id, struct err *err)
{
	struct stat st = { .st_uid = ID_NOBODY, .st_gid = ID_NOBODY };
	uint64_t uid, gid = 0;
	bool has_gid;
	int r;

	if (work_dir_fd >= 0 && fstat(work_dir_fd, &st) < 0)
		return err_sys(err, errno, step, "the work dir");
	id->idmap_work_dir = st.st_uid == 0;
	id->host_uid = st.st_uid != 0 ? st.st_uid : ID_NOBODY;
	id->host_gid = st.st_uid == 0 ? ID_NOBODY : st.st_gid;
	if (user) {
		if (!parse_user(user, &uid, &gid, &has_gid))
			return err_new(err, ERR_INVALID, step, user,
				       "not UID or UID:GID in numbers");
		if (uid == 0 || (has_gid && gid == 0))
			return err_new(
				err, ERR_INVALID, step, user,
				"a payload never has uid or gid 0 of the host");
		id->host_uid = (uid_t)uid;
		id->host_gid = has_gid ? (gid_t)gid :
					 group_of((uid_t)uid, (gid_t)uid);
	}
	if (id->host_gid == 0)
		id->host_gid = group_of(id->host_uid, ID_NOBODY);
	if (!id_map_has(&maps->uid, id->host_uid) ||
	    !id_map_has(&maps->gid, id->host_gid)) {
		r = err_new(
			err, ERR_UNAVAILABLE, step, user,
			"uid %u, gid %u do not exist in this user namespace",
			id->host_uid, id->host_gid);
		err_remedy(err, "name others with --user UID:GID");
		return r;
	}
	id->uid = id->host_uid;
	id->gid = id->host_gid;
	return 0;
}

static int own_ids(const char *user, struct identity *id, struct err *err)
{
	uint64_t uid, gid = 0;
	bool has_gid;

	id->host_uid = geteuid();
	id->host_gid = getegid();
	id->uid = id->kind == IDENTITY_USER ? id->host_uid : ID_INSIDE;
	id->gid = id->kind == IDENTITY_USER ? id->host_gid : ID_INSIDE;
	if (!user)
		return 0;
	if (!parse_user(user, &uid, &gid, &has_gid))
		return err_new(err, ERR_INVALID, step, user,
			       "not UID or UID:GID in numbers");
	if (uid != id->uid || (has_gid && gid != id->gid))
		return err_new(err, ERR_INVALID, step, user,
			       "only root can name another user than %u:%u",
			       id->uid, id->gid);
	return 0;
}

/* Groups that a payload keeps on the host because we may not drop them. */
static bool keeps_groups(const struct identity *id)
{
	cleanup_free gid_t *groups = NULL;
	int n = getgroups(0, NULL);

	if (n <= 0 || n > GROUPS_MAX)
		return n > 0;
	groups = calloc((size_t)n, sizeof(*groups));
	if (!groups)
		return true;
	n = getgroups(n, groups);
	for (int i = 0; i < n; i++)
		if (groups[i] != id->host_gid)
			return true;
	return n < 0;
}

/* ---- texts ---- */

/* One "a:b:c:..." line of passwd or group. */
struct line {
	const char *start;
	size_t len; /* without the newline */
	struct {
		const char *p;
		size_t len;
	} field[7];
	unsigned nfields;
};

static bool next_line(const char **p, struct line *ret)
{
	const char *start = *p, *end, *field = start;

	if (!*start)
		return false;
	end = strchrnul(start, '\n');
	*p = *end ? end + 1 : end;
	*ret = (struct line){ .start = start, .len = (size_t)(end - start) };
	for (const char *q = start; q <= end && ret->nfields < 7; q++) {
		if (q < end && *q != ':')
			continue;
		ret->field[ret->nfields].p = field;
		ret->field[ret->nfields++].len = (size_t)(q - field);
		field = q + 1;
	}
	return true;
}

static bool field_is(const struct line *l, unsigned i, const char *text)
{
	return i < l->nfields && l->field[i].len == strlen(text) &&
	       memcmp(l->field[i].p, text, l->field[i].len) == 0;
}

static bool field_is_id(const struct line *l, unsigned i, uint32_t id)
{
	const char *p = i < l->nfields ? l->field[i].p : "";
	const char *start = p;
	uint64_t n;

	return num_parse_u64(&p, UINT32_MAX, &n) && n == id &&
	       (size_t)(p - start) == l->field[i].len;
}

/* A name that is safe in these files, in prompts and in paths. */
static bool good_name(const char *s, size_t len)
{
	const char *more =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"_0123456789-.";

	if (len == 0 || len > sizeof(((struct identity *)NULL)->user) - 1)
		return false;
	return *s != '-' && *s != '.' && strspn(s, more) >= len;
}

static void set_user(struct identity *id, const char *name, size_t len)
{
	if (!good_name(name, len))
		return;
	memcpy(id->user, name, len);
	id->user[len] = '\0';
}

/* What the host says of the payload's uid: name and shell. */
static void look_up_user(struct identity *id, const char *text)
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	struct line l;

	for (const char *p = text; next_line(&p, &l);) {
		if (!field_is_id(&l, 2, id->uid))
			continue;
		set_user(id, l.field[0].p, l.field[0].len);
		if (l.nfields == 7)
			id->shell = strndup(l.field[6].p, l.field[6].len);
		return;
	}
	/* not in the file: a directory service may know it */
	if (getpwuid_r(id->uid, &pw, buf, sizeof(buf), &found) != 0 || !found)
		return;
	set_user(id, pw.pw_name, strlen(pw.pw_name));
	id->shell = strdup(pw.pw_shell);
}

/* A shell for people who are not meant to log in is none here. */
static bool good_shell(const char *shell)
{
	const char *slash = shell ? strrchr(shell, '/') : NULL;

	return slash && *shell == '/' && strlen(shell) < 256 &&
	       strcmp(slash, "/nologin") != 0 && strcmp(slash, "/false") != 0;
}

/* The host's text, or what every machine has. */
static char *host_text(const char *path, const char *otherwise)
{
	char *text;

	if (fd_read_file(AT_FDCWD, path, TEXT_MAX, &text, NULL) < 0)
		return strdup(otherwise);
	return text;
}

static int make_passwd(struct identity *id)
{
	cleanup_free char *host =
		host_text("/etc/passwd",
			  "root:x:0:0:root:/root:/bin/sh\n"
			  "nobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n");
	struct sbuf out;
	struct line l;

	if (!host)
		return -ENOMEM;
	if (id->kind != IDENTITY_ONE_ID_ROOT) {
		set_user(id, "user", 4);
		look_up_user(id, host);
	} else {
		set_user(id, "exeat", 5);
	}
	if (!good_shell(id->shell)) {
		free(id->shell);
		id->shell = strdup("/bin/sh");
	}
	sbuf_init(&out, TEXT_MAX + 1);
	for (const char *p = host; next_line(&p, &l);) {
		if (field_is_id(&l, 2, id->uid) || field_is(&l, 0, id->user))
			continue;
		sbuf_add(&out, l.start, l.len);
		sbuf_str(&out, "\n");
	}
	sbuf_str(&out, "");
	id->passwd = sbuf_steal(&out);
	return id->passwd && id->shell ? 0 : -ENOMEM;
}

static int make_group(struct identity *id)
{
	cleanup_free char *host =
		host_text("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
	const char *name = id->user;
	bool has_gid = false;
	struct sbuf out;
	struct line l;

	if (!host)
		return -ENOMEM;
	sbuf_init(&out, TEXT_MAX + 256);
	for (const char *p = host; next_line(&p, &l);) {
		bool one_id = id->kind == IDENTITY_ONE_ID_ROOT;

		if (field_is_id(&l, 2, id->gid)) {
			if (one_id)
				continue;
			has_gid = true;
		} else if (field_is(&l, 0, id->user)) {
			if (one_id)
				continue;
			name = "group";
		}
		sbuf_add(&out, l.start, l.len);
		sbuf_str(&out, "\n");
	}
	if (!has_gid)
		sbuf_fmt(&out, "%s:x:%u:\n", name, id->gid);
	id->group = sbuf_steal(&out);
	return id->group ? 0 : -ENOMEM;
}

char *identity_passwd(const struct identity *id, const char *home)
{
	struct sbuf out;

	sbuf_init(&out, TEXT_MAX + 8192);
	sbuf_str(&out, id->passwd);
	/* a path with a colon or a newline cannot be said in this file */
	sbuf_fmt(&out, "%s:x:%u:%u::%s:%s\n", id->user, id->uid, id->gid,
		 strpbrk(home, ":\n") ? "/" : home, id->shell);
	return sbuf_steal(&out);
}

/* ---- all of it ---- */

int identity_find(int work_dir_fd, const char *user, struct identity *ret,
		  struct err *err)
{
	struct identity id = { .kind = IDENTITY_USER };
	struct maps maps;
	int r;

	r = find_kind(&maps, &id.kind, err);
	if (r < 0)
		return r;
	if (id.kind == IDENTITY_ROOT)
		r = root_ids(&maps, work_dir_fd, user, &id, err);
	else
		r = own_ids(user, &id, err);
	if (r < 0)
		return r;
	if (id.kind != IDENTITY_ROOT)
		id.groups_kept = keeps_groups(&id);
	r = make_passwd(&id);
	if (r == 0)
		r = make_group(&id);
	if (r < 0) {
		identity_done(&id);
		return err_sys(err, -r, step, NULL);
	}
	*ret = id;
	return 0;
}

void identity_done(struct identity *id)
{
	free(id->passwd);
	free(id->group);
	free(id->shell);
	id->passwd = id->group = id->shell = NULL;
}
