# Looking at the host: who, where, which files, which presets, what is missing.
target_sources(exeat_core PRIVATE
	audit_api.c
	budgets.c
	doctor.c
	doctor_probe.c
	error_api.c
	governs.c
	identity.c
	list.c
	options.c
	policy_api.c
	preset.c
	preset_ask.c
	preset_files.c
	preset_run.c
	preset_values.c
	treeremove.c
	treewalk.c
	viewplan.c
	viewplan_etc.c
	viewplan_mount.c
	workdir.c
	workdir_kept.c
	workdir_tree.c
	workdir_venv.c)
target_compile_definitions(exeat_core PRIVATE
	EXEAT_VERSION="${PROJECT_VERSION}")
target_link_libraries(exeat_core PRIVATE PkgConfig::JANSSON)
