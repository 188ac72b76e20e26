/* proxy_pump.c - TLS to the caller's own proxy: who is believed, what passes
 * SPDX-License-Identifier: Apache-2.0
 *
 * The proxy is a child of its own, with OpenSSL's blocking calls and
 * certificates that are made here. This process is the pump, and the dialer
 * that uses it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "policy/upproxy.h"
#include "proxy/pump.h"
#include "proxy/upproxy_talk.h"
#include "tests/unit/certificates.h"

#define NAME "proxy.test"

enum { DEADLINE_MS = 30000, MUCH = 3 << 20 };

static struct identity authority, stranger;

/* ---- the proxy ---- */

struct proxy {
	const struct identity *identity;
	int version;			 /* 0: any */
	void (*serve)(SSL *ssl, int fd); /* behind the handshake */
	void (*raw)(int fd);		 /* instead of it */
};

static int proxy_listen(struct endpoint *ret)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, len, ret));
	return fd;
}

/* In the child: no assertions here. Exit 0: it all went as serve() wants. */
static void proxy_run(const struct proxy *p, int listener)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	int fd = accept(listener, NULL, NULL);
	SSL *ssl;

	if (fd < 0)
		_exit(10);
	if (p->raw) {
		p->raw(fd);
		_exit(0);
	}
	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
	if (p->version) {
		SSL_CTX_set_min_proto_version(context, p->version);
		SSL_CTX_set_max_proto_version(context, p->version);
	}
	SSL_CTX_use_certificate(context, p->identity->certificate);
	SSL_CTX_use_PrivateKey(context, p->identity->key);
	ssl = SSL_new(context);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) != 1)
		_exit(11);
	if (p->serve)
		p->serve(ssl, fd);
	_exit(0);
}

static pid_t proxy_start(const struct proxy *p, struct endpoint *ret)
{
	int listener = proxy_listen(ret);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		proxy_run(p, listener);
	}
	fd_close(&listener);
	return pid;
}

static int exit_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- the pump, and who uses it ---- */

struct world {
	struct event_base *base;
	struct event *tick;
	struct pump *pump;
	struct endpoint at;
	int listener;
	unsigned answers;
	int fd;
	uint32_t failure;
};

static void tick_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void wrapped(void *user, uint32_t id, int fd, uint32_t failure)
{
	struct world *w = user;

	assert_int_equal(id, 7);
	w->answers++;
	w->failure = failure;
	if (fd >= 0)
		w->fd = dup(fd);
}

static struct upproxy to_url(const char *url)
{
	struct upproxy_error e;
	struct upproxy u;

	assert_int_equal(upproxy_parse(url, &u, &e), 0);
	return u;
}

static struct pump_trust trust_in(const struct upproxy *to, const char *pem,
				  bool own)
{
	return (struct pump_trust){
		.proxy = to,
		.own = own ? pem : NULL,
		.own_len = own ? strlen(pem) : 0,
		.machine = own ? NULL : pem,
		.machine_len = own ? 0 : strlen(pem),
	};
}

static void world_open(struct world *w, const char *url, const char *pem,
		       bool own)
{
	const struct timeval tv = { .tv_usec = 2000 };
	const struct upproxy to = to_url(url);
	const struct pump_trust trust = trust_in(&to, pem, own);
	struct pump_hooks hooks = { .wrapped = wrapped };
	struct err err = { 0 };

	*w = (struct world){ .fd = -1, .base = event_base_new() };
	hooks.user = w;
	assert_non_null(w->base);
	w->listener = proxy_listen(&w->at);
	assert_int_equal(fd_nonblock(w->listener, true), 0);
	w->tick = event_new(w->base, -1, EV_PERSIST, tick_cb, NULL);
	assert_int_equal(event_add(w->tick, &tv), 0);
	assert_int_equal(pump_new(w->base, w->listener, &trust, &hooks,
				  &w->pump, &err),
			 0);
}

static void world_close(struct world *w)
{
	pump_free(w->pump);
	event_free(w->tick);
	event_base_free(w->base);
	fd_close(&w->listener);
	fd_close(&w->fd);
}

static int connected(const struct endpoint *to)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(to, &sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(fd_nonblock(fd, true), 0);
	return fd;
}

static void turn(struct world *w, int64_t deadline)
{
	assert_true(clock_ms() < deadline);
	assert_true(event_base_loop(w->base, EVLOOP_ONCE) >= 0);
}

/* The pump's answer to a connection to `p`. */
static uint32_t wrap(struct world *w, const struct endpoint *proxy)
{
	const int64_t deadline = clock_ms() + DEADLINE_MS;
	const unsigned before = w->answers;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&w->at, &sa);

	pump_wrap(w->pump, 7, connected(proxy));
	while (w->answers == before)
		turn(w, deadline);
	if (w->failure)
		return w->failure;
	assert_true(connect(w->fd, (struct sockaddr *)&sa, len) == 0 ||
		    errno == EINPROGRESS);
	return 0;
}

/* Until the other side ends: 0, or the errno that did. Counts what came. */
static int hear(struct world *w, size_t *ret_n)
{
	const int64_t deadline = clock_ms() + DEADLINE_MS;
	static uint8_t data[65536];

	*ret_n = 0;
	for (;;) {
		ssize_t n = recv(w->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n == 0)
			return 0;
		if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
			return errno;
		if (n > 0)
			*ret_n += (size_t)n;
		else
			turn(w, deadline);
	}
}

static void say(struct world *w, size_t n)
{
	const int64_t deadline = clock_ms() + DEADLINE_MS;
	static const uint8_t data[65536];

	while (n > 0) {
		size_t part = n < sizeof(data) ? n : sizeof(data);
		ssize_t done =
			send(w->fd, data, part, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done > 0)
			n -= (size_t)done;
		else
			turn(w, deadline);
	}
}

/* ---- who is believed ---- */

#define F(kind, number) ((uint32_t)UPPROXY_F_##kind << 16 | (number))
#define C(what) F(TLS_CERTIFICATE, UPPROXY_C_##what)
#define GOOD "DNS:" NAME ",IP:127.0.0.1"

static const struct {
	const char *what, *url;
	struct leaf leaf;
	int version;
	enum { BY_AUTHORITY, BY_STRANGER, BY_ITSELF } by;
	uint32_t failure;
} rows[] = {
	{ "name", "https://" NAME, { GOOD, NULL, 0, 0, 0 }, 0, 0, 0 },
	{ "address", "https://127.0.0.1", { GOOD, NULL, 0, 0, 0 }, 0, 0, 0 },
	{ "1.2", "https://" NAME, { GOOD, NULL, 0, 0, 0 }, TLS1_2_VERSION, 0, 0 },
	{ "1.1",
	  "https://" NAME,
	  { GOOD, NULL, 0, 0, 0 },
	  TLS1_1_VERSION,
	  0,
	  F(TLS_ALERT, 70) },
	{ "wildcard",
	  "https://a." NAME,
	  { "DNS:*." NAME, NULL, 0, 0, 0 },
	  0,
	  0,
	  0 },
	{ "part of a label",
	  "https://ab." NAME,
	  { "DNS:a*." NAME, NULL, 0, 0, 0 },
	  0,
	  0,
	  C(NAME) },
	{ "wildcard and a dot",
	  "https://a.b." NAME,
	  { "DNS:*." NAME, NULL, 0, 0, 0 },
	  0,
	  0,
	  C(NAME) },
	{ "wildcard of a whole domain",
	  "https://" NAME,
	  { "DNS:*.test", NULL, 0, 0, 0 },
	  0,
	  0,
	  C(NAME) },
	{ "usage", "https://" NAME, { GOOD, "serverAuth", 0, 0, 0 }, 0, 0, 0 },
	{ "other usage",
	  "https://" NAME,
	  { GOOD, "clientAuth", 0, 0, 0 },
	  0,
	  0,
	  C(PURPOSE) },
	{ "other name",
	  "https://other.test",
	  { GOOD, NULL, 0, 0, 0 },
	  0,
	  0,
	  C(NAME) },
	{ "name in CN alone",
	  "https://" NAME,
	  { NULL, NULL, 0, 0, 0 },
	  0,
	  0,
	  C(NAME) },
	{ "other address",
	  "https://127.0.0.2",
	  { GOOD, NULL, 0, 0, 0 },
	  0,
	  0,
	  C(ADDRESS) },
	{ "address as a name",
	  "https://127.0.0.1",
	  { "DNS:127.0.0.1", NULL, 0, 0, 0 },
	  0,
	  0,
	  C(ADDRESS) },
	{ "expired",
	  "https://" NAME,
	  { GOOD, NULL, -2 * DAY, -DAY, 0 },
	  0,
	  0,
	  C(EXPIRED) },
	{ "early",
	  "https://" NAME,
	  { GOOD, NULL, DAY, 2 * DAY, 0 },
	  0,
	  0,
	  C(EARLY) },
	{ "weak", "https://" NAME, { GOOD, NULL, 0, 0, 1024 }, 0, 0, C(WEAK) },
	{ "stranger",
	  "https://" NAME,
	  { GOOD, NULL, 0, 0, 0 },
	  0,
	  BY_STRANGER,
	  C(UNKNOWN) },
	{ "self-signed",
	  "https://" NAME,
	  { GOOD, NULL, 0, 0, 0 },
	  0,
	  BY_ITSELF,
	  C(SELF_SIGNED) },
};

static void test_believed(void **state)
{
	char *pem = certificate_pem(&authority);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct identity *by =
			rows[i].by == BY_AUTHORITY ? &authority :
			rows[i].by == BY_STRANGER  ? &stranger :
						     NULL;
		struct identity id = certificate_make(NAME, &rows[i].leaf, by);
		const struct proxy p = { .identity = &id,
					 .version = rows[i].version };
		char text[UPPROXY_FAILURE_TEXT];
		struct endpoint at;
		struct world w;
		uint32_t got;
		pid_t pid = proxy_start(&p, &at);

		world_open(&w, rows[i].url, pem, i % 2 == 0);
		got = wrap(&w, &at);
		if (got != rows[i].failure)
			fail_msg("%s: %#x, %s", rows[i].what, got,
				 upproxy_failure_text(got, text));
		assert_int_equal(w.answers, 1);
		world_close(&w);
		(void)exit_of(pid);
		certificate_free(&id);
	}
	free(pem);
}

static void raw_text(int fd)
{
	(void)!write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	(void)shutdown(fd, SHUT_WR);
	(void)!read(fd, &(char[4096]){ 0 }, 4096);
}

static void raw_end(int fd)
{
	(void)!read(fd, &(char[4096]){ 0 }, 4096);
}

static void raw_record(int fd)
{
	(void)!write(fd, "\x17\x03\x03\xff\xff", 5);
	(void)!read(fd, &(char[4096]){ 0 }, 4096);
}

static void test_no_tls(void **state)
{
	static const struct {
		void (*raw)(int fd);
		uint32_t failure;
	} cases[] = {
		{ raw_text, F(TLS_NONSENSE, 0) },
		{ raw_end, F(TLS_LOST, 0) },
		{ raw_record, F(TLS_NONSENSE, 0) },
	};
	char *pem = certificate_pem(&authority);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct proxy p = { .raw = cases[i].raw };
		struct endpoint at;
		struct world w;
		pid_t pid = proxy_start(&p, &at);

		world_open(&w, "https://" NAME, pem, true);
		assert_int_equal(wrap(&w, &at), cases[i].failure);
		world_close(&w);
		(void)exit_of(pid);
	}
	free(pem);
}

/* ---- what passes ---- */

static void with_proxy(void (*serve)(SSL *ssl, int fd), int version,
		       struct world *w, pid_t *ret_pid)
{
	const struct leaf leaf = { .san = GOOD };
	struct identity id = certificate_make(NAME, &leaf, &authority);
	const struct proxy p = { .identity = &id,
				 .version = version,
				 .serve = serve };
	char *pem = certificate_pem(&authority);
	struct endpoint at;

	*ret_pid = proxy_start(&p, &at);
	world_open(w, "https://" NAME, pem, true);
	assert_int_equal(wrap(w, &at), 0);
	certificate_free(&id);
	free(pem);
}

/* Answers with as much, behind the end of the question. */
static void echo(SSL *ssl, int fd)
{
	static uint8_t data[16384];
	size_t all = 0, n;

	(void)fd;
	while (SSL_read_ex(ssl, data, sizeof(data), &n))
		all += n;
	if (SSL_get_error(ssl, 0) != SSL_ERROR_ZERO_RETURN)
		_exit(20);
	for (; all > 0; all -= n)
		if (!SSL_write_ex(ssl, data,
				  all < sizeof(data) ? all : sizeof(data), &n))
			_exit(21);
	(void)SSL_shutdown(ssl);
}

static void test_much(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		pid_t pid;
		size_t n;

		with_proxy(echo, versions[i], &w, &pid);
		say(&w, MUCH);
		assert_int_equal(shutdown(w.fd, SHUT_WR), 0);
		assert_int_equal(hear(&w, &n), 0);
		assert_int_equal(n, MUCH);
		assert_int_equal(exit_of(pid), 0);
		world_close(&w);
	}
}

/* Goes without a close_notify. */
static void cut(SSL *ssl, int fd)
{
	static const uint8_t data[100000];
	size_t n;

	(void)SSL_write_ex(ssl, data, sizeof(data), &n);
	(void)shutdown(fd, SHUT_RDWR);
}

static void test_cut(void **state)
{
	struct world w;
	pid_t pid;
	size_t n;

	(void)state;
	with_proxy(cut, 0, &w, &pid);
	assert_int_equal(hear(&w, &n), ECONNRESET);
	assert_int_equal(n, 100000);
	assert_int_equal(exit_of(pid), 0);
	world_close(&w);
}

/* Its peer must be gone by a reset, not by an end. */
static void wants_reset(SSL *ssl, int fd)
{
	uint8_t data[100];
	size_t n;

	(void)fd;
	(void)SSL_write_ex(ssl, "x", 1, &n);
	errno = 0;
	while (SSL_read_ex(ssl, data, sizeof(data), &n))
		;
	_exit(SSL_get_error(ssl, 0) == SSL_ERROR_SYSCALL &&
			      errno == ECONNRESET ?
		      0 :
		      30);
}

static void test_reset(void **state)
{
	const struct linger now = { .l_onoff = 1 };
	const int64_t deadline = clock_ms() + DEADLINE_MS;
	struct world w;
	int status = 0;
	pid_t pid;

	(void)state;
	with_proxy(wants_reset, 0, &w, &pid);
	say(&w, 10);
	while (recv(w.fd, &(char){ 0 }, 1, MSG_DONTWAIT) != 1)
		turn(&w, deadline);
	assert_int_equal(
		setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	fd_close(&w.fd);
	while (waitpid(pid, &status, WNOHANG) == 0)
		turn(&w, deadline);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	world_close(&w);
}

/* Records without bytes, and keys that change, between those with some. */
static void chatter(SSL *ssl, int fd)
{
	size_t n;

	(void)fd;
	for (int i = 0; i < 20; i++) {
		int ok = i % 2 ? SSL_new_session_ticket(ssl) :
				 SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);

		if (!ok || !SSL_write_ex(ssl, "0123456789", 10, &n))
			_exit(40);
	}
	(void)SSL_shutdown(ssl);
	while (SSL_read_ex(ssl, &(char[100]){ 0 }, 100, &n))
		;
}

static void test_chatter(void **state)
{
	struct world w;
	pid_t pid;
	size_t n;

	(void)state;
	with_proxy(chatter, TLS1_3_VERSION, &w, &pid);
	assert_int_equal(hear(&w, &n), 0);
	assert_int_equal(n, 200);
	assert_int_equal(shutdown(w.fd, SHUT_WR), 0);
	world_close(&w);
	assert_int_equal(exit_of(pid), 0);
}

/* Wants a second handshake; goes on if it does not get one. */
static void again(SSL *ssl, int fd)
{
	(void)fd;
	if (SSL_renegotiate(ssl) != 1)
		_exit(50);
	(void)SSL_do_handshake(ssl);
	_exit(SSL_read(ssl, &(char){ 0 }, 1) > 0 ? 51 : 0);
}

static void test_renegotiation(void **state)
{
	struct world w;
	pid_t pid;
	size_t n;

	(void)state;
	with_proxy(again, TLS1_2_VERSION, &w, &pid);
	assert_int_equal(hear(&w, &n), ECONNRESET);
	assert_int_equal(n, 0);
	assert_int_equal(exit_of(pid), 0);
	world_close(&w);
}

/* ---- what is not wanted, or cannot be ---- */

static void test_unwrap(void **state)
{
	const int64_t deadline = clock_ms() + DEADLINE_MS;
	const struct proxy p = { .raw = raw_end };
	char *pem = certificate_pem(&authority);
	struct endpoint at;
	struct world w;
	int status;
	pid_t pid = proxy_start(&p, &at);

	(void)state;
	world_open(&w, "https://" NAME, pem, true);
	pump_wrap(w.pump, 7, connected(&at));
	pump_unwrap(w.pump, 6);
	pump_unwrap(w.pump, 7);
	while (waitpid(pid, &status, WNOHANG) == 0)
		turn(&w, deadline);
	assert_int_equal(w.answers, 0);
	/* its descriptor was lost on the way */
	pump_wrap(w.pump, 7, -1);
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.failure, F(TLS_LIMIT, 0));
	world_close(&w);
	free(pem);
}

static void test_pem(void **state)
{
	static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n"
				     "-----END CERTIFICATE-----\n";
	const struct upproxy to = to_url("https://" NAME);
	const struct pump_hooks hooks = { 0 };
	struct event_base *base = event_base_new();
	char *pem = certificate_pem(&authority), both[8192];

	(void)state;
	(void)snprintf(both, sizeof(both), "%s%s", broken, pem);
	for (int i = 0; i < 6; i++) {
		const char *text = i < 2 ? both : i < 4 ? "nothing" : broken;
		const struct pump_trust trust = trust_in(&to, text, i % 2 == 0);
		struct pump *pump = NULL;
		struct err err = { 0 };
		struct endpoint at;
		cleanup_fd int listener = proxy_listen(&at);
		int r = pump_new(base, listener, &trust, &hooks, &pump, &err);

		if (i == 1) {
			assert_int_equal(r, 0);
			pump_free(pump);
			continue;
		}
		assert_true(r < 0);
		assert_int_equal(err.code,
				 i % 2 ? ERR_UNAVAILABLE : ERR_INVALID);
	}
	free(pem);
	event_base_free(base);
}

static int setup(void **state)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, &ignore, NULL), 0);
	authority = certificate_make("Authority", NULL, NULL);
	stranger = certificate_make("Stranger", NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certificate_free(&authority);
	certificate_free(&stranger);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_believed),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_much),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_chatter),
		cmocka_unit_test(test_renegotiation),
		cmocka_unit_test(test_unwrap),
		cmocka_unit_test(test_pem),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
