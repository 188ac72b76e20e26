# Plumbing: processes, mounts, filters here.
exeat_unit(sys_codec SOURCES sys_codec.c LINK exeat_sys exeat_base)
exeat_unit(sys_spawn SOURCES sys_spawn.c LINK exeat_sys exeat_base)
foreach(module isolate landlock layer seccomp view)
	exeat_unit(sys_${module} SOURCES sys_${module}.c sys_child.c
		LINK exeat_sys exeat_base)
endforeach()

# The filters let more through in builds with sanitizers.
if(EXEAT_SANITIZE)
	target_compile_definitions(unit_sys_seccomp PRIVATE SANITIZED=1)
else()
	target_compile_definitions(unit_sys_seccomp PRIVATE SANITIZED=0)
endif()
