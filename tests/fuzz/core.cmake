exeat_fuzz(caller SOURCES fuzz_caller.c LINK exeat_core)
