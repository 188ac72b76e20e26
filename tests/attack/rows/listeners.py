"""E: who listens where: the gate's sockets from outside, the host's from
inside.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOW, ALLOWED, BLOCKED, EVIL, OPEN, deny
from . import _neighbours as near
from ._neighbours import GATE_TCP, GATE_UDP, HOSTS, INSIDE

HOST4, HOST6 = HOSTS
EVERYTHING = ["--allow", "0.0.0.0/0", "--allow", "::/0"]
# Of what begins in a row and is looked at behind it: {work dir: it}
meanwhile = {}


def doors(kinds, addresses, ports):
    return [f"{k}/{a}/{p}" for k in kinds for a in addresses for p in ports]


def by_proxy(at, target):
    """A probe: the explicit proxy, if there is one at `at`."""
    return ["tcp", at, "64505", rf"CONNECT {target} HTTP/1.1\r\n"
            rf"Host: {target}\r\n\r\n"]


NOT_BY_PROXY = (
    {"errno": lambda e: e is not None},
    {"data": lambda d: d.startswith("HTTP/1.1 403 ")})

# ---- E3: the gate from outside ----

AT_HOST = doors(["tcp"], ["127.0.0.1", "::1", *HOSTS, "0.0.0.0", "::"],
                (*GATE_TCP, *GATE_UDP)) + \
    doors(["udp"], ["127.0.0.1", "::1", *HOSTS], (*GATE_TCP, *GATE_UDP, 53))
FROM_FAR = doors(["tcp"], [*HOSTS, "fe80::ff:fe00:2%net0", "192.0.0.2"],
                 (*GATE_TCP, *GATE_UDP, 53)) + \
    doors(["udp"], HOSTS, (*GATE_UDP, 53))


def living(world, work):
    """Another session, and what the host's network was like before it."""
    near.carry(world, work)
    before = near.host_sockets()
    other = near.Living(world, "open")
    meanwhile[work] = before, other
    return other


def outside_unchanged(world, work):
    before, other = meanwhile.pop(work)
    out = [f"a socket of the host: {s}"
           for s in sorted(near.host_sockets() - before)]
    done = near.far_side(world, ["/usr/bin/python3", "-B", near.KNOCK,
                                 *FROM_FAR])
    said = near.parsed(done.stdout)
    if said.get("tried") != len(FROM_FAR) or said["heard"] or said["open"]:
        out.append(f"from another host: {said or done.stderr}")
    return out + other.complaints()


# ---- E4: the host's loopback, by its routes ----

LOCALNET = "/proc/sys/net/ipv4/conf/{}/route_localnet"
TRICKS = ["tcp", "device", "direct", "source", "udp"]
LOOPBACK = doors(TRICKS, ["127.0.0.1", "127.0.0.2", "127.255.255.254"],
                 (9000, 5432)) + \
    doors(["tcp", "udp"], ["::1", "::ffff:127.0.0.1", "localhost", "0"],
          (9000, 5432)) + \
    doors(["through"], ["127.0.0.1", ALLOWED, HOST4], (9000, 80))
REROUTE = ("ip route add local 127.0.0.0/8 dev lo table 7",
           "ip rule add to 127.0.0.0/8 table 7",
           "ip address add 127.0.0.9/8 dev lo",
           "ip link add x0 type veth",
           "nft add table ip x",
           *(f"echo 1 >{LOCALNET.format(n)}" for n in ("all", "lo")))
REROUTED = "PATH=$PATH:/usr/sbin:/sbin; " + \
    "; ".join(f"{c} 2>/dev/null && echo done" for c in REROUTE) + \
    "; cat /proc/net/dev"


class Routed:
    """A host that routes its loopback, as some do for port forwarding."""

    def __init__(self):
        self.write("1")

    @staticmethod
    def write(value):
        for name in ("all", "default", "wan0", "lo"):
            with open(LOCALNET.format(name), "w", encoding="ascii") as f:
                f.write(value)

    def close(self):
        self.write("0")


def routed(world, work):
    near.carry(world, work)
    return Routed()


def fenced(out):
    """says that nothing was done, and that loopback is all there is"""
    lines = out.splitlines()
    return "done" not in lines and \
        [x.split()[0] for x in lines if ":" in x] == ["lo:"]


# ---- E6: a service of the host's, by all of its names ----

FORMS = [HOST4, HOST6, "0.0.0.0", "::", "::ffff:" + HOST4, "::" + HOST4,
         "64:ff9b::" + HOST4, "2002:c000:202::", "3221225986", "0xc0000202",
         "127.0.0.1", "::1", "::ffff:0:127.0.0.1", "fe80::ff:fe00:2%lo"]
NAMES = ["localhost", "host.exeat.internal", "host.docker.internal",
         "ownhost.test", "loopback.test"]
BROADCAST = ["192.0.2.3", "255.255.255.255", "224.0.0.1", "ff02::1%lo"]
PORTS = (5432, 5433)
SERVICE = doors(["tcp", "udp"], [*FORMS, *NAMES], PORTS) + \
    doors(["loose"], [*FORMS, *BROADCAST], PORTS) + \
    doors(["connect", "socks"], [HOST4, HOST6, "127.0.0.1", "::1", *NAMES],
          PORTS)
FROM_OUTSIDE = doors(["tcp", "udp"], [HOST4, HOST6, "::ffff:" + HOST4,
                                      "3221225986", "127.0.0.1", "::1"],
                     (5433,))


def serving(world, work):
    near.carry(world, work)
    return near.HostServices(world, 5433)


# ---- E8: another session's ----

# At these ports are its own, which answer nobody; the one for names would.
OTHERS = doors(["tcp"], [*INSIDE, *HOSTS],
               (7777, *GATE_TCP[:2], *GATE_UDP)) + \
    doors(["udp"], [*INSIDE[:6], *HOSTS], GATE_UDP[:1])


def unnoticed(_world, work):
    _, other = meanwhile.pop(work)
    return other.complaints()


ROWS = [
    {"id": "E3", "title": "the gate's listeners, from the host and beyond",
     "outside": True, "before": living, "after": outside_unchanged,
     "try": [near.knocks(AT_HOST)],
     "says": near.nothing_heard(len(AT_HOST)), "prompt_ms": 30000,
     "control": {"options": OPEN,
                 "try": [["tcp", "127.0.0.1", "64505", r"x\r\n\r\n", "all"]],
                 "says": {"data": lambda d: d.startswith("HTTP/1.1 400")}}},

    {"id": "E4", "title": "the host's loopback, though it is routed there",
     "options": [BLOCKED, OPEN, EVERYTHING], "before": routed,
     "try": [near.knocks(LOOPBACK), ["program", "sh", "-c", REROUTED]],
     "says": [near.nothing_heard(len(LOOPBACK)), {"out": fenced}],
     "prompt_ms": 30000,
     "control": {"outside": True, "prompt_ms": 30000,
                 "try": [near.knocks(["tcp/127.0.0.1/9000",
                                      "source/127.0.0.1/9000",
                                      "device/127.0.0.2/5432"])],
                 "says": near.everything_heard(3)}},

    {"id": "E6", "title": "a service of the host's on every address",
     "options": [BLOCKED, OPEN,
                 [*EVERYTHING, "--allow", "ownhost.test:*", "--allow",
                  "loopback.test:*+private"]],
     "before": serving, "try": [near.knocks(SERVICE)],
     "says": near.nothing_heard(len(SERVICE)), "prompt_ms": 60000,
     "may": ["dns ownhost.test", "dns loopback.test"],
     "control": {"outside": True, "try": [near.knocks(FROM_OUTSIDE)],
                 "says": near.everything_heard(len(FROM_OUTSIDE)),
                 "prompt_ms": 30000}},

    {"id": "E8", "title": "the listeners of another session",
     "options": [BLOCKED, ALLOW], "before": living, "after": unnoticed,
     "try": [near.knocks(OTHERS),
             *(by_proxy(a, EVIL + ":22") for a in (*INSIDE, *HOSTS))],
     "says": [near.nothing_heard(len(OTHERS))] +
     [NOT_BY_PROXY] * (len(INSIDE) + 2),
     "prompt_ms": 30000,
     "audit": [deny(layer="kernel", address=HOST4, port=7777)],
     "control": {"options": OPEN, "try": [by_proxy("127.0.0.1", EVIL + ":22")],
                 "says": {"data": lambda d: d.startswith("HTTP/1.1 200 ")},
                 "sees": [f"tcp {EVIL} 22"]}},
]
