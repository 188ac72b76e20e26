# The wire parsers and the filter: tables.
foreach(part tls http h2 dns filter wire upproxy socks explicit)
	exeat_unit(proxy_${part} SOURCES proxy_${part}.c LINK exeat_proxy)
endforeach()

# front as a whole, in a network namespace of its own.
foreach(part front datagram budget change idle)
	exeat_unit(proxy_${part} SOURCES proxy_${part}.c proxy_world.c
		LINK exeat_proxy PkgConfig::EVENT)
endforeach()

exeat_unit(proxy_pump
	SOURCES proxy_pump.c certificates.c
	LINK exeat_pump PkgConfig::EVENT PkgConfig::SSL)
