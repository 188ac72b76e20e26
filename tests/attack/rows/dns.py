"""A: DNS.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOW, NO_NAME, OPEN, allow, deny, found

ANSWERED = {"rcode": "NOERROR", "answers": 1}
FAILED = {"error": ("EAI_NONAME", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA")}
TUNNEL = "mfrggzdfmztwq2lknnwg23tpoa.evil.test"
LOOKUP = {"try": [["resolve", "allowed.test", "4"]],
          "says": found("203.0.113.10"), "sees": ["dns allowed.test"],
          "audit": [allow(layer="dns", name="allowed.test")]}


def by_hand(how, kind="A", name="allowed.test"):
    """The control of a query made by hand: an allowed one is answered."""
    return {"try": [["dns", "8.8.8.8", how, kind, name]], "says": ANSWERED,
            "sees": [f"dns {name}"],
            "audit": [allow(layer="dns", name=name)]}


def one_case(queries):
    """upstream saw one case only"""
    return queries and all(q["name"] == "allowed.test" for q in queries)


def our_edns(queries):
    """upstream saw no option of the payload's"""
    # c-ares has cookies of its own (RFC 7873), from 1.28
    return queries and all(code == 10 and not value.startswith("736563")
                           for q in queries for code, value in q["options"])


ROWS = [
    {"id": "A1", "title": "tunnel through a denied zone",
     "options": ALLOW, "try": [["resolve", TUNNEL]], "says": NO_NAME,
     "audit": [deny(layer="dns", name=TUNNEL)],
     "control": LOOKUP},

    {"id": "A3", "title": "0x20: the case of a name as a channel",
     "options": ALLOW, "passes": True,
     "try": [["dns", "8.8.8.8", "udp", "A", "AlLoWeD.tEsT"]],
     "says": ANSWERED, "sees": ["dns allowed.test"],
     "logs": {"dns": one_case}},

    {"id": "A4", "title": "another resolver by UDP",
     "options": ALLOW,
     "try": [["dns", "8.8.8.8", "udp", "A", "evil.test"],
             ["dns", "2001:db8:53::53", "udp", "AAAA", "evil.test"]],
     "says": {"rcode": "NXDOMAIN", "answers": 0},
     "audit": [deny(layer="dns", name="evil.test")],
     "control": by_hand("udp")},

    {"id": "A5", "title": "another resolver by TCP",
     "options": ALLOW,
     "try": [["dns", "8.8.8.8", "tcp", "A", "evil.test"],
             ["dns", "2001:db8:53::53", "tcp", "AAAA", "evil.test"]],
     "says": {"rcode": "NXDOMAIN", "answers": 0},
     "audit": [deny(layer="dns", name="evil.test")],
     "control": by_hand("tcp")},

    {"id": "A8", "title": "two questions in one message",
     "options": ALLOW,
     "try": [["dns", "8.8.8.8", "udp", "A", "allowed.test", "evil.test"],
             ["dns", "8.8.8.8", "tcp", "A", "allowed.test", "evil.test"]],
     "says": {"rcode": "FORMERR", "answers": 0},
     "audit": [deny(layer="dns")],
     "control": by_hand("udp")},

    {"id": "A9a", "title": "no question; an odd operation",
     "options": ALLOW,
     "try": [["dns", "8.8.8.8", "udp", "A"],
             ["dns", "8.8.8.8", "udp+opcode=4", "A", "allowed.test"],
             ["dns", "8.8.8.8", "udp+opcode=5", "A", "allowed.test"]],
     "says": [{"rcode": "FORMERR"}, {"rcode": ("NOTIMP", "FORMERR")},
              {"rcode": ("NOTIMP", "FORMERR")}],
     "control": by_hand("udp")},

    {"id": "A9b", "title": "a response where a query should be",
     "options": ALLOW, "prompt_ms": 5000,
     "try": [["dns", "8.8.8.8", "udp+response", "A", "allowed.test"]],
     "says": {"errno": "ETIMEDOUT", "step": "read"},
     "control": by_hand("udp")},

    {"id": "A10", "title": "record types that carry data, on an allowed name",
     "options": ALLOW,
     "try": [["dns", "8.8.8.8", "udp", kind, "allowed.test"]
             for kind in ("TXT", "ANY", "NULL", "SRV", "MX")],
     "says": {"rcode": "NOERROR", "answers": 0}, "allows": True,
     "control": by_hand("udp", "AAAA")},

    {"id": "A11", "title": "EDNS options as a channel",
     "options": ALLOW, "passes": True,
     # a code of our own, client subnet (RFC 7871), cookie (RFC 7873)
     "try": [["dns", "8.8.8.8", "udp+edns=" + option, "A", name]
             for name, option in (("allowed.test", "736563726574"),
                                  ("a.wild.test", "8:000118003a2b3c"),
                                  ("b.wild.test", "10:7365637265747365"))],
     "says": ANSWERED,
     "sees": ["dns allowed.test", "dns a.wild.test", "dns b.wild.test"],
     "logs": {"dns": our_edns}},

    {"id": "A13", "title": "DNS over TLS",
     "options": [ALLOW, ["--net", "blocked"]],
     "try": [["tcp", "1.1.1.1", "853"]],
     "says": {"errno": "ECONNREFUSED", "step": "connect"},
     "audit": [deny(layer="kernel", address="1.1.1.1", port=853)],
     "control": {"options": ["--allow", "tcp/1.1.1.1:853"],
                 "try": [["tcp", "1.1.1.1", "853", "x\\n"]],
                 "says": {"data": "250 x\n"},
                 "sees": ["tcp 1.1.1.1 853"]}},

    {"id": "A14", "title": "DNS over QUIC and HTTP/3",
     "options": ALLOW,
     "try": [["udp", "1.1.1.1", port] for port in ("853", "443", "784",
                                                   "8853")],
     "says": {"errno": ("EPERM", "ECONNREFUSED", "EACCES")},
     "audit": [deny(layer="kernel", address="1.1.1.1", port=853)],
     "control": {"options": ["--allow", "udp/1.1.1.1:853"],
                 "try": [["udp", "1.1.1.1", "853"]],
                 "says": {"data": "ping"}, "sees": ["udp 1.1.1.1 853"]}},

    {"id": "A15", "title": "DNS over HTTPS at a known address",
     "options": ALLOW,
     "try": [["tls", "1.1.1.1", "443", "cloudflare-dns.com"]],
     "says": {"errno": "ECONNREFUSED"},
     "audit": [deny(layer="kernel", address="1.1.1.1", port=443)],
     "control": {"options": ["--allow", "cloudflare-dns.com"],
                 "try": [["resolve", "cloudflare-dns.com", "4"],
                         ["tls", "1.1.1.1", "443", "cloudflare-dns.com"]],
                 "says": [found("1.1.1.1"), {"data": lambda d: "200" in d}],
                 "sees": ["dns cloudflare-dns.com", "tcp 1.1.1.1 443"]}},

    {"id": "A17", "title": "an alias of an allowed name leads to a denied one",
     "options": ["--allow", "*.chain.test", "--deny", "evil.test"],
     "try": [["resolve", "bad.chain.test", "4"]], "says": FAILED,
     "sees": ["dns bad.chain.test"],
     "audit": [deny(layer="dns", name="bad.chain.test", rule="evil.test")],
     "control": {"try": [["resolve", "a.chain.test", "4"]],
                 "says": found("203.0.113.31"),
                 "sees": ["dns a.chain.test"], "may": ["dns b.chain.test"],
                 "audit": [allow(layer="dns", name="a.chain.test",
                                 chain=["b.chain.test",
                                        "c.chain.test"])]}},

    {"id": "A18", "title": "alias loop, and a chain of twenty",
     "options": ["--allow", "*.deep.test", "--allow", "loop1.test",
                 "--allow", "loop2.test"],
     "try": [["resolve", "loop1.test", "4"], ["resolve", "1.deep.test", "4"]],
     "says": FAILED, "sees": ["dns loop1.test", "dns 1.deep.test"],
     "control": {"try": [["resolve", "15.deep.test", "4"]],
                 "says": found("203.0.113.32"),
                 "sees": ["dns 15.deep.test"]}},

    {"id": "A19", "title": "a malformed answer from upstream",
     "options": ["--allow", "garbage.test", "--allow", "allowed.test"],
     "prompt_ms": 12000,
     "try": [["resolve", "garbage.test", "4"],
             ["resolve", "allowed.test", "4"]],
     "says": [FAILED, found("203.0.113.10")],
     "sees": ["dns garbage.test", "dns allowed.test"],
     "control": LOOKUP},

    {"id": "A20", "title": "rebinding: private, metadata and own answers",
     "options": [arg for name in
                 ("private", "private6", "meta", "meta6", "mixed", "mapped",
                  "nat64", "loopback", "ownhost", "a-only")
                 for arg in ("--allow", name + ".test")],
     "try": [["resolve", name + ".test", fam] for name, fam in
             (("private", "4"), ("private6", "6"), ("meta", "4"),
              ("meta6", "6"), ("mixed", "4"), ("mapped", "6"),
              ("nat64", "6"), ("loopback", "4"), ("loopback", "6"))],
     "says": FAILED,
     "sees": [f"dns {name}.test" for name in
              ("private", "private6", "meta", "meta6", "mixed", "mapped",
               "nat64", "loopback")],
     "audit": [deny(layer="dns", name="private.test", reason="private"),
               deny(layer="dns", name="private6.test", reason="private"),
               deny(layer="dns", name="meta.test", reason="guard"),
               deny(layer="dns", name="meta6.test", reason="guard"),
               deny(layer="dns", name="mixed.test", reason="private"),
               deny(layer="dns", name="loopback.test", reason="guard")],
     "control": {"try": [["resolve", "a-only.test", "4"]],
                 "says": found("203.0.113.35"), "sees": ["dns a-only.test"],
                 "audit": [allow(layer="dns", name="a-only.test")]}},

    {"id": "A20b", "title": "rebinding: a private answer, said to be meant",
     "options": ["--allow", "private.test+private"], "passes": True,
     "try": [["resolve", "private.test", "4"],
             ["http", "10.0.0.1", "80", "private.test"]],
     "says": [found("10.0.0.1"), {"status": [200]}],
     "sees": ["dns private.test", "tcp 10.0.0.1 80"]},

    {"id": "A20c", "title": "rebinding: the host's own address",
     "options": ["--allow", "ownhost.test:5432"],
     "try": [["resolve", "ownhost.test", "4"],
             ["tcp", "192.0.2.2", "5432"]],
     "says": [{}, {"errno": ("ECONNREFUSED", "ECONNRESET")}],
     "sees": ["dns ownhost.test"],
     "control": {"options": ["--allow", "smtp.test:2525"],
                 "try": [["resolve", "smtp.test", "4"],
                         ["tcp", "203.0.113.41", "2525"]],
                 "says": [found("203.0.113.41"),
                          {"data": "220 smtp.test ESMTP\r\n"}],
                 "sees": ["dns smtp.test", "tcp 203.0.113.41 2525"]}},

    {"id": "A22", "title": "rebinding: a flip between lookup and dial",
     "options": ["--allow", "flip.test"],
     "try": [["resolve", "flip.test", "4"],
             ["http", "203.0.113.30", "80", "flip.test"],
             ["resolve", "flip.test", "4"],
             ["tcp", "10.0.0.1", "80", "GET / HTTP/1.0\\r\\n\\r\\n"]],
     "says": [found("203.0.113.30"), {}, {}, {"errno": "ECONNREFUSED"}],
     "sees": ["dns flip.test"], "may": ["tcp 203.0.113.30 80"],
     "control": {"options": ["--allow", "ttl0.test"],
                 "try": [["resolve", "ttl0.test", "4"],
                         ["http", "203.0.113.38", "80", "ttl0.test"]],
                 "says": [found("203.0.113.38"), {"status": [200]}],
                 "sees": ["dns ttl0.test", "tcp 203.0.113.38 80"]}},

    {"id": "A28", "title": "the host's search domains",
     "options": ALLOW, "try": [["resolve", "foo"]], "says": NO_NAME,
     "control": LOOKUP},

    {"id": "A30", "title": "resolvers of containers and clouds",
     "options": ALLOW,
     "try": [["dns", "127.0.0.11", "tcp", "A", "allowed.test"],
             ["tcp", "169.254.169.253", "80"],
             ["tcp", "168.63.129.16", "80"],
             ["tcp", "169.254.20.10", "80"]],
     "says": {"errno": "ECONNREFUSED", "step": "connect"},
     "control": by_hand("udp")},

    {"id": "A36", "title": "the class CHAOS",
     "options": ALLOW,
     "try": [["dns", "8.8.8.8", "udp+chaos", "TXT", "version.bind"],
             ["dns", "8.8.8.8", "udp+chaos", "A", "allowed.test"]],
     "says": {"rcode": ("REFUSED", "NOTIMP", "NXDOMAIN")},
     "control": by_hand("udp")},

    {"id": "A4b", "title": "another resolver in `open`: ours answers",
     "options": OPEN, "passes": True,
     "try": [["dns", "8.8.8.8", "udp", "A", "evil.test"],
             ["dns", "8.8.8.8", "tcp", "A", "evil.test"]],
     "says": ANSWERED, "sees": ["dns evil.test"]},

    {"id": "A4c", "title": "lookups in `blocked` fail at once",
     "options": ["--net", "blocked"],
     "try": [["resolve", "allowed.test"],
             ["dns", "8.8.8.8", "udp", "A", "allowed.test"],
             ["dns", "8.8.8.8", "tcp", "A", "allowed.test"]],
     "says": [NO_NAME, {"rcode": "NXDOMAIN"}, {"rcode": "NXDOMAIN"}],
     "audit": [deny(layer="dns", name="allowed.test", reason="blocked")],
     "control": {**LOOKUP, "options": ALLOW}},
]
