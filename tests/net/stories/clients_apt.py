"""apt from a repository without TLS: many requests on a kept connection.

SPDX-License-Identifier: Apache-2.0

Asked and refused, apt takes a name or a connection that it cannot have for
bad weather, and waits 7 s; a proxy's 403 it believes at once.
"""

from world import registry

from .registries import CALLERS, Client  # noqa: F401

HOST = "archive.test"
NAMES = [f"exeat-demo{i}" for i in range(12)]
CONF = """Dir "{work}/apt";
Dir::State::status "{work}/apt/status";
Acquire::Languages "none";
"""
FOLDERS = ("etc/apt/apt.conf.d", "etc/apt/preferences.d",
           "var/lib/apt/lists/partial", "var/cache/apt/archives/partial")
PROXY = "-o Acquire::http::Proxy=http://127.0.0.1:64505"
ONCE = "-o Acquire::Retries=0"
UPDATE = ["apt-get", "-q", "update"]


def configure(client):
    """An apt of its own in the work dir."""
    for name in FOLDERS:
        client.folder("apt", *name.split("/"))
    client.put("apt/status", "")
    client.put("apt/etc/apt/sources.list",
               f"deb [trusted=yes] http://{HOST}/demo/ ./\n")
    path = client.put("apt.conf", CONF.format(work=client.work))
    client.env = ["APT_CONFIG=" + path]


def download(*options):
    return ["sh", "-c", "rm -f *.deb && apt-get -q download "
            f"{' '.join([*options, *NAMES])} && ls *.deb | wc -l"]


def fetches(client, what, options=(), more=(), connections=None):
    _, log = client.step(what, [HOST], download(*options), 0,
                         [f"\n{len(NAMES)}\n"], more, port=80)
    used = len({r["client_port"] for r in log})
    client.check("... each file, asked for once", len(log) == len(NAMES), log)
    if connections:
        client.check("... on a kept connection", used <= connections, used)


def story(world):
    client = Client(world)
    if not client.have("apt-get"):
        return client.status()
    registry.debian(client.store, NAMES)
    configure(client)
    # it asks for SRV records first, which is no reason to say "refused"
    client.step("update", [HOST], UPDATE, port=80, more=["--fail-on-deny"])
    r, _ = client.step("update: nothing is new", [HOST], UPDATE, port=80)
    client.check("... and the server said so", "Hit:" in r.out, r)
    fetches(client, "many files", connections=2)
    fetches(client, "many files by the proxy inside", [PROXY])
    fetches(client, "... by its variable", more=["--proxy-env"])
    client.refused("another host, by name", [], download(ONCE), HOST,
                   more=["--allow", "allowed.test"],
                   says=["Could not resolve"])
    for what, more in (("another host", ["--allow", "allowed.test"]),
                       ("blocked", [])):
        r, _ = client.refused(f"{what}, by the proxy inside", [],
                              download(PROXY), HOST, more=more,
                              says=["403  Forbidden"])
        client.check("... and not tried again", "Ign:" not in r.out, r)
    client.refused("blocked, by name", [], download(ONCE), HOST,
                   says=["Could not resolve"])
    return client.status()
