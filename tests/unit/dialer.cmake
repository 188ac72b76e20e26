# The dialer in a network namespace of its own, and its tables.
exeat_unit(dialer
	SOURCES dialer_main.c dialer_world.c dialer_world_dns.c
		dialer_world_net.c dialer_clock.c dialer_resolve_test.c
		dialer_limits_test.c dialer_dial_test.c dialer_proxy_test.c
		dialer_life_test.c dialer_change_test.c
	LINK exeat_proxy PkgConfig::EVENT)
set_tests_properties(unit/dialer PROPERTIES COST 20)
exeat_unit(dialer_parts
	SOURCES dialer_parts.c
	LINK exeat_proxy PkgConfig::EVENT)
