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


def edges(row_id, title, rule, inside, outside):
    """The first and the last address of a network and their neighbours: as an
    allow rule, and the other way round as a deny rule."""
    tries = connect(*inside, *outside)
    seen = {True: [f"tcp {a} 80" for a in inside],
            False: [f"tcp {a} 80" for a in outside]}

    def says(first, then):
        return [first] * len(inside) + [then] * len(outside)
    return [
        {"id": row_id + "1", "title": f"allowed: {title}, exactly",
         "passes": True, "options": ["--allow", rule], "try": tries,
         "says": says(HELLO, REFUSED), "sees": seen[True],
         "audit": [deny(layer="kernel", address=a, port=80)
                   for a in outside]},
        {"id": row_id + "2", "title": f"denied: {title}, exactly",
         "passes": True, "options": ["--net", "open", "--deny", rule],
         "try": tries, "says": says(REFUSED, HELLO), "sees": seen[False],
         "audit": [deny(layer="kernel", address=a, port=80)
                   for a in inside]}]


OUTSIDE_GUARD = [f"udp {a} 9999" for a in
                 ("169.253.255.255", "169.255.0.0", "192.0.1.0",
                  "223.255.255.255", "100:0:0:1::")]
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
     "says": REFUSED,
     "control": {"options": BLOCKED, "says": {"data": "own"},
                 "try": [["own_listener", a] for a in
                         ("0.0.0.0", "::", "127.0.0.1", "::1")]}},

    {"id": "C9", "title": "IPv4 mapped into IPv6",
     "options": EVERY,
     "try": [["mapped", "169.254.169.254", "80"],
             *connect("::ffff:a9fe:a9fe")],
     "says": REFUSED,
     "audit": [deny(layer="kernel", address="169.254.169.254", port=80,
                    reason="guard")],
     "control": {"options": ["--allow", AT], "try": [["mapped", AT, "80"]],
                 "says": HELLO, "sees": [f"tcp {AT} 80"]}},

    {"id": "C10", "title": "IPv4 compatible IPv6, and SIIT",
     "options": [*EVERY, ["--allow", "[::/96]:80"],
                 ["--allow", "::ffff:0:0:0/96"]],
     **guarded("::169.254.169.254", "::ffff:0:a9fe:a9fe", "::127.0.0.1",
               "::ffff:0:7f00:1"),
     "control": OPEN6},

    {"id": "C11", "title": "NAT64",
     "options": [*EVERY, ["--allow", "64:ff9b::/96", "--allow",
                          "64:ff9b:1::/48"]],
     **guarded("64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
               "64:ff9b::7f00:1"),
     "control": by_rule("64:ff9b::/96", "64:ff9b::203.0.113.9")},

    {"id": "C11b", "title": "NAT64 of another length, ISATAP: the gate's part",
     "options": [OPEN, ["--allow", "::/0"], ["--allow", "64:ff9b:1::/48",
                                             "--allow", "2001:db8::/32"]],
     "try": connect("64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::",
                    "64:ff9b:1:0:a9:fea9:fe00:0", "2001:db8::5efe:a9fe:a9fe",
                    "2001:db8::200:5efe:7f00:1"),
     "says": UNREACHABLE,
     "audit": [deny(address="64:ff9b:1:a9fe:a9:fe00::", reason="guard"),
               deny(address="2001:db8::5efe:a9fe:a9fe", reason="guard")],
     "control": by_rule("2001:db8::/32", "2001:db8::5efe:cb00:7109")},

    {"id": "C11c", "title": "a denied or private address within IPv6",
     "options": [["--net", "open", "--deny", "203.0.113.66"],
                 ["--allow", "64:ff9b::/96", "--deny", "203.0.113.64/26"]],
     "try": connect("64:ff9b::203.0.113.66", "64:ff9b::10.0.0.1"),
     "says": UNREACHABLE,
     "audit": [deny(address="64:ff9b::cb00:7142", reason="deny_rule"),
               deny(address="64:ff9b::a00:1", reason="private")],
     "control": {"options": ["--net", "open", "--deny", "203.0.113.66"],
                 "try": connect("64:ff9b::203.0.113.9"), "says": HELLO,
                 "sees": ["tcp 64:ff9b::cb00:7109 80"]}},

    {"id": "C12", "title": "6to4",
     "options": [*EVERY, ["--allow", "2002::/16"]],
     **guarded("2002:a9fe:a9fe::1", "2002:7f00:1::1"), "control": OPEN6},

    {"id": "C13", "title": "Teredo, whatever is inside",
     "options": [*EVERY, ["--allow", "2001::/32"]],
     **guarded("2001:0:a9fe:a9fe::1",
               "2001:0:4136:e378:8000:63bf:5601:5601"),
     "control": OPEN6},

    {"id": "C15", "title": "special ranges",
     "options": EVERY,
     **guarded("192.0.0.8", "240.0.0.1", "fec0::1", "100::1"),
     "control": OPEN4},

    {"id": "C15b", "title": "multicast and broadcast",
     "options": EVERY,
     "try": [["udp", a, "9999", "silent"] for a in
             ("224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255")],
     "says": {"errno": lambda e: e is not None}, "prompt_ms": 5000,
     "control": {"options": OPEN, "try": [["udp", AT, "9999"]],
                 "says": {"data": "ping"}, "sees": [f"udp {AT} 9999"]}},

    {"id": "C15c", "title": "the edges of the guard",
     "options": OPEN,
     "try": connect("169.254.0.0", "169.254.255.255", "192.0.0.255",
                    "0.255.255.255", "127.255.255.255", "240.0.0.0"),
     "says": {"errno": ("ECONNREFUSED", "EACCES", "ENETUNREACH", "EINVAL")},
     "control": {"options": OPEN, "may": OUTSIDE_GUARD, "prompt_ms": 5000,
                 "try": [["udp", a, "9999", "silent"] for a in
                         ("169.253.255.255", "169.255.0.0", "192.0.1.0",
                          "223.255.255.255", "100:0:0:1::")],
                 "says": {"errno": "ETIMEDOUT", "step": "read"},
                 "sees": OUTSIDE_GUARD}},

    {"id": "C16", "title": "private ranges in `open`, and under 0.0.0.0/0",
     "options": [OPEN, ALLOW, ["--allow", "0.0.0.0/1", "--deny", "@private"]],
     "try": connect("10.0.0.1", "192.168.7.7", "172.16.5.5", "100.64.1.1",
                    "fd12:3456::1"),
     "says": REFUSED,
     "audit": [deny(layer="kernel", address="10.0.0.1", port=80)],
     "control": {"options": ["--net", "open", "--allow", "10.0.0.0/8"],
                 "try": connect("10.0.0.1"), "says": HELLO,
                 "sees": ["tcp 10.0.0.1 80"]}},

    {"id": "C16b", "title": "a private answer for a public name",
     "options": [OPEN, ["--allow", "private.test", "--allow",
                        "private6.test"],
                 ["--allow", "private.test", "--allow", "0.0.0.0/0"]],
     "try": [["resolve", "private.test", "4"],
             ["resolve", "private6.test", "6"]],
     "says": {"error": lambda e: e},
     "may": ["dns private.test", "dns private6.test"], "allows": True,
     "control": {"options": ["--allow", "private.test+private", "--allow",
                             "private6.test", "--allow", "fd12:3456::/64"],
                 "try": [["http", "private.test", "80", "private.test"],
                         ["resolve", "private6.test", "6"],
                         *connect("fd12:3456::1")],
                 "says": [{"status": [200]}, {"addresses": ["fd12:3456::1"]},
                          HELLO],
                 "sees": ["dns private.test", "tcp 10.0.0.1 80",
                          "tcp fd12:3456::1 80"],
                 "may": ["dns private6.test"]}},

    {"id": "C16c", "title": "+private opens its name, not its address",
     "options": ["--allow", "private.test+private"],
     "try": connect("10.0.0.1"), "says": REFUSED,
     "audit": [deny(address="10.0.0.1", port=80)],
     "control": {"options": ["--allow", "10.0.0.1"],
                 "try": connect("10.0.0.1"), "says": HELLO,
                 "sees": ["tcp 10.0.0.1 80"]}},

    *edges("C20a", "a network of 8", "203.0.113.8/29",
           ["203.0.113.8", "203.0.113.15"], ["203.0.113.7", "203.0.113.16"]),
    *edges("C20b", "a network of 2", "203.0.113.20/31",
           ["203.0.113.20", "203.0.113.21"],
           ["203.0.113.19", "203.0.113.22"]),
    *edges("C20c", "one address", "203.0.113.9/32",
           ["203.0.113.9"], ["203.0.113.8", "203.0.113.10"]),
    *edges("C20d", "a network of 8, IPv6", "2001:db8:113::8/125",
           ["2001:db8:113::8", "2001:db8:113::f"],
           ["2001:db8:113::7", "2001:db8:113::10"]),
    *edges("C20e", "a network of 2, IPv6", "2001:db8:113::20/127",
           ["2001:db8:113::20", "2001:db8:113::21"],
           ["2001:db8:113::1f", "2001:db8:113::22"]),
    *edges("C20f", "one address, IPv6", "2001:db8:113::9/128",
           ["2001:db8:113::9"], ["2001:db8:113::8", "2001:db8:113::a"]),
    *edges("C20g", "everything of IPv4", "0.0.0.0/0",
           ["203.0.113.9", "198.51.100.1"], ["2001:db8:113::9"]),
    *edges("C20h", "everything of IPv6", "::/0",
           ["2001:db8:113::9"], ["203.0.113.9"]),

    {"id": "C21", "title": "metadata within what a rule names",
     "options": [["--allow", r] for r in
                 ("169.254.0.0/16", "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1",
                  "169.254.169.254/31", "169.254.169.254:80")],
     **guarded("169.254.169.254"), "control": OPEN4},

    {"id": "C21b", "title": "metadata within what a rule names, IPv6",
     "options": [["--allow", r] for r in
                 ("::/0", "fd00::/8", "fd00:ec2::/32", "fd00:ec2::254")],
     **guarded("fd00:ec2::254"), "control": OPEN6},

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
