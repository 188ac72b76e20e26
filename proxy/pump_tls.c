/* pump_tls.c - the pump's words with OpenSSL
 * SPDX-License-Identifier: Apache-2.0
 *
 * No configuration of OpenSSL's is read and no file opened: what holds is
 * here. TLS 1.2 or 1.3, 112 bits, no renegotiation, no compression, no
 * resumption; names by subjectAltName alone (RFC 9525 2).
 *
 * The socket is read and written by a BIO of our own, so that it is known
 * whether a call has stopped for the socket's sake, and with which errno.
 *
 * #syscalls recvfrom sendto
 */
#include "proxy/pump_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "policy/upproxy.h"
#include "proxy/upproxy_talk.h"

enum { CHAIN_MAX = 10, SECURITY_LEVEL = 2, CERTIFICATES_MAX = 10000 };

/* ---- the socket ---- */

static int socket_read(BIO *bio, char *data, int size)
{
	struct pump_tls *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do {
		n = recv(t->fd, data, (size_t)size, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		t->readable = false;
		BIO_set_retry_read(bio);
	} else if (n < 0) {
		t->error = errno;
	}
	t->ended |= n == 0;
	return (int)n;
}

static int socket_write(BIO *bio, const char *data, int len)
{
	struct pump_tls *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do {
		n = send(t->fd, data, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		t->writable = false;
		BIO_set_retry_write(bio);
	} else if (n < 0) {
		t->error = errno;
	}
	return (int)n;
}

static long socket_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const struct pump_tls *t = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return t->ended;
	/* nothing waits here */
	return command == BIO_CTRL_FLUSH;
}

/* One for the process: it is a table of three functions. */
static const BIO_METHOD *socket_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "pump");
	if (method && BIO_meth_set_read(method, socket_read) &&
	    BIO_meth_set_write(method, socket_write) &&
	    BIO_meth_set_ctrl(method, socket_ctrl))
		return method;
	BIO_meth_free(method);
	method = NULL;
	return NULL;
}

/* ---- what all have in common ---- */

static int no_memory(struct err *err)
{
	return err_sys(err, ENOMEM, "prepare TLS", NULL);
}

static int bad_certificate(struct err *err, int number)
{
	int r = err_new(err, ERR_INVALID, "ca_file", NULL,
			"certificate %d of the file cannot be read", number);

	err_remedy(err, "certificates of authorities, as PEM");
	return r;
}

static bool is_end(unsigned long e)
{
	return ERR_GET_LIB(e) == ERR_LIB_PEM &&
	       ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

/* One of the machine's that cannot be read vouches for nobody. The number of
 * those that were added, or -errno. */
static int add_all(X509_STORE *store, BIO *pem, bool own, struct err *err)
{
	int n = 0;

	for (int i = 1; i <= CERTIFICATES_MAX; i++) {
		X509 *x;
		bool added;

		ERR_clear_error();
		x = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
		if (!x && is_end(ERR_peek_last_error()))
			break;
		added = x && X509_STORE_add_cert(store, x);
		X509_free(x);
		n += added;
		if (!added && own)
			return bad_certificate(err, i);
	}
	ERR_clear_error();
	return n;
}

static int add_text(X509_STORE *store, const char *text, size_t len, bool own,
		    struct err *err)
{
	BIO *pem = len > 0 ? BIO_new_mem_buf(text, (int)len) : NULL;
	int n = 0;

	if (len > 0 && !pem)
		return no_memory(err);
	if (pem)
		n = add_all(store, pem, own, err);
	BIO_free(pem);
	return n;
}

static int load(SSL_CTX *context, const struct pump_trust *trust,
		struct err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	bool own = trust->own_len > 0;
	int n = add_text(store, trust->own, trust->own_len, true, err), more;

	if (n < 0)
		return n;
	if (own && n > 0)
		(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	more = add_text(store, trust->machine, trust->machine_len, false, err);
	if (more < 0)
		return more;
	if (own ? n > 0 : more > 0)
		return 0;
	return err_new(err, own ? ERR_INVALID : ERR_UNAVAILABLE, "ca_file",
		       NULL, "no certificate was found in it");
}

static bool configure(SSL_CTX *context)
{
	static const uint8_t protocols[] = "\x08http/1.1";

	SSL_CTX_set_security_level(context, SECURITY_LEVEL);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_verify_depth(context, CHAIN_MAX);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_NO_COMPRESSION |
					     SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* who sends no bytes, but records, must not keep us: pump_tls.h */
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
	       SSL_CTX_set_alpn_protos(context, protocols,
				       sizeof(protocols) - 1) == 0;
}

int pump_tls_context(const struct pump_trust *trust, SSL_CTX **ret,
		     struct err *err)
{
	SSL_CTX *context;
	int r;

	if (!OPENSSL_init_ssl(
		    OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
		return no_memory(err);
	context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return no_memory(err);
	r = configure(context) ? load(context, trust, err) : no_memory(err);
	if (r < 0) {
		SSL_CTX_free(context);
		return r;
	}
	*ret = context;
	return 0;
}

/* ---- one connection ---- */

/* SNI is for names (RFC 6066 3). */
static bool expect(SSL *ssl, const struct upproxy *to)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	const bool v4 = addr_is_v4(&to->addr);

	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
			       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (!to->host[0])
		return X509_VERIFY_PARAM_set1_ip(
			param, to->addr.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	return X509_VERIFY_PARAM_set1_host(param, to->host, 0) &&
	       SSL_set_tlsext_host_name(ssl, to->host);
}

int pump_tls_init(struct pump_tls *t, SSL_CTX *context,
		  const struct upproxy *to, int fd)
{
	const BIO_METHOD *method = socket_method();
	BIO *bio = method ? BIO_new(method) : NULL;

	*t = (struct pump_tls){ .fd = fd };
	t->ssl = bio ? SSL_new(context) : NULL;
	if (!t->ssl || !expect(t->ssl, to)) {
		BIO_free(bio);
		pump_tls_done(t);
		return -ENOMEM;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_connect_state(t->ssl);
	return 0;
}

void pump_tls_done(struct pump_tls *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
}

static enum pump_io outcome(const struct pump_tls *t, int r)
{
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return PUMP_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return PUMP_END;
	default:
		return PUMP_BROKEN;
	}
}

enum pump_io pump_tls_handshake(struct pump_tls *t)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	if (r <= 0)
		return outcome(t, r) == PUMP_AGAIN ? PUMP_AGAIN : PUMP_BROKEN;
	/* it would have failed by now */
	return SSL_get_verify_result(t->ssl) == X509_V_OK ? PUMP_DONE :
							    PUMP_BROKEN;
}

enum pump_io pump_tls_read(struct pump_tls *t, void *data, size_t size,
			   size_t *ret_n)
{
	ERR_clear_error();
	if (SSL_read_ex(t->ssl, data, size, ret_n))
		return PUMP_DONE;
	return outcome(t, 0);
}

enum pump_io pump_tls_write(struct pump_tls *t, const void *data, size_t len,
			    size_t *ret_n)
{
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, data, len, ret_n))
		return PUMP_DONE;
	return outcome(t, 0) == PUMP_AGAIN ? PUMP_AGAIN : PUMP_BROKEN;
}

enum pump_io pump_tls_end(struct pump_tls *t)
{
	int r;

	ERR_clear_error();
	r = SSL_shutdown(t->ssl);
	/* 0: ours is out, the proxy's has not come yet */
	if (r >= 0)
		return PUMP_DONE;
	return outcome(t, r) == PUMP_AGAIN ? PUMP_AGAIN : PUMP_BROKEN;
}

/* ---- why not ---- */

static enum upproxy_certificate certificate(long verdict)
{
	switch (verdict) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return UPPROXY_C_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return UPPROXY_C_EARLY;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return UPPROXY_C_SELF_SIGNED;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return UPPROXY_C_UNKNOWN;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return UPPROXY_C_NAME;
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return UPPROXY_C_ADDRESS;
	case X509_V_ERR_INVALID_PURPOSE:
		return UPPROXY_C_PURPOSE;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return UPPROXY_C_WEAK;
	default:
		return UPPROXY_C_OTHER;
	}
}

uint32_t pump_tls_failure(const struct pump_tls *t)
{
	const long verdict = SSL_get_verify_result(t->ssl);
	const unsigned long e = ERR_peek_error();
	const int reason = ERR_GET_REASON(e);

	if (verdict != X509_V_OK)
		return upproxy_failed(UPPROXY_F_TLS_CERTIFICATE,
				      certificate(verdict));
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
		return upproxy_failed(UPPROXY_F_TLS_ALERT,
				      (unsigned)reason - SSL_AD_REASON_OFFSET);
	if (t->error || t->ended)
		return upproxy_failed(UPPROXY_F_TLS_LOST, (unsigned)t->error);
	if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    (reason == SSL_R_UNSUPPORTED_PROTOCOL ||
	     reason == SSL_R_WRONG_SSL_VERSION))
		return upproxy_failed(UPPROXY_F_TLS_OLD, 0);
	return upproxy_failed(UPPROXY_F_TLS_NONSENSE, 0);
}
