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
	case UPPROXY_F_TLS_NONSENSE:
	case UPPROXY_F_TLS_OLD:
	case UPPROXY_F_TLS_CERTIFICATE:
	case UPPROXY_F_TLS_ALERT:
		return true;
	case UPPROXY_F_TLS_LOST:
	case UPPROXY_F_TLS_LATE:
	case UPPROXY_F_TLS_LIMIT:
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
	case UPPROXY_F_TLS_LOST:
		return number ? (int)number : ECONNRESET;
	case UPPROXY_F_LATE:
	case UPPROXY_F_TLS_LATE:
		return ETIMEDOUT;
	case UPPROXY_F_NONSENSE:
	case UPPROXY_F_TLS_NONSENSE:
	case UPPROXY_F_TLS_OLD:
	case UPPROXY_F_TLS_ALERT:
		return EPROTO;
	case UPPROXY_F_TLS_CERTIFICATE:
		return EACCES;
	case UPPROXY_F_TLS_LIMIT:
		return ENOBUFS;
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

/* RFC 8446 6.2 */
static const char *alert_text(unsigned number)
{
	switch (number) {
	case 40:
	case 71:
		return ", nothing in common";
	case 42:
	case 48:
	case 116:
		return ", it wants a certificate of ours";
	case 70:
		return ", its TLS is older than 1.2";
	case 112:
		return ", it does not know its name";
	case 120:
		return ", it does not speak HTTP/1.1";
	default:
		return "";
	}
}

static const char *const certificate_texts[] = {
	[UPPROXY_C_OTHER] = "its certificate cannot be verified",
	[UPPROXY_C_EXPIRED] = "its certificate has expired",
	[UPPROXY_C_EARLY] = "its certificate is not valid yet",
	[UPPROXY_C_SELF_SIGNED] = "its certificate is its own, self-signed",
	[UPPROXY_C_UNKNOWN] = "its certificate is of an unknown authority",
	[UPPROXY_C_NAME] = "its certificate is for another name",
	[UPPROXY_C_ADDRESS] = "its certificate does not have its address",
	[UPPROXY_C_PURPOSE] = "its certificate is not one for servers",
	[UPPROXY_C_WEAK] = "its certificate's key or signature is too weak",
};

static const char *certificate_text(unsigned number)
{
	const size_t n = sizeof(certificate_texts) / sizeof(char *);

	return certificate_texts[number < n ? number : UPPROXY_C_OTHER];
}

static const char *const texts[] = {
	[UPPROXY_F_NO_NAME] = "its name has no address",
	[UPPROXY_F_LOST] = "closed before it had answered",
	[UPPROXY_F_LATE] = "no answer in time",
	[UPPROXY_F_NONSENSE] = "does not speak the protocol of its URL",
	[UPPROXY_F_AUTH] = "HTTP 407, and it does not take Basic",
	[UPPROXY_F_METHOD] = "takes none of our ways to log in",
	[UPPROXY_F_LOGIN] = "user and password refused",
	[UPPROXY_F_TLS_NONSENSE] = "does not speak TLS",
	[UPPROXY_F_TLS_OLD] = "its TLS is older than 1.2",
	[UPPROXY_F_TLS_LOST] = "closed in the handshake of TLS",
	[UPPROXY_F_TLS_LATE] = "no handshake of TLS in time",
	[UPPROXY_F_TLS_LIMIT] = "too many connections within TLS",
};

/* Of those kinds that a number says more of; else NULL. */
static const char *number_text(uint32_t failure, char *buf, size_t size)
{
	const enum upproxy_failure kind = kind_of(failure);
	const unsigned number = number_of(failure);
	const char *name = strerrorname_np((int)number);
	const bool known = number > 0 && number < SOCKS_REPLIES;

	if (kind == UPPROXY_F_TLS_CERTIFICATE)
		return certificate_text(number);
	if (kind == UPPROXY_F_REACH)
		(void)snprintf(buf, size, "not reached (%s)",
			       name ? name : "?");
	else if (kind == UPPROXY_F_HTTP)
		(void)snprintf(buf, size, "HTTP %u%s", number,
			       http_text(number));
	else if (kind == UPPROXY_F_SOCKS)
		(void)snprintf(buf, size, "SOCKS reply %u%s%s", number,
			       known ? ", " : "",
			       known ? socks_replies[number].text : "");
	else if (kind == UPPROXY_F_TLS_ALERT)
		(void)snprintf(buf, size, "TLS alert %u%s", number,
			       alert_text(number));
	else
		return NULL;
	return buf;
}

const char *upproxy_failure_text(uint32_t failure,
				 char buf[UPPROXY_FAILURE_TEXT])
{
	char number[UPPROXY_FAILURE_TEXT - 16];
	const char *text = number_text(failure, number, sizeof(number));

	buf[0] = '\0';
	if (!text && kind_of(failure) < sizeof(texts) / sizeof(texts[0]))
		text = texts[kind_of(failure)];
	if (text)
		(void)snprintf(buf, UPPROXY_FAILURE_TEXT, "upstream_proxy: %s",
			       text);
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
