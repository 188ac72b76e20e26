/* fixture.h - programs each of whose tests has a session of its own
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_API_FIXTURE_H
#define EXEAT_TESTS_API_FIXTURE_H

#include "api.h"

/* With plain options; closed after the test. */
static struct exeat_session *session;

static int open_session(void **state)
{
	(void)state;
	session = api_open(NULL);
	return 0;
}

static int close_session(void **state)
{
	(void)state;
	exeat_session_close(session);
	return 0;
}

#define WITH_SESSION(test) \
	cmocka_unit_test_setup_teardown(test, open_session, close_session)

#endif
