"""go with its checksum database, cargo by a sparse index, skopeo.

SPDX-License-Identifier: Apache-2.0

Programs of three languages, with TLS of their own; each file comes by another
host than the one that is asked for it.
"""

from world import registry

from .registries import CALLERS, Client  # noqa: F401

CDN = "cdn.test"
GO_ENV = ["GOPROXY=https://goproxy.test", "GOFLAGS=-mod=mod"]
GO_MOD = (f"module project\n\ngo 1.19\n\nrequire {registry.MODULE} "
          f"{registry.MODULE_VERSION}\n")
GO_USE = f'package main\n\nimport _ "{registry.MODULE}"\n\nfunc main() {{}}\n'
CARGO_ENV = ["CARGO_REGISTRIES_DEMO_INDEX=sparse+https://crates.test/index/",
             "CARGO_NET_RETRY=0"]
CARGO = """[package]
name = "project"
version = "1.0.0"
edition = "2021"

[dependencies]
exeatdemo = { version = "1", registry = "demo" }
"""
COPY = ["skopeo", "copy", "--insecure-policy",
        "docker://oci.test/demo:1.0", "dir:image"]


def go(client):
    client.fresh("work-go")
    client.env = [*GO_ENV, "GOSUMDB=" + registry.go_verifier() +
                  " https://sum.test"]
    client.put("go.mod", GO_MOD)
    client.put("main.go", GO_USE)
    get, hosts = ["go", "mod", "download"], ["goproxy.test", "sum.test", CDN]
    client.refused("go: no checksum database", hosts[:1], get, "sum.test")
    client.refused("go: a redirect elsewhere", hosts[:2], get, CDN)
    client.step("go: downloaded", hosts, get, asks=[CDN])
    client.step("go: used, blocked", [], ["go", "list", "-deps", "."], 0,
                [registry.MODULE])


def cargo(client):
    client.fresh("work-cargo")
    client.env = CARGO_ENV
    client.put("Cargo.toml", CARGO)
    client.put("src/lib.rs", "pub use exeatdemo::ANSWER;\n")
    get = ["cargo", "fetch"]
    hosts = ["crates.test", "files.crates.test", CDN]
    client.refused("cargo: no host for the files", hosts[:1], get, hosts[1])
    client.refused("cargo: a redirect elsewhere", hosts[:2], get, CDN,
                   asks=hosts[1:2])
    client.step("cargo: fetched", hosts, get, asks=hosts[1:])
    client.step("cargo: used, blocked", [],
                ["cargo", "tree", "--offline"], 0, ["exeatdemo v1.0.0"])


def skopeo(client):
    client.fresh("work-skopeo")
    client.env = []
    client.refused("skopeo: a redirect elsewhere", ["oci.test"], COPY, CDN)
    client.step("skopeo: pulled", ["oci.test", CDN], COPY)
    client.step("skopeo: used, blocked", [],
                ["skopeo", "inspect", "dir:image"], 0, ["Layers"])


def story(world):
    client = Client(world)
    for program, store, use in (("go", registry.go, go),
                                ("cargo", registry.rust, cargo),
                                ("skopeo", registry.oci, skopeo)):
        if client.have(program):
            store(client.store)
            use(client)
    return client.status()
