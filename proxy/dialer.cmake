# The dialer: decides, resolves, connects.
target_sources(exeat_proxy PRIVATE
	connector.c
	connector_direct.c
	dialer.c
	dialer_dial.c
	dialer_hash.c
	dialer_hosts.c
	dialer_lookup.c
	dialer_pin.c
	dialer_quota.c
	dialer_resolve.c
	happy.c
	pins.c
	quota.c
	resolver.c
	resolver_upstream.c)
