exeat_fuzz(audit SOURCES fuzz_audit.c LINK exeat_audit)
