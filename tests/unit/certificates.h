/* certificates.h - authorities and certificates, made when they are needed
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_CERTIFICATES_H
#define EXEAT_TESTS_CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

enum { DAY = 24 * 3600 }; /* seconds */

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

struct leaf {
	const char *san, *usage;
	long begins, ends; /* seconds from now; no end: a day around it */
	int rsa_bits;	   /* 0: P-256 */
};

/* `leaf` NULL: an authority. `by` NULL: signs itself. */
struct identity certificate_make(const char *name, const struct leaf *leaf,
				 const struct identity *by);
void certificate_free(struct identity *id);
/* Heap, terminated. */
char *certificate_pem(const struct identity *id);

#endif
