foreach(module api cgroup doctor identity preset proto run viewplan
	workdir)
	exeat_unit(core_${module} SOURCES core_${module}.c
		LINK exeat_core)
endforeach()
