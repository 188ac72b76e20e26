exeat_fuzz(tls SOURCES fuzz_tls.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(http SOURCES fuzz_http.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(h2 SOURCES fuzz_h2.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(filter SOURCES fuzz_filter.c LINK exeat_proxy exeat_policy
	exeat_base)
exeat_fuzz(dns SOURCES fuzz_dns.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(ask SOURCES fuzz_ask.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(dialer SOURCES fuzz_dialer.c LINK exeat_proxy exeat_policy
	exeat_base PkgConfig::EVENT)
exeat_fuzz(upproxy SOURCES fuzz_upproxy.c LINK exeat_proxy exeat_policy
	exeat_base)
exeat_fuzz(socks SOURCES fuzz_socks.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(proxy SOURCES fuzz_proxy.c LINK exeat_proxy exeat_policy exeat_base)
exeat_fuzz(front SOURCES fuzz_front.c front_naive.c LINK exeat_proxy
	exeat_policy exeat_base PkgConfig::EVENT)
exeat_fuzz(resolve SOURCES fuzz_resolve.c LINK exeat_proxy exeat_policy
	exeat_base PkgConfig::EVENT)
