/* fuzz_backend.c - what a run's first process and the keeper may say
 * SPDX-License-Identifier: Apache-2.0
 *
 * The input is a message: its type, how many descriptors come with it, its
 * body. What passes the tables must be as backends/backend.h says; what does
 * not must leave no descriptor behind. A failure that can be read has one form.
 */
#include <string.h>
#include <unistd.h>

#include "backends/backend.h"
#include "core/base/limits.h"
#include "tests/fuzz/fuzz.h"

static void check_failed(const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_make(data, size);
	uint32_t exit_code;
	struct err err;
	struct sbuf b;

	if (!backend_get_failed(&r, &err, &exit_code))
		return;
	assert(err.code > ERR_NONE && err.code <= ERR_INTERNAL);
	sbuf_init(&b, size + 1);
	backend_put_failed(&b, &err, exit_code);
	assert(!b.bad && b.len == size && memcmp(b.s, data, size) == 0);
	sbuf_done(&b);
}

/* As the header has it, by hand. */
static bool right_form(bool to_child, const struct msg *m)
{
	switch ((enum backend_message)m->type) {
	case BACKEND_COMMAND:
		return to_child && m->len > 0 && m->nfds >= 3 &&
		       m->nfds <= 3 + BACKEND_GROUPS;
	case BACKEND_SIGNAL:
		return to_child && m->len == 4 && m->nfds == 0;
	case BACKEND_TTY:
		return !to_child && m->len == 0 && m->nfds == 1;
	case BACKEND_PAUSE:
		return to_child && m->len == 1 && m->nfds <= 1;
	case BACKEND_STARTED:
	case BACKEND_STOPPED:
	case BACKEND_LOOSE:
		return !to_child && m->len == 0 && m->nfds == 0;
	case BACKEND_EXITED:
		return !to_child && m->len == 28 && m->nfds == 0;
	case BACKEND_FAILED:
		return !to_child && m->nfds == 0;
	}
	return false;
}

static void check_tables(bool to_child, uint32_t type, unsigned nfds,
			 const uint8_t *body, size_t len)
{
	static const int fds[MSG_FDS_MAX];
	static struct msg m;
	struct chan from, to;
	int pair[2], r = chan_pair(pair);

	assert(r == 0);
	chan_init(&from, pair[0], NULL, 0, LIMIT_CHAN_QUEUE);
	if (to_child)
		chan_init(&to, pair[1], backend_child_rules,
			  backend_child_nrules, LIMIT_CHAN_QUEUE);
	else
		chan_init(&to, pair[1], backend_keeper_rules,
			  backend_keeper_nrules, LIMIT_CHAN_QUEUE);
	r = chan_send(&from, type, body, len, fds, nfds);
	assert(r == 0);
	m = (struct msg){ .type = type, .len = len, .nfds = nfds };
	if (chan_recv(&to, 0, &m) == 1) {
		assert(m.type == type && m.len == len && m.nfds == nfds);
		assert(len == 0 || memcmp(m.body, body, len) == 0);
		assert(right_form(to_child, &m));
	} else {
		m = (struct msg){ .type = type, .len = len, .nfds = nfds };
		assert(type == BACKEND_FAILED || !right_form(to_child, &m));
		m.nfds = 0;
	}
	msg_done(&m);
	chan_done(&from);
	chan_done(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before;

	check_failed(data, size);
	if (size < 2 || size > MSG_INLINE_MAX)
		return 0;
	before = fuzz_lowest_fd();
	for (int to_child = 0; to_child <= 1; to_child++)
		check_tables(to_child, data[0] % 9, data[1] % (MSG_FDS_MAX + 1),
			     data + 2, size - 2);
	assert(fuzz_lowest_fd() == before);
	return 0;
}
