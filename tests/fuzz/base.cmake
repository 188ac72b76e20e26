exeat_fuzz(addr SOURCES fuzz_addr.c LINK exeat_base)
exeat_fuzz(num SOURCES fuzz_num.c LINK exeat_base)
exeat_fuzz(msg SOURCES fuzz_msg.c LINK exeat_base)
