/* workkinds.c - every way to a file, in every kind of work dir
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a work dir is - a folder of the host's, a mount of the session's own,
 * an overlay, a copy - is no caller's concern: put, get, list, remove and tar
 * do the same in each, and what is made belongs to the payload's user.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

enum { MIB = 1 << 20, DEEP = 80 };

static struct exeat_error error;
static char plain_store[4200], odd_store[4200], kept[4200];

static void must(int r)
{
	char text[1024];

	if (r < 0)
		fail_msg("%s", exeat_error_text(&error, text, sizeof(text)));
}

static void gives(struct exeat_session *session, const char *path,
		  const char *text)
{
	void *data = NULL;
	size_t len;

	must(exeat_get_bytes(session, path, MIB, &data, &len, &error));
	assert_string_equal(data, text);
	assert_int_equal(len, strlen(text));
	free(data);
}

static void put(struct exeat_session *session, const char *path,
		const char *text)
{
	must(exeat_put_bytes(session, path, text, strlen(text), 0, &error));
}

/* ---- what is done in each ---- */

static void bytes(struct exeat_session *session)
{
	char path[8192];

	put(session, "new/in/f", "one");
	put(session, "new/in/f", "two");
	/* by the path that the payload knows, too */
	(void)snprintf(path, sizeof(path), "%s/new/in/f",
		       exeat_session_work_dir(session));
	gives(session, path, "two");
	put(session, path, "three");
	gives(session, "new/in/f", "three");
	assert_string_equal(api_sh(session,
				   "cd new/in; cat f; test -O f && test -O . "
				   "&& test -O .. && stat -c ' %a' f .",
				   0),
			    "three 644\n 755\n");
	assert_string_equal(
		api_sh(session, "echo four >> new/in/f; ls new/in", 0), "f\n");
	gives(session, "new/in/f", "threefour\n");
}

static void seen(struct exeat_session *session)
{
	struct exeat_file *files, file;
	size_t n;

	api_sh(session, "ln -s f new/in/l; ln new/in/f new/in/h", 0);
	must(exeat_list_files(session, "new/in", &files, &n, &error));
	assert_int_equal(n, 3);
	assert_string_equal(files[0].name, "f");
	assert_int_equal(files[2].kind, EXEAT_FILE_SYMLINK);
	free(files);
	must(exeat_stat_file(session, "new/in/h", &file, &error));
	assert_int_equal(file.size, 10);
	assert_true(exeat_get_bytes(session, "new/in/l", MIB, &(void *){ NULL },
				    &(size_t){ 0 }, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "link", "");
}

static void tars(struct exeat_session *session)
{
	char path[4200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/archive", api_dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	must(exeat_get_tar(session, "new", fd, &error));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	must(exeat_put_tar(session, "tar/to/here", fd, &error));
	(void)close(fd);
	assert_string_equal(
		api_sh(session,
		       "diff -r new tar/to/here && cd tar/to/here/in && "
		       "test -O ../.. && test $(stat -c %i f) = "
		       "$(stat -c %i h) && readlink l",
		       0),
		"f\n");
	gives(session, "tar/to/here/in/f", "threefour\n");
}

/* Deeper than what is removed in one go, and shut; where what is too deep
 * would go by name are others. */
static void removed(struct exeat_session *session)
{
	char command[240];

	(void)snprintf(command, sizeof(command),
		       "mkdir -p d/.exeat-rm-0/x; touch d/.exeat-rm-1; "
		       "for i in $(seq %d); do mkdir -p d; cd d; done; "
		       "echo x > f; cd ..; chmod 0 d; cd ..; chmod 500 d",
		       DEEP);
	api_sh(session, command, 0);
	must(exeat_remove_file(session, "d", 1, &error));
	must(exeat_remove_file(session, "new/in/f", 0, &error));
	must(exeat_remove_file(session, "new", 1, &error));
	must(exeat_remove_file(session, "tar", 1, &error));
	assert_string_equal(api_sh(session, "ls", 0), "from\n");
	/* of what was there from the beginning, too */
	must(exeat_remove_file(session, "from/there", 0, &error));
	put(session, "from/there", "again");
	must(exeat_remove_file(session, "from", 1, &error));
	assert_string_equal(api_sh(session, "ls", 0), "");
}

/* ---- the kinds ---- */

struct kind {
	const char *name;
	bool kept, snapshot, odd; /* odd: a store no overlay can be told of */
	uint64_t disk;
	const char *expected[3]; /* what it may be called */
};

static const struct kind kinds[] = {
	{ "fresh", .expected = { "fresh" } },
	{ "fresh, limited", .disk = 8 * MIB, .expected = { "tmpfs" } },
	{ "kept", .kept = true, .expected = { "kept" } },
	{ "kept, best effort", .kept = true, .disk = 8 * MIB,
	  .expected = { "kept" } },
	{ "of a snapshot", .snapshot = true,
	  .expected = { "overlay", "reflink", "copy" } },
	{ "of a snapshot, limited", .snapshot = true, .disk = 8 * MIB,
	  .expected = { "overlay", "copy" } },
	{ "a copy of a snapshot", .snapshot = true, .odd = true,
	  .expected = { "reflink", "copy" } },
	{ "a copy of a snapshot, limited", .snapshot = true, .odd = true,
	  .disk = 8 * MIB, .expected = { "copy" } },
};

static void is_expected(const struct kind *k, const char *is)
{
	print_message("%s: %s\n", k->name, is);
	for (size_t i = 0; i < 3 && k->expected[i]; i++)
		if (strcmp(k->expected[i], is) == 0)
			return;
	fail_msg("%s: %s", k->name, is);
}

static void in_one(const struct kind *k)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *session;

	s.disk_bytes = k->disk;
	s.limits_best_effort = EXEAT_LIMIT_DISK;
	s.host_work_dir = k->kept ? kept : NULL;
	s.snapshot = k->snapshot ? "s" : NULL;
	s.snapshot_dir = k->odd ? odd_store : plain_store;
	session = api_open(&s);
	is_expected(k, exeat_session_work_dir_kind(session));
	if (!k->snapshot)
		put(session, "from/there", "there");
	bytes(session);
	seen(session);
	tars(session);
	removed(session);
	exeat_session_close(session);
}

/* Where a snapshot's session sees its files the original has its own. */
static void each(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *plain, *odd;

	(void)state;
	(void)snprintf(plain_store, sizeof(plain_store), "%s/store", api_dir);
	(void)snprintf(odd_store, sizeof(odd_store), "%s/st:ore", api_dir);
	(void)snprintf(kept, sizeof(kept), "%s/kept", api_dir);
	assert_int_equal(mkdir(kept, 0755), 0);
	if (geteuid() == 0 && chown(kept, 65534, 65534) < 0)
		assert_int_equal(chmod(kept, 0755), 0); /* one id: ours */
	s.snapshot_dir = plain_store;
	plain = api_open(&s);
	s.snapshot_dir = odd_store;
	odd = api_open(&s);
	put(plain, "from/there", "there");
	put(odd, "from/there", "there");
	must(exeat_session_snapshot(plain, "s", &error));
	must(exeat_session_snapshot(odd, "s", &error));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		in_one(&kinds[i]);
	assert_string_equal(api_sh(plain, "ls; cat from/there", 0),
			    "from\nthere");
	assert_string_equal(api_sh(odd, "ls; cat from/there", 0),
			    "from\nthere");
	exeat_session_close(plain);
	exeat_session_close(odd);
	must(exeat_snapshot_remove(plain_store, "s", &error));
	must(exeat_snapshot_remove(odd_store, "s", &error));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each),
};

API_MAIN("workkinds", tests)
