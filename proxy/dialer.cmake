# The dialer: decides, resolves, connects.
target_sources(exeat_proxy PRIVATE
	connector.c
	connector_direct.c
	connector_reach.c
	connector_talk.c
	connector_wrap.c
	dialer.c
	dialer_change.c
	dialer_dial.c
	dialer_hash.c
	dialer_hosts.c
	dialer_lookup.c
	dialer_pin.c
	dialer_quota.c
	dialer_resolve.c
	dialer_upproxy.c
	happy.c
	pins.c
	quota.c
	resolver.c
	resolver_upstream.c
	synth.c
	upproxy_http.c
	upproxy_socks.c
	upproxy_talk.c)
set_source_files_properties(upproxy_http.c upproxy_socks.c upproxy_talk.c
	PROPERTIES COMPILE_OPTIONS "-Wconversion;-Wsign-conversion")

# TLS to an https:// proxy: a library of its own, so that only the helper that
# does it has OpenSSL.
add_library(exeat_pump STATIC pump.c pump_tls.c)
target_link_libraries(exeat_pump PUBLIC exeat_proxy exeat_policy exeat_base
	exeat_flags PRIVATE PkgConfig::EVENT PkgConfig::SSL)
