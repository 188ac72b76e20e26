"""A, H: what is said by names, whom the resolver believes, who else listens.

SPDX-License-Identifier: Apache-2.0
"""

from world import probe
from world.sockets import HostSockets

from . import ALLOW, NO_NAME, OPEN, RESET, deny, found

RESOLVER = "192.0.0.5"
LOOKUP = {"try": [["resolve", "allowed.test", "4"]],
          "says": found("203.0.113.10"), "sees": ["dns allowed.test"]}
# Budgets: core/base/limits.h.
NAMES, TRIED = 256, 500
MADE_UP = [f"dns {n}" for n in probe.made_up("wild.test", TRIED)]
NO_UDP = {"errno": ("EPERM", "ECONNREFUSED", "EACCES")}
PROHIBITED, FILTERED, BLOCKED_BY_US = 18, 17, 15
SOCKETS = ("/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve",
           "/run/dbus/system_bus_socket", "/run/avahi-daemon/socket")


def ttl(low, high):
    def check(records):
        return records and all(low <= r["ttl"] <= high for r in records)
    check.__doc__ = f"a TTL of {low} to {high} s"
    return check


def contains(*parts):
    def check(text):
        return all(p in text for p in parts)
    check.__doc__ = f"contains {parts}"
    return check


def only(*addresses):
    def check(got):
        return got == list(addresses)
    check.__doc__ = f"is {addresses}"
    return check


def few(queries):
    """upstream saw each name once or twice, and once more for every 5 s"""
    names = [q["name"] for q in queries]
    more = (queries[-1]["t"] - queries[0]["t"]) / 5 if queries else 0
    return names and all(names.count(n) <= 2 + more for n in names)


def bounded(queries):
    """upstream saw no more names than the budget has"""
    return 0 < len({q["name"] for q in queries
                    if q["name"] != "allowed.test"}) <= NAMES


def guessless(queries):
    """ids and ports of our own queries cannot be foretold"""
    ids = [q["id"] for q in queries]
    steps = {(b - a) & 0xffff for a, b in zip(ids, ids[1:], strict=False)}
    ports = {q["port"] for q in queries}
    return len(ids) >= 24 and len(set(ids)) > len(ids) - 3 and \
        len(steps) > len(ids) // 2 and len(ports) > len(ids) // 2


def host_sockets(world, _work):
    """The host's ways to a resolver, each listening."""
    return HostSockets(world, SOCKETS, unlogged=SOCKETS)


ROWS = [
    {"id": "A2", "title": "tunnel below an allowed wildcard",
     "options": ALLOW, "prompt_ms": 20000,
     "try": [["tunnel", RESOLVER, "wild.test", str(TRIED)],
             ["dns", RESOLVER, "udp", "A", probe.made_up("wild.test", 1)[0]],
             ["dns", RESOLVER, "udp", "A", "allowed.test"]],
     "says": [{"rcodes": {"NOERROR": NAMES, "REFUSED": TRIED - NAMES},
               "last": {"ede": PROHIBITED,
                        "why": contains("limit", "*.wild.test")}},
              {"rcode": "NOERROR", "answers": 1},
              {"rcode": "NOERROR", "answers": 1}],
     "may": [*MADE_UP, "dns allowed.test"],
     "logs": {"dns": bounded},
     "audit": [deny(layer="dns", reason="limit", rule="*.wild.test"),
               deny(layer="dns", reason="limit",
                    dropped=TRIED - NAMES - 1)],
     "control": {"try": [["tunnel", RESOLVER, "wild.test", "60"]],
                 "says": {"rcodes": {"NOERROR": 60}}, "may": MADE_UP}},

    {"id": "A5b", "title": "pieces and pipelines by TCP, the same policy",
     "options": ALLOW,
     "try": [["pieces", "8.8.8.8", "evil.test", "allowed.test", "evil.test"]],
     "says": {"rcodes": ["NXDOMAIN", "NOERROR", "NXDOMAIN"]},
     "sees": ["dns allowed.test"],
     "audit": [deny(layer="dns", name="evil.test")],
     "control": {"try": [["pieces", "8.8.8.8", "allowed.test"]],
                 "says": {"rcodes": ["NOERROR"]},
                 "sees": ["dns allowed.test"]}},

    {"id": "A8b", "title": "a refusal says why (RFC 8914)",
     "options": [*ALLOW, "--allow", "private.test", "--deny", "x.wild.test"],
     "try": [["dns", RESOLVER, "udp+edns=00", "A", n] for n in
             ("evil.test", "x.wild.test", "private.test",
              "metadata.google.internal")] +
            [["dns", RESOLVER, "udp", "A", "evil.test"]],
     "says": [{"rcode": "NXDOMAIN", "ede": PROHIBITED,
               "why": contains("--allow evil.test")},
              {"rcode": "NXDOMAIN", "ede": FILTERED,
               "why": contains("x.wild.test")},
              {"rcode": "NXDOMAIN", "ede": BLOCKED_BY_US,
               "why": contains("--allow private.test+private")},
              {"rcode": "NXDOMAIN", "ede": BLOCKED_BY_US},
              {"rcode": "NXDOMAIN", "ede": None}],
     "sees": ["dns private.test"],
     "audit": [deny(layer="dns", name="private.test", reason="private")],
     "control": {"try": [["dns", RESOLVER, "udp+edns=00", "A",
                          "allowed.test"]],
                 "says": {"rcode": "NOERROR", "ede": None},
                 "sees": ["dns allowed.test"]}},

    {"id": "A16", "title": "DNS over HTTPS behind an allowed host",
     "options": ALLOW,
     "try": [["resolve", "allowed.test", "4"],
             ["http", "203.0.113.10", "80", "cloudflare-dns.com"],
             ["tls", "203.0.113.10", "443", "cloudflare-dns.com"]],
     "says": [found("203.0.113.10"), {"status": [403]}, RESET],
     "sees": ["dns allowed.test"],
     "audit": [deny(layer="http", name="cloudflare-dns.com"),
               deny(layer="tls", name="cloudflare-dns.com")],
     "control": {"try": [["resolve", "allowed.test", "4"],
                         ["http", "203.0.113.10", "80", "allowed.test"]],
                 "says": [found("203.0.113.10"), {"status": [200]}],
                 "sees": ["dns allowed.test", "tcp 203.0.113.10 80"]}},

    {"id": "A26", "title": "extremes of time to live, asked without end",
     "options": ["--allow", "ttl0.test", "--allow", "ttlmax.test"],
     "passes": True, "prompt_ms": 20000,
     "try": [["dns", RESOLVER, "udp", "A", "ttlmax.test"],
             ["dns", RESOLVER, "udp", "A", "ttl0.test"],
             ["again", RESOLVER, "ttl0.test", "300"]],
     "says": [{"records": ttl(290, 300)}, {"records": ttl(5, 5)},
              {"rcodes": {"NOERROR": 300}}],
     "sees": ["dns ttl0.test", "dns ttlmax.test"],
     "logs": {"dns": few}},

    {"id": "A29", "title": "the host's resolvers by their sockets",
     "options": [ALLOW, OPEN, ["--net", "blocked"]], "before": host_sockets,
     "try": [["unix_connect", path] for path in SOCKETS],
     "says": {"errno": ("ENOENT", "EACCES", "ECONNREFUSED"),
              "step": "connect"},
     "control": {"outside": True,
                 "try": [["unix_connect", path] for path in SOCKETS],
                 "says": {"made": True}}},

    {"id": "A31", "title": "a cloud's resolver, asked for an allowed name",
     "options": [ALLOW, OPEN],
     "try": [["dns", a, how, "A", "allowed.test"]
             for a in ("169.254.169.253", "168.63.129.16", "169.254.20.10")
             for how in ("udp", "tcp")],
     "says": {"errno": ("ECONNREFUSED", "EPERM")},
     "audit": [deny(layer="kernel", address=a, port=53, reason="guard")
               for a in ("169.254.169.253", "168.63.129.16")],
     "control": LOOKUP},

    {"id": "A32", "title": "names asked of the neighbours on the link",
     "options": [ALLOW, OPEN],
     "try": [*[["udp", a, port, "silent"] for a, port in
               (("224.0.0.251", "5353"), ("ff02::fb", "5353"),
                ("224.0.0.252", "5355"), ("ff02::1:3", "5355"),
                ("255.255.255.255", "137"), ("192.0.2.3", "137"))],
             ["tcp", "224.0.0.252", "5355"]],
     "says": [{"errno": ("EPERM", "ECONNREFUSED", "EACCES", "ENETUNREACH",
                         "EINVAL", "ETIMEDOUT")}] * 5 +
             [{"errno": ("EPERM", "ECONNREFUSED", "EACCES", "ETIMEDOUT")},
              {"errno": ("ECONNREFUSED", "ENETUNREACH", "EACCES")}],
     "prompt_ms": 1200,
     "control": {"options": ["--allow", "udp/203.0.113.9:5353"],
                 "try": [["udp", "203.0.113.9", "5353"]],
                 "says": {"data": "ping"}, "sees": ["udp 203.0.113.9 5353"]}},

    {"id": "A33", "title": "the tool itself asks for what it refuses",
     "options": [[*ALLOW, "--deny", "x.wild.test", *more] for more in
                 ([], ["--explain"])],
     "try": [["resolve", "evil.test"], ["resolve", "x.wild.test"],
             ["dns", "8.8.8.8", "tcp", "AAAA", "other.test"]],
     "says": [NO_NAME, NO_NAME, {"rcode": "NXDOMAIN"}],
     "audit": [deny(layer="dns", name="evil.test"),
               deny(layer="dns", name="x.wild.test"),
               deny(layer="dns", name="other.test")],
     "control": LOOKUP},

    {"id": "A34", "title": "forged answers, faster than the true one",
     "options": ["--allow", "spoof.test"], "passes": True,
     "try": [["resolve", "spoof.test", "4"]],
     "says": {"addresses": only("203.0.113.45")},
     # the kernel's answer to whom our socket has not asked
     "sees": ["dns spoof.test"], "may": ["icmp 8.8.8.8", "icmp 1.1.1.1"]},

    {"id": "A34b", "title": "ids and ports of our queries",
     "options": ALLOW, "passes": True, "prompt_ms": 5000,
     "try": [["tunnel", RESOLVER, "wild.test", "40"]],
     "says": {"rcodes": {"NOERROR": 40}}, "may": MADE_UP,
     "logs": {"dns": guessless}},

    {"id": "H15", "title": "a neighbour sits at a resolver's address",
     "options": ALLOW, "prompt_ms": 3000,
     "try": [["neighbour", "8.8.8.8", "allowed.test"]],
     "says": {"heard": 0, "forged": 0,
              "udp": lambda r: r[0]["rdata"] == "203.0.113.10",
              "tcp": lambda r: r[0]["rdata"] == "203.0.113.10"},
     "sees": ["dns allowed.test"],
     "control": LOOKUP},

    {"id": "H15b", "title": "a neighbour takes the gate's ports",
     "options": [ALLOW, OPEN], "prompt_ms": 60000,
     "try": [["bind_ports", "64501", "64502", "64503", "64504"]],
     "says": {"got": []},
     "may": [f"{proto} {a} {port}" for a in ("203.0.113.10",
                                             "2001:db8:113::10")
             for proto, port in (("tcp", 443), ("udp", 9999))],
     "control": {"options": OPEN,
                 "try": [["tcp", "203.0.113.9", "7", "x"]],
                 "says": {"data": "x"}, "sees": ["tcp 203.0.113.9 7"]}},

    {"id": "H15c", "title": "simultaneous open with a foreign address",
     "options": [ALLOW, OPEN, ["--net", "blocked"]],
     "try": [["simultaneous", a, "443"] for a in
             ("203.0.113.10", "8.8.8.8", "192.0.2.2")],
     "says": {"errno": ("ECONNREFUSED", "EADDRINUSE"), "step": "connect"},
     "control": {"options": ["--net", "blocked"],
                 "try": [["simultaneous", "127.0.0.1", "4443"]],
                 "says": {"peer": "127.0.0.1"}}},
]
