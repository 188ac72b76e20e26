"""J: data that leaves through what is allowed: bounded, or visible.

SPDX-License-Identifier: Apache-2.0

What the linter says of such hosts (J1, J4, J6) is tests/unit/policy_lint.c.
"""

from . import ALLOWED, RESET, allow, deny, found

AT_WILD, AT_GIT = "203.0.113.21", "203.0.113.42"
REQUEST = len("GET / HTTP/1.1\r\nHost: a.wild.test\r\n\r\n")
OK, FORBIDDEN = {"status": [200]}, {"status": [403]}
REFUSED = {"errno": "ECONNREFUSED", "step": "connect"}
PUSH = ("POST /r.git/git-receive-pack HTTP/1.1\\r\\nHost: git.test\\r\\n"
        "Content-Length: 400\\r\\n\\r\\n" + "p" * 400)


def tenants(last):
    """Requests to three tenants of one host; how the third one ends."""
    tries, says, sees = [], [], []
    for name in ("a.wild.test", "b.wild.test", "c.wild.test"):
        tries += [["resolve", name, "4"], ["http", AT_WILD, "80", name]]
        says += [found(AT_WILD), OK]
        sees += [f"dns {name}"]
    return {"try": tries, "says": [*says[:-1], last],
            "sees": [*sees, f"tcp {AT_WILD} 80"], "counts": True}


def push(options, says, sees, audit):
    return {"options": options, "sees": ["dns git.test", *sees],
            "try": [["resolve", "git.test", "4"],
                    ["tcp", AT_GIT, "80", PUSH]],
            "says": [found(AT_GIT), says], "audit": audit}


WILD = ["--allow", "*.wild.test"]
PUSHED = push(["--allow", "git.test"], {"data": lambda d: "HTTP/1.1" in d},
              [f"tcp {AT_GIT} 80"], [allow(layer="http", name="git.test")])

ROWS = [
    {"id": "J1", "title": "a host of many tenants, and a budget for it",
     "options": [*WILD, "--max-upload", f"*.wild.test={2 * REQUEST}"],
     **tenants(FORBIDDEN),
     "audit": [allow(layer="http", name="a.wild.test", bytes_out=REQUEST),
               allow(layer="http", name="b.wild.test", bytes_out=REQUEST),
               deny(layer="http", name="c.wild.test", reason="budget",
                    rule="*.wild.test")],
     "control": {"options": WILD, **tenants(OK)}},

    {"id": "J3", "title": "an allowed host fetches for the payload: visible",
     "options": ["--allow", "allowed.test"], "passes": True, "counts": True,
     "try": [["resolve", "allowed.test", "4"],
             ["http", ALLOWED, "80", "allowed.test"]],
     "says": [found(ALLOWED), OK],
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 80"],
     "audit": [allow(layer="http", name="allowed.test", address=ALLOWED,
                     bytes_out=lambda n: n > 0, bytes_in=lambda n: n > 0)]},

    {"id": "J5", "title": "small bytes: every one of them is in the audit",
     "options": ["--allow", "allowed.test", "--allow", "allowed.test:7"],
     "passes": True, "counts": True,
     "try": [["resolve", "allowed.test", "4"],
             *[["tcp", ALLOWED, "7", "{" * n] for n in (1, 2, 3)],
             ["http", ALLOWED, "80", "allowed.test", "allowed.test"]],
     "says": [found(ALLOWED), *[{"data": "{" * n} for n in (1, 2, 3)],
              {"status": [200, 200]}],
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 7", f"tcp {ALLOWED} 80"],
     "audit": [allow(name="allowed.test", port=7, bytes_out=n, bytes_in=n)
               for n in (1, 2, 3)]},

    {"id": "J6", "title": "a push by HTTP where the rule says ssh",
     **push(["--allow", "git.test:22"], REFUSED, [],
            [deny(address=AT_GIT, port=80)]),
     "allows": True, "control": PUSHED},

    {"id": "J6b", "title": "a push that is more than its budget",
     **push(["--allow", "git.test", "--max-upload", "git.test=200"], RESET,
            [f"tcp {AT_GIT} 80"],
            [deny(name="git.test", reason="budget", rule="git.test"),
             allow(name="git.test", bytes_out=200)]),
     "counts": True, "control": PUSHED},
]
