/* fuzz_http.c - request heads and bodies
 * SPDX-License-Identifier: Apache-2.0
 *
 * A head that is taken is read again as a lenient server might: lines end at
 * CR or LF, case, blanks and controls in a name do not count, '_' is '-'. Such
 * a server must find the same host and the same end of the body.
 */
#include <ctype.h>
#include <string.h>

#include "policy/rule.h"
#include "proxy/http.h"
#include "tests/fuzz/fuzz.h"

static void check_head(const struct http_head *h, size_t size)
{
	char canonical[LIMIT_NAME + 1];

	assert(h->len > 0 && h->len <= size);
	assert(h->version == 10 || h->version == 11);
	assert(!h->chunked || h->length == 0);
	assert(!h->literal || !h->name[0]);
	assert(!h->name[0] ||
	       (name_canonical(h->name, strlen(h->name), canonical) &&
		strcmp(canonical, h->name) == 0));
}

struct lenient {
	unsigned hosts, lengths, encodings;
	char host[LIMIT_NAME + 64];
	uint64_t length;
	bool chunked;
};

static void lenient_text(const char *line, size_t len, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c > ' ' && c < 0x7f)
			ret[n++] = (char)tolower(c);
	}
	ret[n] = '\0';
}

static void lenient_header(const char *line, size_t len, struct lenient *ret)
{
	const char *colon = memchr(line, ':', len);
	char name[32], value[sizeof(ret->host)];

	/* one would take it for a part of the header before */
	assert(colon && line[0] != ' ' && line[0] != '\t');
	lenient_text(line, (size_t)(colon - line), name, sizeof(name));
	lenient_text(colon + 1, len - (size_t)(colon + 1 - line), value,
		     sizeof(value));
	for (char *p = strchr(name, '_'); p; p = strchr(p, '_'))
		*p = '-';
	if (strcmp(name, "host") == 0) {
		ret->hosts++;
		memcpy(ret->host, value, sizeof(ret->host));
	} else if (strcmp(name, "content-length") == 0) {
		ret->lengths++;
		for (const char *p = value; isdigit((unsigned char)*p); p++)
			ret->length = ret->length * 10 + (unsigned)(*p - '0');
	} else if (strcmp(name, "transfer-encoding") == 0) {
		ret->encodings++;
		ret->chunked = strstr(value, "chunked");
	}
}

static void lenient_read(const char *head, size_t len, struct lenient *ret)
{
	bool request_line = true;

	while (len > 0) {
		size_t n = 0;

		while (n < len && head[n] != '\r' && head[n] != '\n')
			n++;
		if (n > 0 && !request_line)
			lenient_header(head, n, ret);
		request_line &= n == 0;
		head += n + (n < len);
		len -= n + (n < len);
	}
}

static void check_lenient(const uint8_t *data, const struct http_head *h)
{
	struct lenient r = { 0 };
	char *end;

	lenient_read((const char *)data, h->len, &r);
	assert(r.hosts <= 1 && (r.hosts == 1 || h->version == 10));
	assert(r.lengths + r.encodings <= 1);
	assert(r.chunked == h->chunked && (!r.encodings || r.chunked));
	assert(!r.lengths || r.length == h->length);
	if (r.hosts == 0)
		return;
	if (h->literal) {
		assert(r.host[0] == '[' || isdigit((unsigned char)r.host[0]));
		return;
	}
	end = strchr(r.host, ':');
	if (end)
		*end = '\0';
	end = r.host + strlen(r.host);
	if (end > r.host && end[-1] == '.')
		end[-1] = '\0';
	assert(strcmp(r.host, h->name) == 0);
}

/* Byte by byte a body ends where it ends as a whole. */
static void check_body(const struct http_head *h, const uint8_t *data,
		       size_t size)
{
	struct http_body whole, slow;
	size_t used = 0, at = 0;
	enum http_status s, t = HTTP_NEED_MORE;

	http_body_start(&whole, h);
	slow = whole;
	s = http_body_feed(&whole, data, size, &used);
	if (slow.state == HTTP_BODY_END)
		t = HTTP_OK;
	while (t == HTTP_NEED_MORE && at < size) {
		size_t n = 0;

		t = http_body_feed(&slow, data + at, 1, &n);
		at += n;
	}
	assert(s == t);
	assert(s == HTTP_BAD || at == used);
}

/* Byte by byte a server has switched where it has as a whole. */
static void check_switch(const uint8_t *data, size_t size)
{
	struct http_switch whole, slow;
	enum http_status s, t = HTTP_NEED_MORE;

	http_switch_init(&whole, HTTP_UPGRADE_WEBSOCKET);
	slow = whole;
	s = http_switch_feed(&whole, data, size);
	for (size_t i = 0; i < size && t == HTTP_NEED_MORE; i++)
		t = http_switch_feed(&slow, data + i, 1);
	assert(s == t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h, part;
	enum http_status s = http_peek(data, size, &h);

	if (s == HTTP_BAD)
		assert(h.why);
	check_switch(data, size);
	if (s != HTTP_OK)
		return 0;
	check_head(&h, size);
	check_lenient(data, &h);
	assert(http_peek(data, h.len, &part) == HTTP_OK);
	assert(part.len == h.len && strcmp(part.name, h.name) == 0);
	assert(http_peek(data, h.len - 1, &part) == HTTP_NEED_MORE);
	check_body(&h, data + h.len, size - h.len);
	return 0;
}
