"""npm, yarn old and new, pnpm; and fetch, which asks no proxy.

SPDX-License-Identifier: Apache-2.0

A package on one host needs one whose file another host gives.
"""

import os

from world import registry

from .registries import CALLERS, NODE_CLIENTS, Client  # noqa: F401

REGISTRY, FILES, CDN = "registry.test", "files.registry.test", "cdn.test"
URL = f"https://{REGISTRY}"
ENV = ["NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
       f"npm_config_registry={URL}", "npm_config_update_notifier=false",
       "npm_config_fetch_retries=0", f"YARN_NPM_REGISTRY_SERVER={URL}",
       "YARN_ENABLE_TELEMETRY=0", "YARN_NODE_LINKER=node-modules",
       "YARN_ENABLE_IMMUTABLE_INSTALLS=false", "YARN_HTTP_RETRY=0"]
PROJECT = '{"name": "project", "version": "1.0.0"}\n'
USE = ["node", "-e", "console.log(require('exeat-demo'))"]
FETCH = """
const url = "https://files.registry.test/exeat-cdn/-/exeat-cdn-1.0.0.tgz";
(async () => {
  const whole = await fetch(url);
  const etag = whole.headers.get("etag"), size = (await whole.blob()).size;
  const same = await fetch(url, {headers: {"if-none-match": etag}});
  const rest = await fetch(url, {headers: {range: "bytes=100-"}});
  console.log(whole.status, same.status, rest.status,
    size - (await rest.blob()).size, new URL(whole.url).host);
})().catch(e => { console.log(e.cause?.code); process.exit(9) });
"""


def script(*path):
    return ["node", os.path.join(NODE_CLIENTS, *path)]


CLIENTS = {
    "npm": ["npm", "install", "--no-fund", "--no-audit"],
    "yarn": [*script("yarn", "bin", "yarn.js"), "add", "--network-timeout",
             "20000"],
    "yarn, berry": [*script("@yarnpkg", "cli-dist", "bin", "yarn.js"), "add"],
    "pnpm": [*script("pnpm", "bin", "pnpm.cjs"), "add"],
}


# What does not exist, yarn takes for a line that is down, and waits 12 s.
REFUSAL = {"yarn": ["--dns-refusal", "refused"]}


def installs(client, what, command):
    command, more = [*command, "exeat-demo"], REFUSAL.get(what, [])
    client.fresh("work-" + what.replace(", ", "-"))
    client.put("package.json", PROJECT)
    client.refused(f"{what}: no host for the files", [REGISTRY], command,
                   FILES, more=more)
    if what == "npm":
        client.refused(f"{what}: a redirect elsewhere", [REGISTRY, FILES],
                       command, CDN, asks=[FILES])
    client.step(f"{what}: installed", [REGISTRY, FILES, CDN], command,
                asks=[CDN])
    client.step(f"{what}: used, blocked", [], USE, 0,
                ["42 from the test index"])


def story(world):
    client = Client(world, ENV)
    registry.node(client.store)
    if client.have("node"):
        for what, command in CLIENTS.items():
            if client.have(command[1 if command[0] == "node" else 0]):
                installs(client, what, command)
        client.step("fetch: redirect, not modified, range", [FILES, CDN],
                    ["node", "-e", FETCH], 0, ["200 304 206 100 cdn.test"])
        client.refused("fetch: a redirect elsewhere", [FILES],
                       ["node", "-e", FETCH], CDN, says=["ENOTFOUND"])
    return client.status()
