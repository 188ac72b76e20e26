# The network half: namespaces, nftables, the kernel log, routes.
target_sources(exeat_sys PRIVATE
	gate_sockets.c
	netns.c
	nflog.c
	nft.c
	nft_batch.c
	nft_part.c
	nft_pin.c
	nft_probe.c
	nft_rule.c
	nft_set.c
	nft_wall.c
	route.c)
target_link_libraries(exeat_sys PUBLIC PkgConfig::NFTNL PkgConfig::MNL)
