/* upproxy.h - the caller's own proxy: a URL in, a typed value out
 * SPDX-License-Identifier: Apache-2.0
 *
 *	url = scheme "://" [user [":" password] "@"] host [":" port] ["/"]
 *	scheme = "http" | "https" | "socks5" | "socks5h"
 *
 * User and password are percent-decoded (RFC 3986 2.1). The port that is left
 * out is the scheme's own: 80, 443, 1080. No text of an error holds a part of
 * the URL: it may hold a password.
 */
#ifndef EXEAT_POLICY_UPPROXY_H
#define EXEAT_POLICY_UPPROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/buf.h"
#include "core/base/limits.h"

enum upproxy_kind {
	UPPROXY_NONE,
	UPPROXY_HTTP,  /* CONNECT (RFC 9110 9.3.6) */
	UPPROXY_HTTPS, /* the same, within TLS to the proxy */
	UPPROXY_SOCKS, /* RFC 1928, 1929 */
};

/* What the proxy is told to reach. */
enum upproxy_by {
	UPPROXY_BY_ADDRESS, /* an address that the gate has vetted */
	UPPROXY_BY_NAME,    /* the name, where there is one */
};

enum { UPPROXY_TEXT = 255 }; /* of user and password each: RFC 1929 2 */

struct upproxy {
	enum upproxy_kind kind;
	enum upproxy_by by;
	bool dns;	/* names are the proxy's to resolve */
	bool by_scheme; /* socks5h: `by` was said */
	bool has_credentials;
	uint16_t port;
	char host[LIMIT_NAME + 1]; /* canonical name; "": addr */
	struct addr addr;
	char user[UPPROXY_TEXT + 1], password[UPPROXY_TEXT + 1];
};

struct upproxy_error {
	size_t position; /* byte offset in the text */
	const char *message;
	const char *remedy; /* "" if none */
};

/* 0, or -EINVAL with *error filled. */
int upproxy_parse(const char *url, struct upproxy *ret,
		  struct upproxy_error *error);

/*
 * The two choices as words, NULL: unset. `by`: "address", "name"; unset: by
 * name for socks5h and where the proxy resolves, else by address. `dns`:
 * "local" or "proxy"; unset: local. NULL, or what is wrong with them.
 */
const char *upproxy_choose(struct upproxy *u, const char *by, const char *dns);

/* As a part of a message, and back; false if it could not have been parsed. */
void upproxy_encode(const struct upproxy *u, struct sbuf *ret);
bool upproxy_decode(struct rbuf *r, struct upproxy *ret);

/* The URL with three stars for user and password each: what may be shown, and
 * is parsed again. Returns buf. */
enum { UPPROXY_URL = LIMIT_NAME + 48 };
const char *upproxy_url(const struct upproxy *u, char buf[UPPROXY_URL]);
/* Are its credentials those of upproxy_url()? */
bool upproxy_is_masked(const struct upproxy *u);

/* Overwrite the credentials in a way that the compiler keeps. */
void upproxy_wipe(struct upproxy *u);

#endif
