exeat_fuzz(command SOURCES fuzz_command.c LINK exeat_sys exeat_base)
exeat_fuzz(view SOURCES fuzz_view.c LINK exeat_sys exeat_base)
exeat_fuzz(backend SOURCES fuzz_backend.c LINK exeat_backends exeat_sys exeat_base)
