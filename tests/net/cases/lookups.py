"""What a look-up costs a program: a family that is missing, a bad answer.

SPDX-License-Identifier: Apache-2.0

A time-out of a resolver library is 5 s; nothing here may come near.
"""

import json

from . import CA, web

A, AAAA, DUAL, DEAD = ("203.0.113.35", "2001:db8:113::36", "203.0.113.37",
                       "2001:db8:dead::37")
PROBE = ["/usr/bin/python3", "{probe}"]
SINGLE = ["-e", "RES_OPTIONS=single-request"]
ALLOW = ["--allow", "a-only.test", "--allow", "aaaa-only.test", "--allow",
         "dual.test"]
QUICK_MS = 4000


def quick(*wanted):
    """Every probe was quick, and said (A, AAAA) as wanted."""
    def check(out):
        said = [json.loads(line) for line in out.splitlines()]
        got = [tuple([r["rdata"] for r in s[kind]["records"]]
                     for kind in ("A", "AAAA")) for s in said]
        return got == list(wanted) and all(s["ms"] < QUICK_MS for s in said)
    check.__doc__ = f"{wanted} within {QUICK_MS} ms"
    return check


def failed_at_once(out):
    """each look-up failed within a time-out's fraction"""
    said = [json.loads(line) for line in out.splitlines()]
    return all("error" in s and s["ms"] < QUICK_MS for s in said)


def dns(*names):
    return [f"dns {n}" for n in names]


CASES = [
    {"name": "A and AAAA from one socket, one of them missing",
     "options": ALLOW,
     "run": [*PROBE, "pair", "192.0.0.5", "a-only.test", "--",
             "pair", "192.0.0.5", "aaaa-only.test", "--",
             "pair", "192.0.0.5", "dual.test", "--",
             "pair", "192.0.0.5", "evil.test"],
     "code": 0, "out": quick(([A], []), ([], [AAAA]), ([DUAL], [DEAD]),
                             ([], [])),
     "sees": dns("a-only.test", "aaaa-only.test", "dual.test")},
    *[{"name": f"{name}, {how}", "options": [*ALLOW, *more],
       "run": ["getent", "ahosts", name], "code": 0, "out": [address],
       "under_s": 2, "sees": dns(name)}
      for name, address in (("a-only.test", A), ("aaaa-only.test", AAAA))
      for how, more in (("both at once", []),
                        ("one after the other", SINGLE))],
    *[{"name": f"curl, {name}", "options": [*ALLOW, *CA], "under_s": 2.5,
       "run": ["curl", "-sS", f"https://{name}/"], "code": 0,
       "out": [f"hello from {name} at {address}"], **packets}
      for name, address, packets in (
          ("a-only.test", A, web("a-only.test", A)),
          ("aaaa-only.test", AAAA, web("aaaa-only.test", AAAA)))],
    {"name": "an answer that is cut comes by TCP",
     "options": ["--allow", "tc.test"],
     "run": ["getent", "ahostsv4", "tc.test"], "code": 0,
     "out": ["203.0.113.33"], "under_s": 2, "sees": dns("tc.test")},
    {"name": "failures of upstream are told at once",
     "options": ["--allow", "servfail.test", "--allow", "garbage.test",
                 "--allow", "loop1.test"],
     "run": [*PROBE, "resolve", "servfail.test", "--", "resolve",
             "garbage.test", "--", "resolve", "loop1.test"],
     "code": 0, "out": failed_at_once,
     "sees": dns("servfail.test", "garbage.test", "loop1.test")},
    {"name": "refused names are not asked for to explain them",
     "options": ["--allow", "allowed.test", "--explain", "--json",
                 "/dev/stdout"],
     "run": ["getent", "ahosts", "evil.test"], "code": 2,
     "out": ["evil.test"], "sees": []},
]
