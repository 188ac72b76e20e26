/* fuzz_dns.c - queries, upstream answers, SVCB records
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/dns.h"
#include "tests/fuzz/fuzz.h"

static void check_query(const uint8_t *data, size_t size)
{
	static const struct addr addrs[2] = {
		{ .b = { [10] = 0xff, 0xff, 192, 0, 2, 1 } },
		{ .b = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
	};
	static const uint8_t rdata[3] = { 0, 1, 0 };
	struct dns_query q;
	enum dns_status s = dns_query_parse(data, size, &q);
	const struct dns_reply r = {
		.rcode = dns_status_rcode(s),
		.ttl_s = 5,
		.addrs = addrs,
		.naddrs = 2,
		.rdata = rdata,
		.rdata_len = sizeof(rdata),
		.ede = DNS_EDE_BLOCKED,
		.ede_text = "no rule allows it",
	};
	uint8_t buf[4096];
	struct dns_answer a;
	size_t n;

	if (s == DNS_IS_DROP)
		return;
	for (int udp = 0; udp < 2; udp++) {
		n = dns_reply_build(&q, &r, udp, buf, sizeof(buf));
		assert(n >= 12 && (!udp || n <= q.udp_size));
		assert(buf[0] == q.id >> 8 && buf[1] == (q.id & 0xff));
		if (s != DNS_IS_OK)
			continue;
		/* what we say, we understand */
		assert(dns_answer_parse(buf, n, &q.id, q.name, q.qtype, &a));
		assert(a.truncated || a.naddrs == (q.qtype == DNS_TYPE_A ||
						   q.qtype == DNS_TYPE_AAAA));
	}
}

static void check_built(uint16_t qtype, const char *name)
{
	uint8_t buf[DNS_QUERY_MAX];
	struct dns_query q;
	size_t n = dns_query_build(7, name, qtype, buf, sizeof(buf));

	assert(n > 0 && dns_query_parse(buf, n, &q) == DNS_IS_OK);
	assert(strcmp(q.name, name) == 0 && q.qtype == qtype && q.rd);
}

static void check_answer(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DNS_TYPE_A, DNS_TYPE_AAAA,
					  DNS_TYPE_HTTPS, DNS_TYPE_SVCB };
	char canonical[LIMIT_NAME + 1];
	struct dns_answer a;

	for (size_t i = 0; i < 4; i++) {
		if (!dns_answer_parse(data, size, NULL, "a.test", types[i], &a))
			continue;
		assert(a.nchain <= LIMIT_CNAME_CHAIN);
		assert(a.naddrs <= LIMIT_DNS_ADDRS);
		assert(a.rdata_len <= DNS_RDATA_MAX);
		for (size_t k = 0; k < a.nchain; k++) {
			assert(name_canonical(a.chain[k], strlen(a.chain[k]),
					      canonical));
			assert(strcmp(canonical, a.chain[k]) == 0);
		}
	}
}

static void check_svcb(const uint8_t *data, size_t size)
{
	uint8_t once[DNS_RDATA_MAX], twice[DNS_RDATA_MAX];
	size_t n, m;

	if (!dns_svcb_strip(data, size, once, &n))
		return;
	assert(n <= DNS_RDATA_MAX);
	assert(dns_svcb_strip(once, n, twice, &m));
	assert(m == n && memcmp(once, twice, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query q;

	check_query(data, size);
	if (dns_query_parse(data, size, &q) == DNS_IS_OK)
		check_built(q.qtype, q.name);
	check_answer(data, size);
	check_svcb(data, size);
	return 0;
}
