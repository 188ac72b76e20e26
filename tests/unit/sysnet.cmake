exeat_unit(sysnet
	SOURCES sysnet.c sysnet_posture.c sysnet_wall.c sysnet_modes.c
		sysnet_pins.c sysnet_gate.c sysnet_sets.c sysnet_nflog.c
		sysnet_route.c
	LINK exeat_sys exeat_policy exeat_base)
