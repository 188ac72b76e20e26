exeat_fuzz(caller SOURCES fuzz_caller.c LINK exeat_core)
# the keeper's own files, without what they stand on
exeat_fuzz(keeper SOURCES fuzz_keeper.c
	${CMAKE_SOURCE_DIR}/core/helper/keeper_posture.c
	${CMAKE_SOURCE_DIR}/core/helper/wire.c
	${CMAKE_SOURCE_DIR}/core/helper/image.c
	${CMAKE_SOURCE_DIR}/core/proto.c
	LINK exeat_policy exeat_base PkgConfig::EVENT)
exeat_fuzz(opens SOURCES fuzz_opens.c
	${CMAKE_SOURCE_DIR}/core/helper/wire.c
	${CMAKE_SOURCE_DIR}/core/helper/image.c
	${CMAKE_SOURCE_DIR}/core/proto.c
	LINK exeat_proxy exeat_sys exeat_policy exeat_base PkgConfig::EVENT)
# the keeper's process with its runs, without processes
exeat_fuzz(runs SOURCES fuzz_runs.c runs_fake.c
	${CMAKE_SOURCE_DIR}/core/helper/keeper_run.c
	${CMAKE_SOURCE_DIR}/core/helper/keeper_pause.c
	${CMAKE_SOURCE_DIR}/core/helper/keeper_spare.c
	${CMAKE_SOURCE_DIR}/core/helper/keeper_fresh.c
	${CMAKE_SOURCE_DIR}/core/treeremove.c
	${CMAKE_SOURCE_DIR}/core/helper/wire.c
	${CMAKE_SOURCE_DIR}/core/proto.c
	${CMAKE_SOURCE_DIR}/backends/backend.c
	LINK exeat_sys exeat_policy exeat_base PkgConfig::EVENT)
