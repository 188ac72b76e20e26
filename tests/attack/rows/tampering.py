"""K: the audit, changed behind the product's back.

SPDX-License-Identifier: Apache-2.0

Each row makes an audit of a few refusals, changes a copy of it, and asks
`exeat audit verify`. The whole one must be called whole: that, and a command
that gets through, is the control. Others change it while the session lives, or
would let the command do so.
"""

import glob
import hashlib
import os
import signal

from world import lib

from . import ALLOW, EVIL, NO_NAME, OPEN, REFUSED, deny
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


# ---- while the session lives ----

def rewritten(lines):
    """Every line anew, with hashes that fit."""
    before = "0" * 64
    for line in lines:
        text = line.rpartition(',"hash":"')[0].replace("begins", "begun")
        before = hashlib.sha256((before + text).encode()).hexdigest()
        yield f'{text},"hash":"{before}"}}\n'


def emptied(_lines):
    """None of them."""
    return []


def meanwhile(change, text):
    """The same file, written by somebody who could: the next line tells."""
    def after(world, _work):
        other = near.Living(world, change.__name__)
        world.until(lambda: lib.read_audit(other.audit), lib.TIMEOUT)
        with open(other.audit, "r+", encoding="utf-8") as f:
            lines = f.readlines()
            f.seek(0)
            f.truncate()
            f.writelines(change(lines))
        other.close()
        return (verify(world, other.audit, BROKEN, text) if lines
                else ["the other session's audit was empty"])
    return after


# The audit lies in the work dir, where the command may write.
MOVED = """
import os, sys
at = sys.argv[sys.argv.index("--audit") + 1]
open(sys.argv[1], "w").close()
os.symlink(sys.argv[1], at)
os.execv(sys.argv[2], sys.argv[2:])
"""


def moved(world):
    return ["/usr/bin/python3", "-c", MOVED,
            os.path.join(world.folder("work-K7h"), "audit")]


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
    row("f", "all of it is written anew while it lives",
        meanwhile(rewritten, "does not fit")),
    row("g", "it is emptied while it lives",
        meanwhile(emptied, "records missing before record 2: 1")),
    {"id": "K7h", "title": "an audit where the command could write",
     "options": [ALLOW, OPEN], "under": moved,
     "try": [["write", "{work}/ran", "x"]],
     "refuses": ["audit", "a run could write to it"],
     "after": lambda _world, work:
         ["the command ran"] if os.path.exists(work + "/ran") else [],
     "control": GOES},
]
