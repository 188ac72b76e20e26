exeat_unit(policy_property SOURCES policy_property.c LINK exeat_policy)
