"""A host without IPv6.

SPDX-License-Identifier: Apache-2.0
"""

import net

IPV6 = False
A, AAAA = "203.0.113.10", "2001:db8:113::10"
PROBE = ["/usr/bin/python3", "{probe}"]

CASES = [
    {"name": "a name with both families", "options": ["--allow",
                                                      "allowed.test"],
     "run": ["curl", "-sS", "https://allowed.test/"], "code": 0,
     "out": [f"at {A}"], "under_s": 5,
     "sees": ["dns allowed.test", f"tcp {A} 443"]},
    {"name": "no AAAA is told", "options": ["--allow", "allowed.test"],
     "run": [*PROBE, "resolve", "allowed.test", "--",
             "dns", "8.8.8.8", "udp", "AAAA", "allowed.test"],
     "code": 0, "out": [f'"addresses": ["{A}"]', '"answers": 0'],
     "sees": ["dns allowed.test"]},
    {"name": "IPv6 by a rule fails at once", "options": ["--allow", AAAA],
     "run": [*PROBE, "tcp", AAAA, "80"], "code": 0, "under_s": 3,
     "out": ["errno"]},
    {"name": "blocked", "options": [],
     "run": [*PROBE, "tcp", AAAA, "80", "--", "tcp", A, "80"], "code": 0,
     "out": ["ECONNREFUSED"]},
]


def story(world):
    return net.run_cases(world, CASES)
