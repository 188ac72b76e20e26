"""C: forms of addresses, private ranges, metadata.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOW, BLOCKED, OPEN, REFUSED, deny

EVERY = [BLOCKED, ALLOW, OPEN, ["--allow", "0.0.0.0/0", "--allow", "::/0"]]
GET = "GET / HTTP/1.0\\r\\n\\r\\n"
AT = "203.0.113.9"
HELLO = {"data": lambda d: "hello" in d}
UNREACHABLE = {"errno": ("ECONNREFUSED", "ECONNRESET")}


def connect(*addresses, port="80"):
    return [["tcp", a, port, GET, "all"] for a in addresses]


def guarded(*addresses):
    return {"try": connect(*addresses), "says": REFUSED,
            "audit": [deny(layer="kernel", address=a, port=80,
                           reason="guard") for a in addresses]}


def by_rule(rule, address, port="80"):
    """The same probe against an address that a rule opens."""
    return {"options": ["--allow", rule], "try": connect(address, port=port),
            "says": HELLO, "sees": [f"tcp {address} {port}"]}


OPEN4, OPEN6 = by_rule(AT, AT), by_rule("2001:db8:113::9", "2001:db8:113::9")

ROWS = [
    {"id": "C1", "title": "a public address, raw",
     "options": [ALLOW, BLOCKED],
     "try": [["tls", AT, "443"], *connect(AT), ["tls", AT, "443",
                                                "allowed.test"]],
     "says": {"errno": "ECONNREFUSED", "step": "connect"},
     "audit": [deny(layer="kernel", address=AT, port=443),
               deny(layer="kernel", address=AT, port=80)],
     "control": {"options": ["--allow", AT], "try": [["tls", AT, "443"]],
                 "says": {"data": lambda d: "hello" in d or "200" in d},
                 "sees": [f"tcp {AT} 443"]}},

    {"id": "C3", "title": "metadata, IPv4",
     "options": [*EVERY, ["--allow", "169.254.0.0/16"],
                 ["--allow", "169.254.169.254"]],
     **guarded("169.254.169.254", "169.254.0.1"),
     "control": OPEN4},

    {"id": "C4", "title": "metadata of other providers",
     "options": EVERY,
     **guarded("169.254.170.2", "169.254.170.23", "100.100.100.200",
               "192.0.0.192", "168.63.129.16"),
     "control": OPEN4},

    {"id": "C5", "title": "metadata, IPv6",
     "options": [*EVERY, ["--allow", "fd00:ec2::254"]],
     **guarded("fd00:ec2::254", "fd20:ce::254"),
     "control": OPEN6},

    {"id": "C5b", "title": "metadata, link-local IPv6",
     "options": EVERY, "try": connect("fe80::a9fe:a9fe%lo"),
     "says": {"errno": ("ECONNREFUSED", "EINVAL", "ENETUNREACH",
                        "EADDRNOTAVAIL", "EHOSTUNREACH")},
     "control": OPEN6},

    {"id": "C6", "title": "metadata by name",
     "options": OPEN,
     "try": [["resolve", "metadata.google.internal"],
             ["resolve", "metadata.azure.internal"],
             ["resolve", "instance-data"]],
     "says": {"error": "EAI_NONAME"},
     "audit": [deny(layer="dns", name="metadata.google.internal")],
     "control": {"try": [["resolve", "evil.test", "4"]],
                 "says": {"addresses": ["203.0.113.66"]},
                 "sees": ["dns evil.test"]}},

    {"id": "C8", "title": "0.0.0.0 and ::, with a listener on the host",
     "options": [BLOCKED, ALLOW, OPEN],
     "try": connect("0.0.0.0", "::", "127.0.0.1", "::1", port="5432"),
     "says": REFUSED, "control": by_rule(AT, AT)},

    {"id": "C9", "title": "IPv4 mapped into IPv6",
     "options": EVERY,
     "try": [["mapped", "169.254.169.254", "80"],
             *connect("::ffff:a9fe:a9fe")],
     "says": REFUSED,
     "audit": [deny(layer="kernel", address="169.254.169.254", port=80,
                    reason="guard")],
     "control": {"options": ["--allow", AT], "try": [["mapped", AT, "80"]],
                 "says": HELLO, "sees": [f"tcp {AT} 80"]}},

    {"id": "C10", "title": "IPv4 compatible IPv6",
     "options": EVERY, **guarded("::169.254.169.254"), "control": OPEN6},

    {"id": "C11", "title": "NAT64",
     "options": EVERY,
     **guarded("64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe"),
     "control": OPEN6},

    {"id": "C12", "title": "6to4 and Teredo",
     "options": EVERY, **guarded("2002:a9fe:a9fe::1"), "control": OPEN6},

    {"id": "C15", "title": "special ranges",
     "options": EVERY,
     **guarded("192.0.0.8", "240.0.0.1", "fec0::1", "100::1"),
     "control": OPEN4},

    {"id": "C15b", "title": "multicast and broadcast",
     "options": EVERY,
     "try": [["udp", a, "9999"] for a in
             ("224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255")],
     "says": {"errno": lambda e: e is not None}, "prompt_ms": 5000,
     "control": {"options": OPEN, "try": [["udp", AT, "9999"]],
                 "says": {"data": "ping"}, "sees": [f"udp {AT} 9999"]}},

    {"id": "C16", "title": "private ranges in `open`, and under 0.0.0.0/0",
     "options": [OPEN, ALLOW, ["--allow", "0.0.0.0/1", "--deny", "@private"]],
     "try": connect("10.0.0.1", "192.168.7.7", "172.16.5.5", "100.64.1.1",
                    "fd12:3456::1"),
     "says": REFUSED,
     "audit": [deny(layer="kernel", address="10.0.0.1", port=80)],
     "control": {"options": ["--net", "open", "--allow", "10.0.0.0/8"],
                 "try": connect("10.0.0.1"), "says": HELLO,
                 "sees": ["tcp 10.0.0.1 80"]}},

    {"id": "E5", "title": "the host and its gateway",
     "options": [OPEN, ["--allow", "192.0.2.0/24", "--allow",
                        "2001:db8:ffff::/64"]],
     "try": connect("192.0.2.2", "2001:db8:ffff::2", port="5432"),
     "says": UNREACHABLE,
     "audit": [deny(address="192.0.2.2", port=5432, reason="own_address")],
     "control": {"options": ["--allow", "192.0.2.0/24"],
                 "try": connect("192.0.2.53"), "says": HELLO,
                 "sees": ["tcp 192.0.2.53 80"]}},
]
