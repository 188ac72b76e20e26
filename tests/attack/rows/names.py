"""B: matching of names, the same in DNS, SNI and Host.

SPDX-License-Identifier: Apache-2.0
"""

from . import NO_NAME, allow, deny, found

FORBIDDEN = {"status": [403]}
RESET = {"errno": "ECONNRESET"}


def three(good, address, bad):
    """`bad` by DNS, then in SNI and Host at the address of `good`."""
    return {
        "try": [["resolve", bad], ["resolve", good, "4"],
                ["tls", address, "443", bad], ["http", address, "80", bad]],
        "says": [NO_NAME, found(address), RESET, FORBIDDEN],
        "sees": [f"dns {good}"],
        "audit": [deny(layer="dns", name=bad.rstrip(".").lower()),
                  deny(layer="tls", name=bad.rstrip(".").lower()),
                  deny(layer="http", name=bad.rstrip(".").lower())]}


def through(name, address, said=None):
    """`name` gets through by DNS, SNI and Host."""
    said = said or name
    return {
        "try": [["resolve", said, "4"], ["tls", address, "443", said],
                ["http", address, "80", said]],
        "says": [found(address), {"data": lambda d: " 200 " in d},
                 {"status": [200]}],
        "sees": [f"dns {name}", f"tcp {address} 443", f"tcp {address} 80"],
        "audit": [allow(layer="dns", name=name),
                  allow(layer="tls", name=name),
                  allow(layer="http", name=name)]}


AT_ALLOWED = "203.0.113.10"
AT_WILD = "203.0.113.21"

ROWS = [
    {"id": "B1", "title": "a suffix without its dot",
     "options": ["--allow", "allowed.test", "--allow", "*.allowed.test"],
     **three("allowed.test", AT_ALLOWED, "evilallowed.test"),
     "control": through("allowed.test", AT_ALLOWED)},

    {"id": "B2", "title": "the allowed name as a prefix",
     "options": ["--allow", "allowed.test"],
     **three("allowed.test", AT_ALLOWED, "allowed.test.evil.test"),
     "control": through("allowed.test", AT_ALLOWED)},

    {"id": "B3", "title": "the bare name under a wildcard",
     "options": ["--allow", "*.wild.test"],
     **three("a.wild.test", AT_WILD, "wild.test"),
     "control": through("a.wild.test", AT_WILD)},

    {"id": "B4", "title": "a wildcard spans labels",
     "options": ["--allow", "*.wild.test"], "passes": True,
     **through("a.b.wild.test", AT_WILD)},

    {"id": "B5a", "title": "trailing dot against a deny rule",
     "options": ["--net", "open", "--deny", "evil.test"],
     "try": [["resolve", "evil.test."],
             ["tls", "203.0.113.66", "443", "evil.test."],
             ["http", "203.0.113.66", "80", "evil.test."]],
     "says": [NO_NAME, RESET, ({"status": [403]}, {"status": [400]})],
     "audit": [deny(layer="dns", name="evil.test", rule="evil.test"),
               deny(layer="tls"), deny(layer="http")],
     "control": through("allowed.test", AT_ALLOWED)},

    {"id": "B5b", "title": "trailing dot of an allowed name",
     "options": ["--allow", "allowed.test."], "passes": True,
     "try": [["resolve", "allowed.test.", "4"],
             ["http", AT_ALLOWED, "80", "allowed.test."]],
     "says": [found(AT_ALLOWED), ({"status": [200]}, {"status": [400]})],
     "sees": ["dns allowed.test"], "may": [f"tcp {AT_ALLOWED} 80"]},

    {"id": "B7a", "title": "capitals in the rule and in the name",
     "options": ["--allow", "ALLOWED.Test"], "passes": True,
     **through("allowed.test", AT_ALLOWED, "Allowed.TEST")},

    {"id": "B7b", "title": "capitals against a deny rule",
     "options": ["--allow", "*.wild.test", "--deny", "X.Wild.TEST"],
     **three("a.wild.test", AT_WILD, "x.WILD.test"),
     "control": through("a.wild.test", AT_WILD)},

    {"id": "B9", "title": "bytes that no host name has",
     "options": ["--allow", "allowed.test"],
     "try": [["resolve", "allowed.test", "4"],
             *[["http", AT_ALLOWED, "80", host] for host in
               ("allowed.test#.evil.test", "evil.test\\@allowed.test",
                "evil.test@allowed.test", "allowed.test%00.evil.test",
                "[allowed.test]", "allowed.test]:443", "allowed.test evil")]],
     "says": [found(AT_ALLOWED),
              *[{"status": lambda s: s in ([400], [403], ["closed"])}] * 7],
     "sees": ["dns allowed.test"],
     "control": through("allowed.test", AT_ALLOWED)},

    {"id": "B17", "title": "deny wins over allow",
     "options": ["--allow", "*.wild.test", "--deny", "x.wild.test"],
     "try": [["resolve", "x.wild.test"], ["resolve", "a.wild.test", "4"],
             ["tls", AT_WILD, "443", "x.wild.test"],
             ["http", AT_WILD, "80", "x.wild.test"],
             ["tls", "203.0.113.22", "443", "x.wild.test"]],
     "says": [NO_NAME, found(AT_WILD), RESET, FORBIDDEN,
              {"errno": "ECONNREFUSED"}],
     "sees": ["dns a.wild.test"],
     "audit": [deny(layer="dns", name="x.wild.test", rule="x.wild.test"),
               deny(layer="tls", name="x.wild.test", rule="x.wild.test"),
               deny(layer="http", name="x.wild.test", rule="x.wild.test"),
               deny(layer="kernel", address="203.0.113.22", port=443)],
     "control": through("a.wild.test", AT_WILD)},

    {"id": "B18", "title": "`open` with require_names: an address alone",
     "options": ["--net", "open", "--require-names"],
     "try": [["tcp", "203.0.113.9", "22"]],
     "says": {"errno": ("ECONNRESET", "ECONNREFUSED")}, "prompt_ms": 8000,
     "audit": [deny(address="203.0.113.9", port=22)],
     "control": {"options": ["--net", "open"],
                 "try": [["tcp", "203.0.113.9", "22"]],
                 "says": {"data": "SSH-2.0-World\r\n"},
                 "sees": ["tcp 203.0.113.9 22"]}},

    {"id": "H6", "title": "an empty allow-list allows nothing",
     "options": ["--net", "allowlist"],
     "try": [["resolve", "allowed.test"],
             ["tcp", AT_ALLOWED, "80", "GET / HTTP/1.0\\r\\n\\r\\n"],
             ["udp", AT_ALLOWED, "9999"]],
     "says": [NO_NAME, {"errno": "ECONNREFUSED", "step": "connect"},
              {"errno": ("EPERM", "ECONNREFUSED")}],
     "audit": [deny(layer="dns", name="allowed.test"),
               deny(layer="kernel", address=AT_ALLOWED, port=80)],
     "control": {**through("allowed.test", AT_ALLOWED),
                 "options": ["--net", "allowlist", "--allow",
                             "allowed.test"]}},
]
