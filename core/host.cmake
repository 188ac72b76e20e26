# Looking at the host: who, where, which files, which presets, what is missing.
target_sources(exeat_core PRIVATE
	identity.c
	viewplan.c
	viewplan_etc.c
	viewplan_mount.c
	workdir.c
	workdir_tree.c
	workdir_venv.c)
