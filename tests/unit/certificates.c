/* certificates.c - authorities and certificates, made when they are needed
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/certificates.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_true(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

struct identity certificate_make(const char *name, const struct leaf *leaf,
				 const struct identity *by)
{
	static const struct leaf none;
	static long serial;
	const bool is_leaf = leaf != NULL;
	const struct leaf *l = is_leaf ? leaf : &none;
	struct identity id = {
		.key = l->rsa_bits ? EVP_RSA_gen((unsigned)l->rsa_bits) :
				     EVP_EC_gen("P-256"),
		.certificate = X509_new(),
	};
	X509 *x = id.certificate;
	X509_NAME *subject = X509_get_subject_name(x);

	assert_non_null(id.key);
	assert_true(X509_set_version(x, 2));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial));
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x),
					l->ends ? l->begins : -DAY));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x),
					l->ends ? l->ends : DAY));
	assert_true(X509_set_pubkey(x, id.key));
	assert_true(X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0));
	assert_true(X509_set_issuer_name(
		x, by ? X509_get_subject_name(by->certificate) : subject));
	extend(x, NID_basic_constraints,
	       is_leaf ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (l->san)
		extend(x, NID_subject_alt_name, l->san);
	if (l->usage)
		extend(x, NID_ext_key_usage, l->usage);
	assert_true(X509_sign(x, by ? by->key : id.key, EVP_sha256()));
	return id;
}

void certificate_free(struct identity *id)
{
	X509_free(id->certificate);
	EVP_PKEY_free(id->key);
}

char *certificate_pem(const struct identity *id)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *pem;
	long len;

	assert_true(PEM_write_bio_X509(bio, id->certificate));
	len = BIO_get_mem_data(bio, &data);
	pem = strndup(data, (size_t)len);
	assert_non_null(pem);
	BIO_free(bio);
	return pem;
}
