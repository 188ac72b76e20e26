exeat_fuzz(audit SOURCES fuzz_audit.c LINK exeat_audit)
exeat_fuzz(verify SOURCES fuzz_verify.c LINK exeat_audit)
