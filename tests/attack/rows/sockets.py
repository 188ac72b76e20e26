"""F: what is not TCP, and the kernel's side doors.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOW, BLOCKED, OPEN, deny

EVERY = [BLOCKED, ALLOW, OPEN]
AT, AT6 = "203.0.113.9", "2001:db8:113::9"
HOST, HOST6 = "192.0.2.2", "2001:db8:ffff::2"
# Of one, two and many packets, and the largest of IPv4.
SIZES = ("0", "1", "1472", "1473", "9000", "65000", "65507")
NO = {"errno": ("EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT",
                "ENOSYS", "EINVAL")}
REFUSED = {"errno": "ECONNREFUSED", "step": "connect"}
NO_UDP = {"errno": ("EPERM", "ECONNREFUSED")}
MADE = {"made": True}
AF_INET, AF_INET6, AF_PACKET, AF_VSOCK, AF_UNIX = 2, 10, 17, 40, 1
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_DCCP = 1, 2, 3, 5, 6
DCCP, GRE, ESP, AH, SCTP, UDPLITE, MPTCP = 33, 47, 50, 51, 132, 136, 262


def sockets(*triples):
    return [["open_socket", *map(str, t)] for t in triples]


def speaks(domain, address, *pairs):
    return [["speak", str(domain), str(kind), str(protocol), address, "9999"]
            for kind, protocol in pairs]


ORDINARY = {"options": BLOCKED, "says": MADE,
            "try": sockets((AF_INET, SOCK_STREAM, 0),
                           (AF_INET6, SOCK_DGRAM, 0),
                           (AF_UNIX, SOCK_STREAM, 0), (16, SOCK_RAW, 0))}


def udp_by_rule(rule, address):
    return {"options": ["--allow", rule], "try": [["udp", address, "9999"]],
            "says": {"data": "ping", "from": address},
            "sees": [f"udp {address} 9999"]}


# Nobody listens for them: the host may say so to who seems to have sent them.
FORGERS = [f"{proto} {address}" for proto, address in (
    ("icmp", "203.0.113.66"), ("icmp", AT), ("icmp6", "2001:db8:113::66"),
    ("icmp6", AT6))]
FORGED = [(a, how) for a in (AT, AT6) for how in ("address", "port", "both")]
FORGE = [["udp", a, "9997", "unconnected", how] for a, how in FORGED]


ROWS = [
    {"id": "F1", "title": "ICMP as a tunnel",
     "options": EVERY,
     "try": [["ping", AT], ["ping", AT6]],
     "says": {"errno": ("EPERM", "EACCES", "ECONNREFUSED", "EHOSTUNREACH")},
     "control": {"outside": True, "try": [["ping", AT], ["ping", AT6]],
                 "says": {"data": lambda d: "secret-in-ping" in d}}},

    {"id": "F1b", "title": "ICMP as ping(8) sends it",
     "options": EVERY,
     "try": [["ping", a, "either"] for a in (AT, AT6)],
     "says": {"errno": ("EPERM", "EACCES", "ECONNREFUSED", "EHOSTUNREACH")},
     "control": {"outside": True,
                 "try": [["ping", a, "either"] for a in (AT, AT6)],
                 "says": {"data": lambda d: "secret-in-ping" in d}}},

    {"id": "F2", "title": "UDP, connected, unconnected, many at once",
     "options": [BLOCKED, ALLOW],
     "try": [["udp", a, "9999", how] for a in (AT, AT6)
             for how in ("unconnected", "connected", "many")],
     "says": NO_UDP,
     "audit": [deny(layer="kernel", address=a, port=9999, protocol="udp")
               for a in (AT, AT6)],
     "control": udp_by_rule(f"udp/{AT}:9999", AT)},

    {"id": "F2b", "title": "UDP from a source that is not ours",
     "options": ["--allow", AT],
     "try": [["bind_send", "198.51.100.77", AT, "9999"],
             ["bind_send", "8.8.8.8", AT, "9999"]],
     "says": {"errno": ("EPERM", "EADDRNOTAVAIL", "EACCES")},
     "control": {"try": [["bind_send", "192.0.0.2", AT, "9999"]],
                 "says": {"data": "forged"}, "sees": [f"udp {AT} 9999"]}},

    {"id": "F2d", "title": "answers from another address or another port",
     "options": [["--allow", f"udp/{AT}:9997", "--allow",
                  f"udp/[{AT6}]:9997"], OPEN],
     "try": FORGE, "says": [{"data": how, "from": a} for a, how in FORGED],
     "sees": [f"udp {AT} 9997", f"udp {AT6} 9997"],
     "may": FORGERS, "passes": True,
     "control": {"outside": True, "try": FORGE,
                 "says": [{"data": "forged " + how} for _, how in FORGED]}},

    {"id": "F4", "title": "raw and packet sockets",
     "options": EVERY,
     "try": sockets((AF_INET, SOCK_RAW, 255), (AF_INET, SOCK_RAW, 1),
                    (AF_INET6, SOCK_RAW, 58), (AF_PACKET, SOCK_RAW, 768),
                    (AF_PACKET, SOCK_DGRAM, 768)),
     "says": NO, "control": ORDINARY},

    {"id": "F4b", "title": "other families",
     "options": BLOCKED,
     "try": sockets((31, 3, 1), (29, 3, 1), (38, 5, 0), (30, 1, 0),
                    (44, 3, 0), (16, SOCK_RAW, 12), (16, SOCK_RAW, 9)),
     "says": NO, "control": ORDINARY},

    {"id": "F5", "title": "the hypervisor's sockets",
     "options": EVERY, "try": [["vsock", "2", "1"], ["vsock", "1", "1"]],
     "says": {"errno": NO["errno"], "step": "socket"}, "control": ORDINARY},

    {"id": "F7", "title": "io_uring",
     "options": EVERY, "try": [["io_uring"]], "says": NO,
     "control": {"outside": True, "try": [["io_uring"]],
                 "says": (MADE, {"errno": ("ENOSYS", "EPERM")})}},

    {"id": "F9", "title": "the same over IPv6",
     "options": [BLOCKED, ALLOW],
     "try": [["tcp", AT6, "80"], ["udp", AT6, "9999"],
             ["tcp", "2001:db8:113::66", "443"]],
     "says": [REFUSED, NO_UDP, REFUSED],
     "audit": [deny(layer="kernel", address=AT6, port=80),
               deny(layer="kernel", address="2001:db8:113::66", port=443)],
     "control": {"options": ["--allow", f"{AT6}"],
                 "try": [["udp", AT6, "9999"],
                         ["tcp", AT6, "22"]],
                 "says": [{"data": "ping", "from": AT6},
                          {"data": "SSH-2.0-World\r\n"}],
                 "sees": [f"udp {AT6} 9999", f"tcp {AT6} 22"]}},

    {"id": "F10", "title": "discovery on the local link",
     "options": EVERY,
     "try": [["udp", a, port, "silent"] for a, port in
             (("224.0.0.251", "5353"), ("224.0.0.252", "5355"),
              ("ff02::fb", "5353"), ("192.0.2.3", "137"))],
     "says": [*[{"errno": lambda e: e is not None}] * 3, {}],
     "may": ["udp 192.0.2.3 137"], "prompt_ms": 3000,
     "control": udp_by_rule(f"udp/{AT}:9999", AT)},

    {"id": "F2c", "title": "a closed port of an address that a rule opens",
     "passes": True,
     "options": ["--allow", f"udp/{AT}", "--allow", f"udp/{AT6}"],
     "try": [["closed_port", a, "7777"] for a in (AT, AT6)],
     "says": {"errno": "ECONNREFUSED", "step": "read"},
     "sees": [f"udp {AT} 7777", f"udp {AT6} 7777"],
     "may": [f"icmp {HOST}", f"icmp6 {HOST6}"],
     "audit": [{"verdict": "fail", "address": a, "port": 7777,
                "errno": "ECONNREFUSED"} for a in (AT, AT6)]},

    {"id": "F8", "title": "fragments: they cannot be made by hand",
     "options": [*EVERY, ["--allow", f"udp/{AT}:9999"]],
     "try": sockets((AF_INET, SOCK_RAW, 255), (AF_INET, SOCK_RAW, 17),
                    (AF_INET6, SOCK_RAW, 17), (AF_INET6, SOCK_RAW, 44),
                    (AF_PACKET, SOCK_RAW, 768)),
     "says": NO, "control": ORDINARY},

    {"id": "F8b", "title": "datagrams of every size, whole, both ways",
     "passes": True,
     "options": ["--allow", f"udp/{AT}:9999", "--allow",
                 f"udp/[{AT6}]:9999"],
     "try": [["large", a, "9999", *SIZES] for a in (AT, AT6)] +
            [["large", AT, "9999", "65507"], ["large", AT6, "9999", "65527"]],
     "says": [{"whole": [True] * len(SIZES)}] * 2 + [{"whole": [True]}] * 2,
     "sees": [f"udp {AT} 9999"],
     "may": [f"udp {AT6}", f"udp {AT}"]},

    {"id": "F9b", "title": "extension headers",
     "options": ["--allow", f"udp/[{AT6}]:9999"],
     "try": [["extension", how, AT6, "9999", "2001:db8:113::66"] for how in
             ("hop", "destination", "source-route", "home", "segments")],
     "says": [{"errno": ("EPERM", "EACCES")}] * 2 +
             [{"data": ("routed", None)}] * 3,
     "may": [f"udp {AT6} 9999"], "prompt_ms": 2000,
     "control": udp_by_rule(f"udp/[{AT6}]:9999", AT6)},

    {"id": "F14", "title": "a link that is shared with anybody",
     "options": EVERY,
     "try": [["program", "ip", "-o", "link"],
             ["program", "ip", "neigh"]],
     "says": [{"code": 0, "out": lambda o: len(o.splitlines()) == 1 and
               "1: lo:" in o}, {"code": 0, "out": ""}],
     "control": {"outside": True, "try": [["program", "ip", "-o", "link"],
                                          ["program", "ip", "neigh"]],
                 "says": {"code": 0, "out": lambda o: "wan0" in o}}},

    {"id": "F15", "title": "protocols besides TCP and UDP, raw",
     "options": EVERY,
     "try": sockets(*((family, SOCK_RAW, protocol)
                      for family in (AF_INET, AF_INET6) for protocol in
                      (4, 41, GRE, ESP, AH, SCTP, DCCP, UDPLITE, 255))),
     "says": {"errno": "EPERM"}, "control": ORDINARY},

    {"id": "F15b", "title": "SCTP, DCCP, UDP-Lite",
     "options": [*EVERY, ["--allow", AT, "--allow", AT6]],
     "try": [x for domain, a in ((AF_INET, AT), (AF_INET6, AT6))
             for x in speaks(domain, a, (SOCK_STREAM, SCTP),
                             (SOCK_SEQPACKET, SCTP), (SOCK_DCCP, DCCP),
                             (SOCK_DGRAM, UDPLITE))],
     "says": {"errno": lambda e: e, "step": ("socket", "connect", "send")},
     "control": {"options": ["--allow", AT],
                 "try": speaks(AF_INET, AT, (SOCK_STREAM, 6),
                               (SOCK_DGRAM, 17)),
                 "says": {"data": "secret word"},
                 "sees": [f"tcp {AT} 9999", f"udp {AT} 9999"]}},

    {"id": "F15c", "title": "MPTCP is TCP: refused like it, relayed like it",
     "options": [BLOCKED, ALLOW],
     "try": speaks(AF_INET, AT, (SOCK_STREAM, MPTCP)) +
            speaks(AF_INET6, AT6, (SOCK_STREAM, MPTCP)),
     "says": {"errno": ("ECONNREFUSED", "EPROTONOSUPPORT", "ENOPROTOOPT")},
     "control": {"options": ["--allow", AT],
                 "try": speaks(AF_INET, AT, (SOCK_STREAM, MPTCP)),
                 "says": ({"data": "secret word"},
                          {"errno": ("EPROTONOSUPPORT", "ENOPROTOOPT")}),
                 "may": [f"tcp {AT} 9999"]}},

    {"id": "F16", "title": "links and tunnels of one's own",
     "options": EVERY,
     "try": [["link_add"], ["program", "ip", "link", "add", "type", "dummy"],
             ["program", "ip", "route", "add", "203.0.113.0/24", "dev",
              "lo"]],
     "says": [{"errno": "EPERM"}, {"code": lambda c: c != 0},
              {"code": lambda c: c != 0}],
     "control": {"options": BLOCKED,
                 "try": [["program", "ip", "link", "show", "lo"]],
                 "says": {"code": 0}}},
]
