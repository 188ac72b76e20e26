# Sessions and runs.
target_sources(exeat_core PRIVATE
	ca.c
	cgroup.c
	cgroup_place.c
	alive.c
	due.c
	environ.c
	files.c
	filetar.c
	helperpath.c
	helpers.c
	message.c
	network.c
	pause.c
	policy_live.c
	posture.c
	proto.c
	resolv.c
	resolvwatch.c
	run.c
	runcheck.c
	runio.c
	runlimit.c
	runread.c
	runtty.c
	runwait.c
	snapshot.c
	treecopy.c
	workmount.c
	session.c
	sessioncheck.c
	sessioninfo.c
	upproxy.c
	stream.c
	workpath.c)
target_compile_definitions(exeat_core PRIVATE
	EXEAT_LIBEXEC="${CMAKE_INSTALL_FULL_LIBEXECDIR}/exeat")
