exeat_fuzz(nflog SOURCES fuzz_nflog.c LINK exeat_sys exeat_base)
