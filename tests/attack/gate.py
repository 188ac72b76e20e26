#!/usr/bin/python3
"""Rows G17 and G18: front was taken over, and asks for what it should not.

SPDX-License-Identifier: Apache-2.0

The helper is liar.c. Each row is one thing that it tries while a run is under
way: as `liar`, with front's list of system calls, or `bare`, without it. What
the filter keeps from happening must happen without it ("sees" of the bare
one): that is the row's control. A row says

    sees     packets that leave the host, and no others but `may`
    steps    what the liar's lines in the audit must have, by step
    stderr   what the command must say
    lives    the run ends as it should; else the session has failed, and the
             caller's own process has not
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE)]

from world import judge, lib  # noqa: E402

TARGET, OTHER = "203.0.113.66", "203.0.113.10"
OPTIONS = ["--explain", "--allow", TARGET + ":22", "--allow", f"udp/{TARGET}:9999",
           "--allow", "allowed.test"]
DIALLED = [f"tcp {TARGET} 22"]
ANSWERED = [f"icmp {OTHER}"]  # what comes back finds no socket
DONE = {"errno": ""}
NO_POWER = {"errno": ("EPERM", "EACCES")}
FAILED = 125


def some(n):
    return n > 0


def escaped(text):
    return "\033" not in text and "\233" not in text and \
        "refused a\\x1b[2J\\x0ab [dns]: \\x1b[8m" in text


def many(n):
    return n > 5000


ROWS = [
    # The liar works, and so does the gate for it.
    {"name": "nothing", "kinds": ("liar", "bare"), "lives": True,
     "steps": {"ends": DONE}},
    {"name": "allowed", "kinds": ("liar",), "lives": True, "sees": DIALLED,
     "steps": {"dial": {"number": 1}, "banner": {"number": some}}},

    # The dialer.
    {"name": "anything", "kinds": ("liar",), "lives": True,
     "steps": {"asked": {"number": many}, "allowed": {"number": 0},
               "reached": {"number": 0}}},
    {"name": "lookups", "kinds": ("liar",), "lives": True,
     "steps": {"allowed": {"number": 0}}},
    {"name": "bad_name", "kinds": ("liar",)},
    {"name": "same_id", "kinds": ("liar",), "may": DIALLED},

    # The host's network, by a socket that was dialled.
    {"name": "udp_elsewhere", "kinds": ("liar",),
     "steps": {"dial": {"number": 1}, "send": None}},
    {"name": "udp_elsewhere", "kinds": ("bare",), "lives": True,
     "sees": [f"udp {OTHER} 9999"], "may": ANSWERED,
     "steps": {"send": DONE}},
    {"name": "message_elsewhere", "kinds": ("liar",),
     "steps": {"dial": {"number": 1}, "send": None}},
    {"name": "message_elsewhere", "kinds": ("bare",), "lives": True,
     "sees": [f"udp {OTHER} 9999"], "may": ANSWERED,
     "steps": {"send": DONE}},
    {"name": "fast_open", "kinds": ("liar",), "may": DIALLED,
     "steps": {"dial": {"number": 1}, "second": None}},
    {"name": "reconnect", "kinds": ("liar",), "may": DIALLED,
     "steps": {"dial": {"number": 1}, "connect": None}},
    {"name": "reconnect", "kinds": ("bare",), "lives": True, "may": DIALLED,
     "sees": [f"tcp {OTHER} 80"]},
    {"name": "socket", "kinds": ("liar",), "steps": {"socket": None}},
    {"name": "socket", "kinds": ("bare",), "lives": True,
     "sees": [f"udp {OTHER} 9999"], "may": ANSWERED,
     "steps": {"send": DONE}},

    # The posture's own sockets, which lead nowhere, whatever is called.
    {"name": "inside", "kinds": ("liar",), "steps": {"raw": None}},
    {"name": "inside", "kinds": ("bare",), "lives": True,
     "steps": {"raw": {}, "udp": {}, "dns": {}}},
    {"name": "packet", "kinds": ("liar", "bare"), "lives": True,
     "steps": {"write": DONE}},

    # G18: the wall and the namespaces, which the kernel guards.
    {"name": "flush", "kinds": ("liar", "bare"), "lives": True,
     "steps": {"write": DONE, "flush": NO_POWER}},
    {"name": "namespaces", "kinds": ("bare",), "lives": True,
     "steps": {"network of a socket": NO_POWER, "caller's": NO_POWER,
               "new": NO_POWER}},
    {"name": "namespaces", "kinds": ("liar",),
     "steps": {"network of a socket": None}},

    # The other processes.
    {"name": "hello", "kinds": ("liar", "bare")},
    {"name": "exited", "kinds": ("liar", "bare")},
    {"name": "pin", "kinds": ("liar", "bare")},
    {"name": "escape", "kinds": ("liar",), "lives": True,
     "steps": {"event": DONE}, "stderr": escaped},
    {"name": "truncate", "kinds": ("liar",), "steps": {"truncate": None}},
    {"name": "truncate", "kinds": ("bare",), "lives": True, "loses": True},
]


def complaints(row, result, packets):
    steps = {r["step"]: r for r in result.audit if "step" in r}
    out = judge.judge_packets(packets, row.get("sees", []),
                              row.get("may", []))
    if "begins" not in steps and not row.get("loses"):
        out.append("the liar did not try")
    if row.get("loses") and "begins" in steps:
        out.append("the audit was not rewritten")
    for step, want in row.get("steps", {}).items():
        if want is None and step in steps:
            out.append(f"{step}: the system call returned")
        elif want is not None and not judge.matches(steps.get(step), want):
            out.append(f"{step}: {steps.get(step)}, wanted "
                       f"{judge.show(want)}")
    if "stderr" in row and not row["stderr"](result.err):
        out.append(f"stderr: {result.err!r}")
    if row.get("lives") and result.code != 0:
        out.append(f"the session failed: {result.code}")
    if not row.get("lives") and result.code != FAILED:
        out.append(f"the session did not fail: {result.code}")
    return out


def try_row(world, row, kind, folder):
    """One attempt by one kind of liar: complaints, and the result."""
    helper = os.path.join(folder, f"{kind}-{row['name']}")
    os.symlink(os.environ["EXEAT_LIAR"], helper)
    # A session that fails ends the command; one that does not, waits for it.
    command = ["/bin/true"] if row.get("lives") else ["/bin/sleep", "10"]
    mark = world.mark()
    result = world.exeat(OPTIONS, command, env={"EXEAT_HELPER": helper})
    packets = world.seen(mark)
    os.unlink(helper)
    return complaints(row, result, packets), result


def rows(world):
    tried = held = 0
    folder = world.folder("liars")
    for row in ROWS:
        for kind in row["kinds"]:
            wrong, result = try_row(world, row, kind, folder)
            tried += 1
            held += not wrong
            print(f"{'ok' if not wrong else 'NOT OK'} {number(row)} {kind} "
                  f"{row['name']}", flush=True)
            for line in [*wrong, *([str(result)] if wrong else [])]:
                print("    " + line.replace("\n", "\n    "), flush=True)
    print(f"{world.kind}: tried {tried}, held {held}", flush=True)
    return 0 if held == tried and tried else 1


def number(row):
    """The row of the list that an attempt belongs to."""
    return "G18" if row["name"] in ("flush", "namespaces") else "G17"


if __name__ == "__main__":
    if not os.access(os.environ.get("EXEAT_LIAR", ""), os.X_OK):
        raise SystemExit("EXEAT_LIAR names the test build of the helper")
    lib.product()
    lib.main(rows)
