exeat_unit(backends_userns
	SOURCES backends_userns.c backends_box.c backends_inside.c
		sys_child.c
	LINK exeat_backends exeat_sys exeat_base)
exeat_unit(backends_table
	SOURCES backends_table.c
	LINK exeat_backends exeat_sys exeat_base)
