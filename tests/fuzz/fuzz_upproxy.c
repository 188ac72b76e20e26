/* fuzz_upproxy.c - what a proxy answers, and the URL that names one
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte says how the answer comes in pieces, and which protocol.
 */
#include <string.h>

#include "proxy/upproxy_talk.h"
#include "tests/fuzz/fuzz.h"

static enum upproxy_status talk(struct upproxy_talk *t, const uint8_t *data,
				size_t size, size_t piece, size_t *ret_used)
{
	enum upproxy_status r = UPPROXY_MORE;
	size_t done = 0, len, used;

	while (r == UPPROXY_MORE && done < size) {
		size_t n = size - done < piece ? size - done : piece;

		if (upproxy_talk_out(t, &len))
			upproxy_talk_sent(t, len);
		r = upproxy_talk_take(t, data + done, n, &used);
		assert(used <= n);
		assert(used > 0 || r != UPPROXY_MORE);
		done += used;
	}
	*ret_used = done;
	return r;
}

/* Of a status line. */
static unsigned status_of(const uint8_t *line, size_t len)
{
	assert(len >= 12 && memcmp(line, "HTTP/1.", 7) == 0);
	return (line[9] - '0') * 100u + (line[10] - '0') * 10u +
	       (line[11] - '0');
}

/* Heads of 1xx, then one of 2xx that ends where the answer was said to end. */
static void check_heads(const uint8_t *data, size_t size)
{
	unsigned status = 0; /* of the present head; 0: between two */
	size_t at = 0;
	bool over = false;

	while (at < size) {
		const uint8_t *line = data + at;
		const uint8_t *end = memchr(line, '\n', size - at);
		size_t len;

		assert(end && !over);
		len = (size_t)(end - line);
		at += len + 1;
		if (len > 0 && line[len - 1] == '\r')
			len--;
		if (status == 0) {
			status = status_of(line, len);
			assert(status >= 100 && status < 300 && status != 101);
		} else if (len == 0) {
			over = status >= 200;
			status = 0;
		}
	}
	assert(over);
}

static void check_answer(const uint8_t *data, size_t size)
{
	static const char *const urls[] = { "http://u:p@h", "socks5://h",
					    "socks5h://u:p@h",
					    "https://u:p@h" };
	const struct endpoint to = { .addr = addr_from_v4(0xcb007101),
				     .port = 443 };
	char text[UPPROXY_FAILURE_TEXT];
	struct upproxy_talk a, b;
	struct upproxy_error e;
	struct upproxy u;
	enum upproxy_status r, again;
	size_t first, second;
	int parsed;

	if (size == 0)
		return;
	parsed = upproxy_parse(urls[data[0] % 4], &u, &e);
	assert(parsed == 0);
	upproxy_talk_begin(&a, &u, data[0] & 4 ? "a.test" : NULL, &to);
	b = a;
	r = talk(&a, data + 1, size - 1, 1, &first);
	if (r == UPPROXY_FAILED) {
		assert(upproxy_failure_valid(a.failure) && a.failure);
		assert(upproxy_failure_errno(a.failure) > 0);
		assert(*upproxy_failure_text(a.failure, text));
	}
	if (u.kind == UPPROXY_SOCKS)
		return; /* what comes before it was asked is no answer */
	/* in other pieces it says the same */
	if (r == UPPROXY_DONE)
		check_heads(data + 1, first);
	again = talk(&b, data + 1, size - 1, 1 + (data[0] >> 3), &second);
	assert(again == r);
	assert(first == second && a.failure == b.failure);
}

static void check_url(const uint8_t *data, size_t size)
{
	struct upproxy_error e;
	struct upproxy u, back;
	char text[1024];
	struct sbuf b;
	struct rbuf r;

	if (size >= sizeof(text))
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	if (upproxy_parse(text, &u, &e) != 0) {
		assert(e.position <= strlen(text));
		return;
	}
	sbuf_init(&b, 4096);
	upproxy_encode(&u, &b);
	r = rbuf_make(b.s, b.len);
	assert(upproxy_decode(&r, &back) && rbuf_left(&r) == 0);
	sbuf_done(&b);
	r = rbuf_make(data, size);
	(void)upproxy_decode(&r, &back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_answer(data, size);
	check_url(data, size);
	return 0;
}
