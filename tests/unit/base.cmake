foreach(module addr buf err fd msg num text)
	exeat_unit(base_${module} SOURCES base_${module}.c LINK exeat_base)
endforeach()
