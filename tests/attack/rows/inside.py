"""G, K: terminals, files that are shown, limits, and words for the caller.

SPDX-License-Identifier: Apache-2.0
"""

import glob
import os

from world import lib

from . import ALLOW, ALLOWED, BLOCKED, EVIL, OPEN, REFUSED, deny, found

EVERY = [BLOCKED, ALLOW, OPEN]
NOTHING = {"gained": []}
OURS = ("/etc/exeat-ca.pem", "/etc/resolv.conf", "/etc/hosts", "/etc/passwd",
        "/etc/group", "/etc/hostname", "/etc/nsswitch.conf",
        "/usr/bin/env", "{tmp}/shown/file")
BEST = "{}:best-effort"
PROBE = os.path.join(os.path.dirname(lib.__file__), "probe.py")

# ---- terminals ----

# A terminal of its own for the product, which has nothing else on stdin; what
# is written there is read, and nobody types. It is not the machine's only one.
ON_TERMINAL = """
import fcntl, os, sys, termios
other = os.openpty()
master, slave = os.openpty()
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    os.dup2(slave, 0)
    os.closerange(3, 64)
    os.execv(sys.argv[1], sys.argv[1:])
os.close(slave)
try:
    while os.read(master, 4096):
        pass
except OSError:
    pass  # nobody has it any more
status = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
"""


def on_terminal(_world):
    return ["/usr/bin/python3", "-c", ON_TERMINAL]


def has(*wanted):
    def check(gained):
        return all(any(g.startswith(w) for g in gained) for w in wanted)
    check.__doc__ = "has " + ", ".join(wanted)
    return check


def only(*allowed):
    def check(gained):
        return all(g in allowed for g in gained)
    check.__doc__ = "has nothing but " + ", ".join(allowed)
    return check


# ---- files ----

def shown(world, _work):
    """A file that the payload's user owns; an authority."""
    folder = world.folder("shown")
    world.put(folder, PROBE, "file")
    os.chmod(os.path.join(folder, "file"), 0o666)
    world.put(world.tmp, world.ca, "authority.pem")


# ---- words ----

def plain(text):
    """has no byte that a terminal would obey"""
    return all(c == "\n" or " " <= c <= "~" for c in text)


def plain_audit(world, _work):
    path = max(glob.glob(os.path.join(world.tmp, "audit-*.jsonl")),
               key=lambda p: int(p.rsplit("-", 1)[1].split(".")[0]))
    with open(path, "rb") as f:
        text = f.read().decode("latin-1")
    return [] if plain(text) else [f"its audit has {text!r}"]


# Colour, a title, 8-bit control, right to left, a line of the product's own.
ODD = ("\\x1b[2J\\x1b[31m", "\\x1b]0;t\\x07", "\\x9b31m", "\\xe2\\x80\\xae",
       "x\\nexeat: fine", "\\x7f\\x08\\r")


def said_by_http(word):
    return ["tcp", ALLOWED, "80",
            f"GET / HTTP/1.1\\r\\nHost: {word}.test\\r\\n\\r\\n"]


def said_to_proxy(word):
    return ["tcp", "127.0.0.1", "64505",
            f"CONNECT {word}.test:443 HTTP/1.1\\r\\n\\r\\n"]


def said_by_socks(word):
    name = word.encode().decode("unicode_escape") + ".test"
    return ["tcp", "127.0.0.1", "64505", "\\x05\\x01\\x00\\x05\\x01\\x00\\x03" +
            f"\\x{len(name):02x}{word}.test\\x01\\xbb"]


SAID = [f(w) for f in (said_by_http, said_to_proxy, said_by_socks)
        for w in ODD]

ROWS = [
    {"id": "G29", "title": "terminals that are not the run's",
     "options": EVERY, "under": on_terminal, "try": [["terminals", "all"]],
     "says": {**NOTHING, "tty": True, "terminals": []},
     "control": {"outside": True, "under": on_terminal,
                 "try": [["terminals"]],
                 "says": {"gained": has("open /dev/tty", "open /dev/pts/",
                                        "foreground"), "tty": True}}},

    {"id": "G29b", "title": "a run's own terminal, and no other",
     "options": [[*mode, "-t"] for mode in EVERY], "under": on_terminal,
     "try": [["terminals"]],
     "says": {"gained": only("open /dev/tty", "open /dev/pts/0",
                             "open /dev/ptmx/../pts/0", "foreground"),
              "terminals": ["0"], "tty": True},
     "control": {"outside": True, "under": on_terminal,
                 "try": [["terminals"]],
                 "says": {"terminals": lambda t: len(t) > 1, "tty": True}}},

    {"id": "G27", "title": "files that a run is shown to read",
     "options": [[*mode, "--ca", "{tmp}/authority.pem", "--ro", "{tmp}/shown"]
                 for mode in EVERY],
     "before": shown, "try": [["changed", path] for path in OURS],
     "says": NOTHING,
     "control": {"try": [["write", "{work}/own", "x"],
                         ["changed", "{work}/own"]],
                 "says": [{}, {"gained": has(
                     "write", "write again", "both", "append", "map again",
                     "fchmod", "fchown", "chmod", "chown", "time", "length",
                     "rename", "remove", "unnamed")}]}},

    {"id": "G28", "title": "limits, raised by those whom they bind",
     "options": [[*mode, "--memory", BEST.format("1G"), "--pids",
                  BEST.format("64")] for mode in EVERY],
     "try": [["limits"]], "says": NOTHING,
     "control": {"try": [["program", "sh", "-c",
                          "ulimit -S -n 64 && ulimit -S -n 128"]],
                 "says": {"code": 0}}},

    # The name is asked for first: so the gate reads what is said there.
    {"id": "K8", "title": "a payload's words on the caller's terminal",
     "options": [*ALLOW, "--explain"],
     "try": [["resolve", "allowed.test"], *SAID, ["tcp", EVIL, "80"]],
     "says": [found(ALLOWED), *[{"ms": lambda _: True}] * len(SAID), REFUSED],
     "sees": ["dns allowed.test"], "stderr": plain, "after": plain_audit,
     "audit": [deny(layer="http"), deny(layer="proxy")],
     "control": {"options": [*ALLOW, "--explain"],
                 "try": [["resolve", "evil.test"]],
                 "says": {"error": "EAI_NONAME"},
                 "stderr": lambda text: "evil.test" in text}},
]
