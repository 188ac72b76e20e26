/* core_identity.c - the three kinds of callers, and who the payload becomes
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/identity.h"
#include "core/sys/seccomp.h"
#include "tests/unit/core_child.h"

/* The line that begins with `start`, and is there once. */
static bool has_line_once(const char *text, const char *start)
{
	const char *found = NULL;

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, start, strlen(start)) != 0)
			continue;
		if (found)
			return false;
		found = p;
	}
	return found;
}

static bool ordinary_steps(void *unused)
{
	cleanup_free char *passwd = NULL;
	struct identity id;
	char line[64];
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	CHECK(id.kind == IDENTITY_USER);
	CHECK(id.host_uid == geteuid() && id.host_gid == getegid());
	CHECK(id.uid == geteuid() && id.gid == getegid());
	CHECK(id.user[0] && !id.idmap_work_dir);
	passwd = identity_passwd(&id, "/w/.exeat/home");
	CHECK(passwd);
	(void)snprintf(line, sizeof(line), "%s:x:%u:%u::/w/.exeat/home:/",
		       id.user, id.uid, id.gid);
	CHECK(has_line_once(passwd, line));
	CHECK(has_line_once(passwd, "root:"));
	/* its own ids may be named, nobody else's */
	(void)snprintf(line, sizeof(line), "%u:%u", id.uid, id.gid);
	identity_done(&id);
	CHECK_OK(identity_find(-1, line, &id, &err), &err);
	identity_done(&id);
	CHECK(identity_find(-1, "0", &id, &err) < 0);
	CHECK(err.code == ERR_INVALID);
	CHECK(identity_find(-1, "12345", &id, &err) < 0);
	CHECK(err.code == ERR_INVALID);
	return true;
}

static void ordinary(void **state)
{
	(void)state;
	assert_true(child_run(ordinary_steps, NULL));
}

static bool one_id_steps(void *unused)
{
	cleanup_free char *passwd = NULL;
	struct identity id;
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(child_one_id(0));
	CHECK(geteuid() == 0);
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	CHECK(id.kind == IDENTITY_ONE_ID_ROOT);
	CHECK(id.host_uid == 0 && id.uid == 1000 && id.gid == 1000);
	CHECK(strcmp(id.user, "exeat") == 0);
	passwd = identity_passwd(&id, "/h");
	CHECK(passwd &&
	      has_line_once(passwd, "exeat:x:1000:1000::/h:/bin/sh\n"));
	CHECK(has_line_once(id.group, "exeat:x:1000:\n"));
	CHECK(!strstr(passwd, ":x:1000:1000:,"));
	identity_done(&id);
	CHECK(identity_find(-1, "1001", &id, &err) < 0);
	return true;
}

static void one_id(void **state)
{
	(void)state;
	assert_true(child_run(one_id_steps, NULL));
}

/* A payload of ours is told so, whatever it is outside. */
static bool inside_steps(void *unused)
{
	struct identity id;
	struct err err;

	(void)unused;
	CHECK(child_ordinary() && child_one_id(1000));
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/run", "tmpfs", 0, NULL) == 0);
	CHECK(mkdir("/run/exeat", 0755) == 0);
	CHECK(mkdir("/run/exeat/bin", 0755) == 0);
	/* the name alone proves nothing */
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	identity_done(&id);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK_OK(seccomp_load(&seccomp_payload, &err), &err);
	CHECK(identity_find(-1, NULL, &id, &err) < 0);
	CHECK(err.code == ERR_UNAVAILABLE && err.remedy[0]);
	return true;
}

static void inside(void **state)
{
	(void)state;
	assert_true(child_run(inside_steps, NULL));
}

static bool one_id_user_steps(void *unused)
{
	struct identity id;
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(child_one_id(1234));
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	CHECK(id.kind == IDENTITY_USER && id.uid == 1234);
	/* no file has it: the name is made up, the line is there */
	CHECK(strcmp(id.user, "user") == 0);
	CHECK(has_line_once(id.group, "user:x:1234:\n"));
	identity_done(&id);
	return true;
}

static void one_id_user(void **state)
{
	(void)state;
	assert_true(child_run(one_id_user_steps, NULL));
}

static void root_needs_it(void)
{
	if (geteuid() != 0)
		skip();
}

static void root_fresh(void **state)
{
	struct identity id;
	struct err err;

	(void)state;
	root_needs_it();
	assert_int_equal(identity_find(-1, NULL, &id, &err), 0);
	assert_int_equal(id.kind, IDENTITY_ROOT);
	assert_int_equal(id.host_uid, 65534);
	assert_int_equal(id.host_gid, 65534);
	assert_int_equal(id.uid, 65534);
	assert_false(id.idmap_work_dir);
	identity_done(&id);
}

static void root_user(void **state)
{
	static const struct {
		const char *user;
		int ok;
		unsigned uid, gid;
	} rows[] = {
		{ "4321", 1, 4321, 4321 }, { "4321:77", 1, 4321, 77 },
		{ "0", 0, 0, 0 },	   { "0:0", 0, 0, 0 },
		{ "5:0", 0, 0, 0 },	   { "", 0, 0, 0 },
		{ "5:", 0, 0, 0 },	   { "-1", 0, 0, 0 },
		{ "4294967295", 0, 0, 0 }, { "nobody", 0, 0, 0 },
		{ "5:6:7", 0, 0, 0 },	   { " 5", 0, 0, 0 },
	};

	(void)state;
	root_needs_it();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity id;
		struct err err;
		int r = identity_find(-1, rows[i].user, &id, &err);

		if (!rows[i].ok) {
			assert_int_equal(r, -EINVAL);
			assert_int_equal(err.code, ERR_INVALID);
			assert_string_equal(err.object, rows[i].user);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(id.host_uid, rows[i].uid);
		assert_int_equal(id.host_gid, rows[i].gid);
		identity_done(&id);
	}
}

/* The owner of the work dir decides; root's own is shown mapped. */
static void root_owner(void **state)
{
	char path[] = "/tmp/exeat-unit-XXXXXX";
	struct identity id;
	struct err err;
	int fd;

	(void)state;
	root_needs_it();
	assert_non_null(mkdtemp(path));
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(identity_find(fd, NULL, &id, &err), 0);
	assert_true(id.idmap_work_dir);
	assert_int_equal(id.host_uid, 65534);
	identity_done(&id);
	assert_int_equal(chown(path, 1717, 1818), 0);
	assert_int_equal(identity_find(fd, NULL, &id, &err), 0);
	assert_false(id.idmap_work_dir);
	assert_int_equal(id.host_uid, 1717);
	assert_int_equal(id.host_gid, 1818);
	identity_done(&id);
	assert_int_equal(chown(path, 1717, 0), 0);
	assert_int_equal(identity_find(fd, NULL, &id, &err), 0);
	assert_int_equal(id.host_gid, 65534);
	identity_done(&id);
	(void)close(fd);
	assert_int_equal(rmdir(path), 0);
}

static bool no_setuid_steps(void *unused)
{
	struct identity id;
	struct err err;

	(void)unused;
	/* two ids, but no capability over them */
	CHECK(setresuid(-1, 4242, -1) == 0);
	CHECK(identity_find(-1, NULL, &id, &err) < 0);
	CHECK(err.code == ERR_UNAVAILABLE);
	return true;
}

static void set_user_id_program(void **state)
{
	(void)state;
	root_needs_it();
	assert_true(child_run(no_setuid_steps, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(one_id),
		cmocka_unit_test(one_id_user),
		cmocka_unit_test(inside),
		cmocka_unit_test(root_fresh),
		cmocka_unit_test(root_user),
		cmocka_unit_test(root_owner),
		cmocka_unit_test(set_user_id_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
