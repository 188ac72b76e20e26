/* dns_name.c - names on the wire
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/dns_name.h"

#include <string.h>

#include "policy/rule.h"

enum {
	WIRE_MAX = 255,	   /* RFC 1035 2.3.4, with the root */
	POINTERS_MAX = 32, /* of one name */
	TAG = 0xc0,	   /* RFC 1035 4.1.4 */
};

/* The labels of a name as they are read, and where they are read from. */
struct name_walk {
	struct rbuf at;
	size_t before; /* a pointer must lead before this */
	unsigned pointers;
	bool odd;
	size_t len;
	char text[WIRE_MAX];
};

/*
 * Each pointer leads before the place where the labels being read began: the
 * sequence falls strictly, so it ends.
 */
static bool walk_pointer(struct name_walk *w, uint8_t high)
{
	size_t to = (size_t)(high & ~TAG) << 8 | rbuf_u8(&w->at);

	if (w->at.bad || to >= w->before || ++w->pointers > POINTERS_MAX)
		return false;
	w->before = to;
	w->at.p = w->at.start + to;
	return true;
}

static bool walk_label(struct name_walk *w, uint8_t len)
{
	const uint8_t *label = rbuf_bytes(&w->at, len);

	/* text and dot take as many bytes as label and length did */
	if (!label || w->len + len + 1 > WIRE_MAX - 1)
		return false;
	/* a dot inside a label must not look like one between two */
	if (memchr(label, '.', len))
		w->odd = true;
	memcpy(w->text + w->len, label, len);
	w->len += len;
	w->text[w->len++] = '.';
	return true;
}

enum dns_name_status dns_name_read(struct rbuf *r, bool pointers,
				   char ret[LIMIT_NAME + 1])
{
	struct name_walk w = { .at = *r, .before = rbuf_pos(r) };
	struct rbuf after = *r;

	ret[0] = '\0';
	for (;;) {
		uint8_t c = rbuf_u8(&w.at);
		bool ok;

		if (w.at.bad)
			return DNS_NAME_BROKEN;
		if (c == 0)
			break;
		if ((c & TAG) == TAG) {
			if (w.pointers == 0) {
				after = w.at;
				rbuf_skip(&after, 1);
			}
			ok = pointers && walk_pointer(&w, c);
		} else {
			ok = (c & TAG) == 0 && walk_label(&w, c);
		}
		if (!ok)
			return DNS_NAME_BROKEN;
	}
	*r = w.pointers > 0 ? after : w.at;
	if (w.len == 0)
		return DNS_NAME_ROOT;
	if (w.odd || !name_canonical(w.text, w.len - 1, ret)) {
		ret[0] = '\0';
		return DNS_NAME_ODD;
	}
	return DNS_NAME_OK;
}

void dns_name_write(struct wbuf *w, const char *name)
{
	size_t total = 1;

	while (*name) {
		size_t n = strcspn(name, ".");

		total += n + 1;
		if (n == 0 || n > LIMIT_LABEL || total > WIRE_MAX) {
			w->bad = true;
			return;
		}
		wbuf_u8(w, (uint8_t)n);
		wbuf_bytes(w, name, n);
		name += n;
		if (*name == '.')
			name++;
	}
	wbuf_u8(w, 0);
}
