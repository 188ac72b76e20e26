/* front_naive.c - what a target was sent, read by another parser
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/front_naive.h"

#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

void bytes_note(struct bytes *b, const void *data, size_t len)
{
	size_t room = KEPT - b->len;

	b->cut |= len > room;
	if (len > room)
		len = room;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

bool bytes_begin(const struct bytes *whole, const struct bytes *part)
{
	return part->cut || whole->cut ||
	       (part->len <= whole->len &&
		memcmp(part->data, whole->data, part->len) == 0);
}

bool bytes_have(const struct bytes *b, const void *part, size_t len)
{
	return len == 0 || memmem(b->data, b->len, part, len) != NULL;
}

/* The value of the one line of this name in a head, by a parser that knows
 * nothing of HTTP but lines. */
static size_t header(const char *head, const char *name, char *ret, size_t size)
{
	size_t found = 0, len = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
		const char *end;

		p += 2;
		end = strstr(p, "\r\n");
		if (strncasecmp(p, name, len) != 0 || p[len] != ':' || !end)
			continue;
		p += len + 1;
		p += strspn(p, " \t");
		(void)snprintf(ret, size, "%.*s", (int)(end - p), p);
		found++;
	}
	return found;
}

/* METHOD PATH VERSION, and no end of a line but CRLF. */
static void check_lines(const char *head)
{
	size_t method = strcspn(head, " \r\n");
	const char *path = head + method + 1;
	size_t len =
		method > 0 && head[method] == ' ' ? strcspn(path, " \r\n") : 0;

	assert(len > 0 && (path[0] == '/' || strncmp(path, "* ", 2) == 0));
	assert(strncmp(path + len, " HTTP/1.0\r\n", 11) == 0 ||
	       strncmp(path + len, " HTTP/1.1\r\n", 11) == 0);
	for (const char *p = head; *p; p++)
		assert((*p == '\r') == (p[1] == '\n'));
}

/* Everything up to the first empty line, terminated; NULL: there is none. */
static const char *first_head(const struct bytes *heard)
{
	static char head[KEPT + 1];
	char *end;

	memcpy(head, heard->data, heard->len);
	head[heard->len] = '\0';
	end = strstr(head, "\r\n\r\n");
	if (end)
		end[2] = '\0';
	return end ? head : NULL;
}

static void check_host(const char *head, const char *name)
{
	char host[512] = "";

	assert(header(head, "host", host, sizeof(host)) == 1);
	assert(!name[0] || (strncasecmp(host, name, strlen(name)) == 0 &&
			    strchr(": \t.", host[strlen(name)])));
}

void naive_host(const struct bytes *heard, const char *name)
{
	const char *head = first_head(heard);

	if (!heard->cut && name[0] && head && strncmp(head, "PRI ", 4) != 0)
		check_host(head, name);
}

void naive_request(const struct bytes *heard, const char *name, bool may_be_cut)
{
	const char *head = first_head(heard);
	char rest[512];

	if (heard->cut)
		return;
	/* written at once, unless a budget cuts it */
	assert(heard->len == 0 || head || may_be_cut);
	if (!head)
		return;
	check_lines(head);
	check_host(head, name);
	assert(header(head, "connection", rest, sizeof(rest)) == 1);
	assert(header(head, "proxy-authorization", rest, sizeof(rest)) == 0);
	assert(header(head, "content-length", rest, sizeof(rest)) +
		       header(head, "transfer-encoding", rest, sizeof(rest)) <=
	       1);
}
