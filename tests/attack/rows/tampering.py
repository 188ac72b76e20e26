"""K: the audit, changed behind the product's back.

SPDX-License-Identifier: Apache-2.0

Each row makes an audit of a few refusals, changes a copy of it, and asks
`exeat audit verify`. The whole one must be called whole: that, and a command
that gets through, is the control. The last rows change it from inside, while
the session lives.
"""

import glob
import hashlib
import os
import signal

from world import lib

from . import ALLOW, EVIL, NO_NAME, REFUSED, deny
from . import _neighbours as near

WHOLE, BROKEN, UNTOLD = 0, 1, 3
WORDS = {WHOLE: ": whole: ", BROKEN: ": broken: ", UNTOLD: ": cannot tell: "}
GOES = {"options": ["--allow", EVIL], "try": [["tcp", EVIL, "22"]],
        "says": {"data": "SSH-2.0-World\r\n"}, "sees": [f"tcp {EVIL} 22"]}


def newest_audit(world):
    return max(glob.glob(os.path.join(world.tmp, "audit-*.jsonl")),
               key=lambda path: int(path.rsplit("-", 1)[1].split(".")[0]))


def verify(world, path, code, *texts):
    """Complaints of what the command says of this file."""
    done = world.run([lib.product(), "audit", "verify", path])
    wanted = [WORDS[code], *texts]
    if done.code == code and all(t in done.out for t in wanted):
        return []
    return [f"audit verify: wanted {code} and {wanted}: {done}"]


def changed(*cases):
    """Behind a row: the audit as it is, then each (change, status, texts)."""
    def after(world, _work):
        path = newest_audit(world)
        with open(path, encoding="utf-8") as f:
            lines = f.readlines()
        if len(lines) < 4:
            return [f"the audit has {len(lines)} lines only"]
        out = verify(world, path, WHOLE)
        for change, code, *texts in cases:
            copy = f"{path}.{change.__name__}"
            with open(copy, "w", encoding="utf-8") as f:
                f.writelines(change(lines, world))
            os.chmod(copy, 0o644)
            out += verify(world, copy, code, *texts)
        return out
    return after


def row(letter, title, after):
    return {"id": "K7" + letter, "title": title, "options": ALLOW,
            "try": [["tcp", EVIL, "80"], ["resolve", "evil.test"]],
            "says": [REFUSED, NO_NAME],
            "audit": [deny(layer="kernel", address=EVIL, port=80),
                      deny(layer="dns", name="evil.test")],
            "after": after, "control": GOES}


# ---- what is done to its lines ----

def edited(lines, _world):
    return [x.replace('"deny"', '"allow"') if i == 1 else x
            for i, x in enumerate(lines)]


def rehashed(lines, _world):
    """As edited, with a hash that fits the line, and not the next."""
    line = edited(lines, None)[1].rpartition(',"hash":"')[0]
    before = lines[0].rpartition(',"hash":"')[2][:64]
    own = hashlib.sha256((before + line).encode()).hexdigest()
    return [lines[0], f'{line},"hash":"{own}"}}\n', *lines[2:]]


def removed(lines, _world):
    return lines[:1] + lines[2:]


def swapped(lines, _world):
    return [lines[0], lines[2], lines[1], *lines[3:]]


def cut(lines, _world):
    return lines[:-1]


def cut_within(lines, _world):
    return [*lines[:-2], lines[-2][:50]]


def forged(lines, _world):
    """One more behind the last."""
    return [*lines, lines[-2].replace('"deny"', '"allow"')]


def forged_begin(lines, _world):
    return ['{"time":"","seq":1,"session":"x","layer":"lifecycle"}\n', *lines]


def replayed(lines, world):
    """A line of another session."""
    world.exeat([], ["true"])
    with open(newest_audit(world), encoding="utf-8") as f:
        other = f.readlines()
    return [lines[0], other[1], *lines[1:]]


# ---- from inside ----

# Waits for the audit's first lines, changes them where they stand, and gives
# the gate something to write behind them.
FROM_INSIDE = """
import hashlib, socket, sys, time
path = sys.argv[2]
for address in ("203.0.113.66", "203.0.113.67"):
    try: socket.create_connection((address, 80), 60)
    except OSError: pass
deadline = time.monotonic() + 60
lines = []
while len(lines) < 3 and time.monotonic() < deadline:
    lines = open(path).read().splitlines()
if sys.argv[1] == "empty":
    open(path, "w").close()
else:
    before = "0" * 64
    with open(path, "r+") as f:
        for line in lines:
            text = line.rpartition(',"hash":"')[0]
            text = text.replace(".113.66", ".113.10")
            before = hashlib.sha256((before + text).encode()).hexdigest()
            f.write(text + ',"hash":"' + before + '"}\\n')
try: socket.create_connection(("203.0.113.68", 80), 60)
except OSError: pass
print("done")
"""


# The audit lies in the work dir, where the command may write.
MOVED = """
import os, sys
at = sys.argv[sys.argv.index("--audit") + 1]
open(sys.argv[1], "w").close()
os.symlink(sys.argv[1], at)
os.execv(sys.argv[2], sys.argv[2:])
"""


def carried(_world, work):
    with open(os.path.join(work, "tamper.py"), "w", encoding="ascii") as f:
        f.write(FROM_INSIDE)


def from_inside(letter, title, how, text):
    row_id = "K7" + letter

    def under(world):
        return ["/usr/bin/python3", "-c", MOVED,
                os.path.join(world.folder("work-" + row_id), "audit")]

    def after(world, _work):
        return verify(world, newest_audit(world), BROKEN, text)
    return {"id": row_id, "title": title, "kinds": ("user", "oneid"),
            "options": ALLOW, "before": carried, "under": under,
            "try": [["program", "/usr/bin/python3", "{work}/tamper.py", how,
                     "{work}/audit"]],
            "says": {"code": 0, "out": "done\n"}, "prompt_ms": 30000,
            "after": after, "control": GOES}


# ---- by nobody: its writer is killed ----

def writers():
    """The processes that write an audit."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().split(b"\0")[1:2] == [b"front"]:
                    yield int(pid)
        except OSError:
            pass  # it has ended


def unfinished(world, _work):
    other = near.Living(world, "killed")
    for pid in writers():
        os.kill(pid, signal.SIGKILL)
    other.child.wait()
    return verify(world, other.audit, UNTOLD, "no end behind")


ROWS = [
    row("a", "a line is changed, also with its hash", changed(
        (edited, BROKEN, ":2: session ", "the hash of record 2 does not fit"),
        (rehashed, BROKEN, ":3: session ",
         "the hash of record 3 does not fit"))),
    row("b", "a line is removed, or changes its place", changed(
        (removed, BROKEN, ":2: session ",
         "records missing before record 3: 1"),
        (swapped, BROKEN, ":2: session ", ":3: session ", "out of order"))),
    row("c", "the end is cut off, between lines and within", changed(
        (cut, UNTOLD, "no end behind"),
        (cut_within, UNTOLD, "a record breaks off", "no end behind"))),
    row("d", "a line is added: forged, or another session's", changed(
        (forged, BROKEN, "stands behind the end"),
        (forged_begin, BROKEN, ":1: this is no record"),
        (replayed, BROKEN, ":2: session ",
         "records missing before record 2: 1"))),
    row("e", "its writer is killed", unfinished),
    from_inside("f", "all of it is written anew from inside", "rewrite",
                "does not fit"),
    from_inside("g", "it is emptied from inside", "empty",
                "records missing before record"),
]
