/* upproxy_talk.c - asking a proxy for a connection: bytes in, bytes out
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/upproxy_talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

uint32_t upproxy_failed(enum upproxy_failure kind, unsigned number)
{
	return (uint32_t)kind << 16 | (number & 0xffff);
}

static enum upproxy_failure kind_of(uint32_t failure)
{
	return (enum upproxy_failure)(failure >> 16);
}

static unsigned number_of(uint32_t failure)
{
	return failure & 0xffff;
}

bool upproxy_failure_valid(uint32_t failure)
{
	return kind_of(failure) <= UPPROXY_F_LAST;
}

bool upproxy_failure_final(uint32_t failure)
{
	switch (kind_of(failure)) {
	case UPPROXY_F_HTTP:
		return number_of(failure) == 401 || number_of(failure) == 407;
	case UPPROXY_F_AUTH:
	case UPPROXY_F_METHOD:
	case UPPROXY_F_LOGIN:
	case UPPROXY_F_NONSENSE:
		return true;
	case UPPROXY_F_NONE:
	case UPPROXY_F_NO_NAME:
	case UPPROXY_F_REACH:
	case UPPROXY_F_LOST:
	case UPPROXY_F_LATE:
	case UPPROXY_F_SOCKS:
		break;
	}
	return false;
}

static int http_errno(unsigned status)
{
	switch (status) {
	case 401:
	case 403:
	case 407:
		return EACCES;
	case 408:
	case 504:
		return ETIMEDOUT;
	default:
		return EHOSTUNREACH;
	}
}

/* RFC 1928 6 */
static const struct {
	int error;
	const char *text;
} socks_replies[] = {
	[1] = { EHOSTUNREACH, "general failure" },
	[2] = { EACCES, "not allowed there" },
	[3] = { ENETUNREACH, "network unreachable" },
	[4] = { EHOSTUNREACH, "host unreachable" },
	[5] = { ECONNREFUSED, "connection refused" },
	[6] = { ETIMEDOUT, "TTL expired" },
	[7] = { EOPNOTSUPP, "command not supported" },
	[8] = { EAFNOSUPPORT, "address type not supported" },
};

enum { SOCKS_REPLIES = sizeof(socks_replies) / sizeof(socks_replies[0]) };

int upproxy_failure_errno(uint32_t failure)
{
	const unsigned number = number_of(failure);

	switch (kind_of(failure)) {
	case UPPROXY_F_NONE:
		return 0;
	case UPPROXY_F_NO_NAME:
		return EHOSTUNREACH;
	case UPPROXY_F_REACH:
	case UPPROXY_F_LOST:
		return number ? (int)number : ECONNRESET;
	case UPPROXY_F_LATE:
		return ETIMEDOUT;
	case UPPROXY_F_NONSENSE:
		return EPROTO;
	case UPPROXY_F_HTTP:
		return http_errno(number);
	case UPPROXY_F_AUTH:
	case UPPROXY_F_METHOD:
	case UPPROXY_F_LOGIN:
		return EACCES;
	case UPPROXY_F_SOCKS:
		return number > 0 && number < SOCKS_REPLIES ?
			       socks_replies[number].error :
			       EPROTO;
	}
	return EPROTO;
}

static const char *http_text(unsigned status)
{
	switch (status) {
	case 403:
		return ", not allowed there";
	case 401:
	case 407:
		return ", it wants other credentials";
	case 502:
	case 503:
		return ", it could not reach the target";
	case 504:
		return ", the target did not answer it";
	default:
		return "";
	}
}

const char *upproxy_failure_text(uint32_t failure,
				 char buf[UPPROXY_FAILURE_TEXT])
{
	const unsigned number = number_of(failure);
	const char *name;

	buf[0] = '\0';
	switch (kind_of(failure)) {
	case UPPROXY_F_NONE:
		return buf;
	case UPPROXY_F_REACH:
		name = strerrorname_np((int)number);
		(void)snprintf(buf, UPPROXY_FAILURE_TEXT,
			       "upstream_proxy: not reached (%s)",
			       name ? name : "?");
		return buf;
	case UPPROXY_F_HTTP:
		(void)snprintf(buf, UPPROXY_FAILURE_TEXT,
			       "upstream_proxy: HTTP %u%s", number,
			       http_text(number));
		return buf;
	case UPPROXY_F_SOCKS:
		(void)snprintf(buf, UPPROXY_FAILURE_TEXT,
			       "upstream_proxy: SOCKS reply %u%s%s", number,
			       number < SOCKS_REPLIES && number ? ", " : "",
			       number < SOCKS_REPLIES && number ?
				       socks_replies[number].text :
				       "");
		return buf;
	case UPPROXY_F_NO_NAME:
		name = "its name has no address";
		break;
	case UPPROXY_F_LOST:
		name = "closed before it had answered";
		break;
	case UPPROXY_F_LATE:
		name = "no answer in time";
		break;
	case UPPROXY_F_AUTH:
		name = "HTTP 407, and it does not take Basic authentication";
		break;
	case UPPROXY_F_METHOD:
		name = "takes none of our ways to log in";
		break;
	case UPPROXY_F_LOGIN:
		name = "user and password refused";
		break;
	case UPPROXY_F_NONSENSE:
	default:
		name = "does not speak the protocol of its URL";
		break;
	}
	(void)snprintf(buf, UPPROXY_FAILURE_TEXT, "upstream_proxy: %s", name);
	return buf;
}

enum upproxy_status upproxy_talk_fail(struct upproxy_talk *t,
				      enum upproxy_failure kind,
				      unsigned number)
{
	t->failure = upproxy_failed(kind, number);
	return UPPROXY_FAILED;
}

void upproxy_talk_begin(struct upproxy_talk *t, const struct upproxy *u,
			const char *name, const struct endpoint *to)
{
	*t = (struct upproxy_talk){
		.upproxy = u,
		.name = name,
		.to = *to,
	};
	if (u->kind == UPPROXY_SOCKS)
		upproxy_socks_begin(t);
	else
		upproxy_http_begin(t);
}

const void *upproxy_talk_out(const struct upproxy_talk *t, size_t *ret_len)
{
	*ret_len = t->out_len - t->out_sent;
	return *ret_len ? t->out + t->out_sent : NULL;
}

void upproxy_talk_sent(struct upproxy_talk *t, size_t n)
{
	t->out_sent += n;
}

enum upproxy_status upproxy_talk_take(struct upproxy_talk *t, const void *data,
				      size_t len, size_t *ret_used)
{
	*ret_used = 0;
	if (t->upproxy->kind == UPPROXY_SOCKS)
		return upproxy_socks_take(t, data, len, ret_used);
	return upproxy_http_take(t, data, len, ret_used);
}

void upproxy_talk_wipe(struct upproxy_talk *t)
{
	explicit_bzero(t->out, sizeof(t->out));
}
