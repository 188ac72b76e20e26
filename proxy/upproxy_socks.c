/* upproxy_socks.c - SOCKS 5 to a proxy (RFC 1928), with a password (RFC 1929)
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	METHOD	we offered what we can; it chose one
 *	LOGIN	it has looked at user and password
 *	REPLY	version, reply, reserved, kind of address, one byte more
 *	BOUND	the rest of an address that is of no interest
 *
 * Each state needs a number of bytes that is known when it begins, so that
 * none of the target's is ever taken.
 */
#include <string.h>

#include "proxy/upproxy_talk.h"

enum { STATE_METHOD, STATE_LOGIN, STATE_REPLY, STATE_BOUND };

enum {
	SOCKS_VERSION = 5,
	LOGIN_VERSION = 1,
	METHOD_NONE = 0,
	METHOD_PASSWORD = 2,
	CMD_CONNECT = 1,
	ATYP_V4 = 1,
	ATYP_NAME = 3,
	ATYP_V6 = 4,
	REPLY_OK = 0,
};

static struct wbuf say(struct upproxy_talk *t)
{
	upproxy_talk_wipe(t);
	return wbuf_make(t->out, sizeof(t->out));
}

static void said(struct upproxy_talk *t, const struct wbuf *b, unsigned state,
		 size_t need)
{
	t->out_len = wbuf_len(b);
	t->out_sent = 0;
	t->state = state;
	t->in_need = need;
}

void upproxy_socks_begin(struct upproxy_talk *t)
{
	const bool login = t->upproxy->has_credentials;
	struct wbuf b = say(t);

	wbuf_u8(&b, SOCKS_VERSION);
	wbuf_u8(&b, login ? 2 : 1);
	wbuf_u8(&b, METHOD_NONE);
	if (login)
		wbuf_u8(&b, METHOD_PASSWORD);
	said(t, &b, STATE_METHOD, 2);
}

static void put_text(struct wbuf *b, const char *s)
{
	const size_t len = strlen(s);

	wbuf_u8(b, (uint8_t)len);
	wbuf_bytes(b, s, len);
}

static enum upproxy_status say_login(struct upproxy_talk *t)
{
	struct wbuf b = say(t);

	wbuf_u8(&b, LOGIN_VERSION);
	put_text(&b, t->upproxy->user);
	put_text(&b, t->upproxy->password);
	said(t, &b, STATE_LOGIN, 2);
	return UPPROXY_MORE;
}

static enum upproxy_status say_connect(struct upproxy_talk *t)
{
	struct wbuf b = say(t);

	wbuf_u8(&b, SOCKS_VERSION);
	wbuf_u8(&b, CMD_CONNECT);
	wbuf_u8(&b, 0);
	if (t->name) {
		wbuf_u8(&b, ATYP_NAME);
		put_text(&b, t->name);
	} else if (addr_is_v4(&t->to.addr)) {
		wbuf_u8(&b, ATYP_V4);
		wbuf_u32(&b, addr_to_v4(&t->to.addr));
	} else {
		wbuf_u8(&b, ATYP_V6);
		wbuf_bytes(&b, t->to.addr.b, sizeof(t->to.addr.b));
	}
	wbuf_u16(&b, t->to.port);
	said(t, &b, STATE_REPLY, 5);
	return UPPROXY_MORE;
}

static enum upproxy_status take_method(struct upproxy_talk *t)
{
	if (t->in[0] != SOCKS_VERSION)
		return upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
	if (t->in[1] == METHOD_NONE)
		return say_connect(t);
	if (t->in[1] == METHOD_PASSWORD && t->upproxy->has_credentials)
		return say_login(t);
	return upproxy_talk_fail(t, UPPROXY_F_METHOD, t->in[1]);
}

static enum upproxy_status take_login(struct upproxy_talk *t)
{
	/* RFC 1929 says 1 in front; some say 5. The second byte decides. */
	if (t->in[1] != 0)
		return upproxy_talk_fail(t, UPPROXY_F_LOGIN, t->in[1]);
	return say_connect(t);
}

/* The reply's head: how long is the address that follows? */
static enum upproxy_status take_reply(struct upproxy_talk *t)
{
	if (t->in[0] != SOCKS_VERSION)
		return upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
	if (t->in[1] != REPLY_OK)
		return upproxy_talk_fail(t, UPPROXY_F_SOCKS, t->in[1]);
	t->state = STATE_BOUND;
	switch (t->in[3]) {
	case ATYP_V4:
		t->in_need = 4 - 1 + 2;
		return UPPROXY_MORE;
	case ATYP_V6:
		t->in_need = 16 - 1 + 2;
		return UPPROXY_MORE;
	case ATYP_NAME:
		t->in_need = t->in[4] + 2U;
		return UPPROXY_MORE;
	default:
		return upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
	}
}

static enum upproxy_status piece(struct upproxy_talk *t)
{
	switch (t->state) {
	case STATE_METHOD:
		return take_method(t);
	case STATE_LOGIN:
		return take_login(t);
	case STATE_REPLY:
		return take_reply(t);
	default:
		return UPPROXY_DONE;
	}
}

enum upproxy_status upproxy_socks_take(struct upproxy_talk *t,
				       const uint8_t *data, size_t len,
				       size_t *ret_used)
{
	enum upproxy_status r = UPPROXY_MORE;
	size_t used = 0;

	while (used < len && r == UPPROXY_MORE) {
		size_t n = t->in_need - t->in_len;

		/* nothing can be an answer to what was not said yet */
		if (t->out_sent < t->out_len)
			r = upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
		if (r != UPPROXY_MORE)
			break;
		if (n > len - used)
			n = len - used;
		memcpy(t->in + t->in_len, data + used, n);
		t->in_len += n;
		used += n;
		if (t->in_len < t->in_need)
			break;
		t->in_len = 0;
		r = piece(t);
	}
	*ret_used = used;
	return r;
}
