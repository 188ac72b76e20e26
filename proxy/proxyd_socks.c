/* proxyd_socks.c - SOCKS 5 as a client says it
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/proxyd_socks.h"

#include <string.h>

#include "core/base/buf.h"
#include "policy/rule.h"

enum {
	COMMAND_CONNECT = 1,
	TYPE_IPV4 = 1,
	TYPE_NAME = 3,
	TYPE_IPV6 = 4,
	PASSWORD_VERSION = 1,
};

/* What a cursor that ran out means: the rest is still on its way. */
static enum socks_status whole(const struct rbuf *r, size_t *ret_len)
{
	if (r->bad)
		return SOCKS_NEED_MORE;
	*ret_len = rbuf_pos(r);
	return SOCKS_OK;
}

enum socks_status socks_greeting(const uint8_t *data, size_t len,
				 uint8_t *ret_method, size_t *ret_len)
{
	struct rbuf r = rbuf_make(data, len);
	uint8_t version = rbuf_u8(&r);
	uint8_t n = rbuf_u8(&r);
	const uint8_t *methods = rbuf_bytes(&r, n);

	if (len > 0 && version != SOCKS_VERSION_5)
		return SOCKS_BAD;
	*ret_method = SOCKS_NO_METHOD;
	if (methods && memchr(methods, SOCKS_NO_AUTHENTICATION, n))
		*ret_method = SOCKS_NO_AUTHENTICATION;
	else if (methods && memchr(methods, SOCKS_PASSWORD, n))
		*ret_method = SOCKS_PASSWORD;
	return whole(&r, ret_len);
}

enum socks_status socks_password(const uint8_t *data, size_t len,
				 size_t *ret_len)
{
	struct rbuf r = rbuf_make(data, len);

	if (len > 0 && rbuf_u8(&r) != PASSWORD_VERSION)
		return SOCKS_BAD;
	rbuf_skip(&r, rbuf_u8(&r));
	rbuf_skip(&r, rbuf_u8(&r));
	return whole(&r, ret_len);
}

static enum socks_status bad(struct socks_request *q, uint8_t reply,
			     const char *why)
{
	q->name[0] = '\0';
	q->reply = reply;
	q->why = why;
	return SOCKS_BAD;
}

/* Clients send an address as a name, too. */
static bool take_name(const uint8_t *data, size_t len, struct socks_request *q)
{
	char text[UINT8_MAX + 1];
	const char *cursor = text;

	memcpy(text, data, len);
	text[len] = '\0';
	if (strlen(text) == len && addr_parse(&cursor, &q->addr) &&
	    *cursor == '\0') {
		q->literal = true;
		return true;
	}
	return name_canonical(text, len, q->name);
}

static bool take_target(struct rbuf *r, uint8_t type, struct socks_request *q)
{
	size_t len = type == TYPE_IPV4 ? 4 :
		     type == TYPE_IPV6 ? 16 :
					 rbuf_u8(r);
	const uint8_t *data = rbuf_bytes(r, len);

	if (!data)
		return true; /* the cursor knows */
	if (type == TYPE_NAME)
		return take_name(data, len, q);
	q->literal = true;
	q->addr = addr_from_bytes(data, len);
	return true;
}

enum socks_status socks_request_peek(const uint8_t *data, size_t len,
				     struct socks_request *ret)
{
	struct rbuf r = rbuf_make(data, len);
	uint8_t version = rbuf_u8(&r);
	uint8_t command = rbuf_u8(&r);
	uint8_t type;
	bool good;

	memset(ret, 0, sizeof(*ret));
	rbuf_skip(&r, 1);
	type = rbuf_u8(&r);
	if (len > 0 && version != SOCKS_VERSION_5)
		return bad(ret, SOCKS_FAILURE, "not SOCKS 5");
	if (r.bad)
		return SOCKS_NEED_MORE;
	if (type != TYPE_IPV4 && type != TYPE_IPV6 && type != TYPE_NAME)
		return bad(ret, SOCKS_NO_ADDRESS_TYPE, "address type");
	good = take_target(&r, type, ret);
	ret->port = rbuf_u16(&r);
	if (r.bad)
		return SOCKS_NEED_MORE;
	if (!good)
		return bad(ret, SOCKS_FAILURE, "bad name");
	if (command != COMMAND_CONNECT)
		return bad(ret, SOCKS_NO_COMMAND, "only CONNECT");
	if (ret->port == 0)
		return bad(ret, SOCKS_FAILURE, "port 0");
	return whole(&r, &ret->len);
}

void socks_reply(uint8_t code, uint8_t ret[SOCKS_REPLY_LEN])
{
	memset(ret, 0, SOCKS_REPLY_LEN);
	ret[0] = SOCKS_VERSION_5;
	ret[1] = code;
	ret[3] = TYPE_IPV4;
}
