exeat_unit(audit_format SOURCES audit_format.c
	LINK exeat_audit PkgConfig::JANSSON)
exeat_unit(audit_writer SOURCES audit_writer.c LINK exeat_audit)
exeat_unit(audit_chain SOURCES audit_chain.c LINK exeat_audit)
