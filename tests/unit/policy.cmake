exeat_unit(policy_rule SOURCES policy_rule.c LINK exeat_policy)
exeat_unit(policy_guard SOURCES policy_guard.c LINK exeat_policy)
exeat_unit(policy_compile SOURCES policy_compile.c LINK exeat_policy)
exeat_unit(policy_property SOURCES policy_property.c LINK exeat_policy)
