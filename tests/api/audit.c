/* audit.c - a session's audit, and what exeat_audit_verify() says of it
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"

struct seen {
	unsigned faults, sessions;
	struct exeat_audit_fault fault; /* the last; its texts are gone */
	char reason[200], id[80], hash[80];
	uint64_t records;
	enum exeat_audit_state state;
};

static void on_fault(void *user_data, const struct exeat_audit_fault *fault)
{
	struct seen *seen = user_data;

	seen->faults++;
	seen->fault = *fault;
	snprintf(seen->reason, sizeof(seen->reason), "%s", fault->reason);
}

static void on_session(void *user_data, const struct exeat_audit_session *s)
{
	struct seen *seen = user_data;

	seen->sessions++;
	seen->records = s->records;
	seen->state = s->state;
	snprintf(seen->id, sizeof(seen->id), "%s", s->id);
	snprintf(seen->hash, sizeof(seen->hash), "%s", s->hash);
}

static struct exeat_audit_totals verify(int fd, struct seen *seen)
{
	struct exeat_audit_options o = EXEAT_AUDIT_OPTIONS_INIT;
	struct exeat_audit_totals totals;
	struct exeat_error error;

	*seen = (struct seen){ 0 };
	o.fd = fd;
	o.on_fault = on_fault;
	o.on_session = on_session;
	o.user_data = seen;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(exeat_audit_verify(&o, &totals, &error), 0);
	assert_int_equal(totals.faults, seen->faults);
	assert_int_equal(totals.sessions, seen->sessions);
	return totals;
}

/* Open while it lives, whole when it is closed, broken when it is changed. */
static void of_a_session(void **state)
{
	int fd = memfd_create("audit", MFD_CLOEXEC);
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_audit_totals totals;
	struct exeat_session *session;
	struct seen seen;
	char id[80];

	(void)state;
	assert_true(fd >= 0 && fcntl(fd, F_SETFL, O_APPEND) == 0);
	assert_int_equal(verify(fd, &seen).state, EXEAT_AUDIT_UNTOLD);
	assert_int_equal(seen.faults, 0);
	o.audit_fd = fd;
	session = api_open(&o);
	/* it ends when front has told what was refused */
	api_sh(session, "getent hosts www.example.com", 2);
	snprintf(id, sizeof(id), "%s", exeat_session_id(session));
	totals = verify(fd, &seen);
	assert_int_equal(totals.state, EXEAT_AUDIT_UNTOLD);
	assert_true(totals.records >= 2);
	assert_string_equal(seen.id, id);
	exeat_session_close(session);

	totals = verify(fd, &seen);
	assert_int_equal(totals.state, EXEAT_AUDIT_WHOLE);
	assert_int_equal(seen.state, EXEAT_AUDIT_WHOLE);
	assert_int_equal(totals.records, seen.records);
	assert_int_equal(totals.lines, totals.records);
	assert_int_equal(strlen(seen.hash), 64);

	/* one byte of the first line */
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(pwrite(fd, "{\"tome", 6, 0), 6);
	totals = verify(fd, &seen);
	assert_int_equal(totals.state, EXEAT_AUDIT_BROKEN);
	assert_int_equal(seen.faults, 1);
	assert_int_equal(seen.fault.line, 1);
	assert_string_equal(seen.reason, "the hash of record 1 does not fit: "
					 "it was changed, or the one before "
					 "it");
	close(fd);
}

static void wrong_use(void **state)
{
	struct exeat_audit_options o = EXEAT_AUDIT_OPTIONS_INIT;
	struct exeat_audit_totals totals;
	struct exeat_error error;

	(void)state;
	assert_int_equal(exeat_audit_verify(&o, &totals, &error), -EINVAL);
	api_expect(&error, EXEAT_INVALID, "verify fd", "descriptor");
	assert_int_equal(exeat_audit_verify(NULL, &totals, &error), -EINVAL);
	api_expect(&error, EXEAT_INVALID, "verify fd", "descriptor");
	o.size = 3;
	assert_true(exeat_audit_verify(&o, &totals, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "size", "");
	assert_true(exeat_audit_verify(&o, &totals, NULL) < 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(of_a_session),
	cmocka_unit_test(wrong_use),
};

API_MAIN("api/audit", tests)
