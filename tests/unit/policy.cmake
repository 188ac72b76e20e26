foreach(part rule guard compile budget lint decide plan file preset property
	intersect upproxy)
	exeat_unit(policy_${part} SOURCES policy_${part}.c LINK exeat_policy)
endforeach()
