exeat_fuzz(rule SOURCES fuzz_rule.c LINK exeat_policy)
exeat_fuzz(policy_file SOURCES fuzz_policy_file.c LINK exeat_policy)
exeat_fuzz(preset SOURCES fuzz_preset.c LINK exeat_policy)
exeat_fuzz(image SOURCES fuzz_image.c LINK exeat_policy)
