foreach(module api cgroup doctor identity preset proto viewplan workdir)
	exeat_unit(core_${module} SOURCES core_${module}.c
		LINK exeat_core)
endforeach()
