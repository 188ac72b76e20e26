"""The host's own addresses and services, as they come and go.

SPDX-License-Identifier: Apache-2.0

One session in `open` lives through all of it. What the host is given, it does
not reach from then on, and nothing is dialled; what the host gives up, it
reaches again.
"""

import os
import signal
import socket

from world import internet, judge
from world.judge import begun
from world.lib import HOST4

from . import Checks, equip, kill, lines

# Ports that hold a service of the host's; 80 is the far side's.
BOTH, ONLY6, SHUT = 9000, 9006, 9007
ADDRESSES = ("203.0.113.77", "2001:db8:113::77")
EMBEDDED = "64:ff9b::203.0.113.77"
# Reads lines "ADDRESS PORT", says what came of each.
CLIENT = """
import socket, sys
for line in sys.stdin:
    to, port = line.split()
    try:
        with socket.create_connection((to, int(port)), 60) as s:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print("through", s.recv(64)[:40], flush=True)
    except OSError as e:
        print("refused", e.__class__.__name__, flush=True)
"""


def serve6(port):
    """A service on ::1 alone; the child that answers."""
    listener = socket.create_server(("::1", port), family=socket.AF_INET6)
    pid = os.fork()
    if pid == 0:
        while True:
            listener.accept()[0].sendall(b"only-six")
    listener.close()
    return pid


class Client:
    """A payload that connects where it is told to."""

    def __init__(self, world, options, work):
        # a pipe, not DEVNULL: told line by line
        self.read_end, self.write_end = os.pipe()
        self.child, self.audit = world.start_exeat(
            ["-w", work, *options], ["/usr/bin/python3", "-uc", CLIENT],
            stdin=self.read_end)
        os.close(self.read_end)
        self.said = lines(self.child)

    def ask(self, address, port):
        os.write(self.write_end, f"{address} {port}\n".encode())
        return next(self.said, "gone")

    def end(self):
        os.close(self.write_end)
        self.child.wait()
        self.child.stdout.close()
        self.child.stderr.close()


def refused(world, checks, client, what, address, port=80):
    """No packet, and no service of the host's hears of it."""
    mark = world.mark()
    said = client.ask(address, port)
    packets, host = begun(world.seen(mark)), world.log("host", mark)
    checks.check(f"{what}: {address} is refused, undialled",
                 said.startswith("refused") and not packets and not host,
                 said, packets, host)


def through(world, checks, client, what, address):
    mark = world.mark()
    said = client.ask(address, 80)
    wrong = judge.judge_packets(begun(world.seen(mark)), [f"tcp {address} 80"], [])
    checks.check(f"{what}: {address} is reached",
                 said.startswith("through") and not wrong, said, wrong)


def given(world, checks, client, what, add, remove):
    """(command, address) pairs, while the session lives."""
    for (command, address), (undo, _) in zip(add, remove, strict=True):
        through(world, checks, client, f"before {what}", address)
        internet.batch([command])
        refused(world, checks, client, what, address)
        refused(world, checks, client, what, address, 5432)
        internet.batch([undo])
        through(world, checks, client, f"after {what}", address)


def own_addresses(world, checks, client):
    given(world, checks, client, "an address",
          [(f"address add {a} dev lo" + " nodad" * (":" in a), a)
           for a in ADDRESSES],
          [(f"address del {a} dev lo", a) for a in ADDRESSES])
    given(world, checks, client, "a local route",
          [(f"route add local {a} dev lo", a) for a in ADDRESSES],
          [(f"route del local {a} dev lo", a) for a in ADDRESSES])
    given(world, checks, client, "a local route with another source",
          [(f"route add local 203.0.113.64/28 dev lo src {HOST4}",
            ADDRESSES[0])],
          [("route del local 203.0.113.64/28 dev lo", ADDRESSES[0])])
    given(world, checks, client, "an anycast route",
          [(f"route add anycast {ADDRESSES[1]} dev lo", ADDRESSES[1])],
          [(f"route del anycast {ADDRESSES[1]} dev lo", ADDRESSES[1])])
    internet.batch([f"route add local {ADDRESSES[0]} dev lo table 77"])
    given(world, checks, client, "a rule",
          [(f"rule add to {ADDRESSES[0]} lookup 77", ADDRESSES[0])],
          [(f"rule del to {ADDRESSES[0]} lookup 77", ADDRESSES[0])])


def embedded(world, checks, client):
    """What a translator would lead back to us."""
    through(world, checks, client, "embedded", "64:ff9b::cb00:714d")
    internet.batch([f"address add {ADDRESSES[0]} dev lo"])
    refused(world, checks, client, "embedded", EMBEDDED)
    internet.batch([f"address del {ADDRESSES[0]} dev lo"])


def many_changes(world, checks, client):
    """More news than the dialer's socket holds: then it knows nothing."""
    through(world, checks, client, "before a storm of routes", ADDRESSES[0])
    storm = [f"route {verb} 10.7.{i >> 8}.{i & 255} dev lo"
             for verb in ("add", "del") for i in range(4000)]
    internet.batch([*storm[:4000], f"address add {ADDRESSES[0]} dev lo",
                    *storm[4000:]])
    refused(world, checks, client, "after a storm of routes", ADDRESSES[0])
    internet.batch([f"address del {ADDRESSES[0]} dev lo"])
    through(world, checks, client, "after it all", ADDRESSES[0])


def host_services(world, checks, work):
    """The alias: these ports of 127.0.0.1, else of ::1, and nothing else."""
    client = Client(world, ["--net", "allowlist", "--allow",
                            f"host.exeat.internal:{BOTH},{ONLY6},{SHUT}"],
                    work)
    server = serve6(ONLY6)
    for name in ("host.exeat.internal", "host.docker.internal", "192.0.0.6",
                 "fd5a:8f3c:e7a1::6"):
        for port, word in ((BOTH, "host-secret"), (ONLY6, "only-six")):
            mark = world.mark()
            said = client.ask(name, port)
            first = [r["address"] for r in world.log("host", mark)]
            checks.check(f"host service {port} by {name}", word in said and
                         first in ([], ["127.0.0.1"]) and
                         not begun(world.seen(mark)), said, first)
        for port in (SHUT, 5432, 80, 22):
            refused(world, checks, client, f"host port {port}", name, port)
    for address in ("127.0.0.1", "::1", HOST4, "2001:db8:ffff::2"):
        refused(world, checks, client, "not the alias", address, BOTH)
    # first: it has inherited the end that the client reads to
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    client.end()


def story(world):
    checks = Checks()
    work = equip(world, "work")
    client = Client(world, ["--net", "open"], work)
    own_addresses(world, checks, client)
    embedded(world, checks, client)
    many_changes(world, checks, client)
    client.end()
    host_services(world, checks, work)
    kill([client.child.pid] if client.child.poll() is None else [])
    return checks.status()
