/* proxyd_say.c - what the gate says to clients itself
 * SPDX-License-Identifier: Apache-2.0
 *
 * Text of ours and of the policy: names and rules are printable. An answer is
 * short, and the first thing on its way: it is sent as a whole or not at all.
 *
 * #syscalls sendto
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/limits.h"
#include "proxy/proxyd.h"
#include "proxy/proxyd_socks.h"

enum { TEXT_MAX = 4096 };

static bool say(int fd, const void *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

bool respond_http(int fd, const char *status, const struct sbuf *body)
{
	struct sbuf all;
	bool ok = false;

	sbuf_init(&all, 2 * TEXT_MAX);
	sbuf_fmt(&all,
		 "HTTP/1.1 %s\r\n"
		 "Content-Type: text/plain; charset=utf-8\r\n"
		 "Content-Length: %zu\r\n"
		 "Cache-Control: no-store\r\n"
		 "Connection: close\r\n\r\n",
		 status, body->len);
	sbuf_add(&all, body->s, body->len);
	if (!body->bad && !all.bad)
		ok = say(fd, all.s, all.len);
	sbuf_done(&all);
	return ok;
}

bool respond_socks(int fd, uint8_t reply)
{
	uint8_t text[SOCKS_REPLY_LEN];

	socks_reply(reply, text);
	return say(fd, text, sizeof(text));
}

bool proxyd_say_open(int fd, enum proxyd_protocol protocol)
{
	static const char established[] =
		"HTTP/1.1 200 Connection established\r\n\r\n";

	if (protocol == PROXYD_SOCKS)
		return respond_socks(fd, SOCKS_SUCCEEDED);
	return say(fd, established, sizeof(established) - 1);
}

static void put_target(struct sbuf *b, const struct proxyd_target *t)
{
	char text[ENDPOINT_STRLEN];

	if (t->name[0])
		sbuf_fmt(b, "exeat: %s:%u ", t->name, t->to.port);
	else if (t->to.port)
		sbuf_fmt(b, "exeat: %s ", endpoint_str(&t->to, text));
	else
		sbuf_str(b, "exeat: ");
}

bool proxyd_say_refused(int fd, const struct proxyd_target *target,
			const struct proxyd_refusal *refusal)
{
	bool malformed = refusal->reason == POLICY_R_MALFORMED;
	struct sbuf body;
	bool ok;

	if (target->protocol == PROXYD_NONE)
		return true; /* it was said already */
	if (target->protocol == PROXYD_SOCKS)
		return respond_socks(fd, malformed ? SOCKS_FAILURE :
						     SOCKS_NOT_ALLOWED);
	sbuf_init(&body, TEXT_MAX);
	put_target(&body, target);
	sbuf_fmt(&body, "refused: %s%s%s\n",
		 policy_reason_name(refusal->reason), refusal->why ? ": " : "",
		 refusal->why ? refusal->why : "");
	if (refusal->hint[0])
		sbuf_fmt(&body, "allowed by: --allow %s\n", refusal->hint);
	ok = respond_http(fd, malformed ? "400 Bad Request" : "403 Forbidden",
			  &body);
	sbuf_done(&body);
	return ok;
}

static uint8_t socks_error(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return SOCKS_REFUSED;
	case ENETUNREACH:
	case ENETDOWN:
		return SOCKS_NET_UNREACHABLE;
	case EHOSTUNREACH:
	case ETIMEDOUT:
		return SOCKS_HOST_UNREACHABLE;
	default:
		return SOCKS_FAILURE;
	}
}

bool proxyd_say_failed(int fd, const struct proxyd_target *target, int error)
{
	const char *status = error == ETIMEDOUT ? "504 Gateway Timeout" :
						  "502 Bad Gateway";
	struct sbuf body;
	bool ok;

	if (target->protocol == PROXYD_SOCKS)
		return respond_socks(fd, socks_error(error));
	sbuf_init(&body, TEXT_MAX);
	put_target(&body, target);
	sbuf_fmt(&body, "is allowed, but: %s\n", strerror(error));
	ok = respond_http(fd, status, &body);
	sbuf_done(&body);
	return ok;
}
