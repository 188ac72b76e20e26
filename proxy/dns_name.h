/* dns_name.h - names on the wire, shared by the two halves of dns.h
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_PROXY_DNS_NAME_H
#define EXEAT_PROXY_DNS_NAME_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/limits.h"

enum dns_name_status {
	DNS_NAME_OK,
	DNS_NAME_ROOT, /* ret is "" */
	DNS_NAME_ODD,  /* well-formed, no host name; ret is "" */
	DNS_NAME_BROKEN,
};

/*
 * Read a name at the cursor, which must be one over the whole message (a
 * compression pointer counts from r->start), and advance past it. `pointers`:
 * compression is allowed, strictly backwards.
 */
enum dns_name_status dns_name_read(struct rbuf *r, bool pointers,
				   char ret[LIMIT_NAME + 1]);

/* "" is the root. A label that cannot be makes w bad. */
void dns_name_write(struct wbuf *w, const char *name);

#endif
