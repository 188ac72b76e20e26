"""A hundred sessions at once: nothing of one is visible or usable in another.

SPDX-License-Identifier: Apache-2.0

Each has a policy of its own, a work dir of its own, and the same port on every
address of its loopback. A sample of pairs is asked what one reaches of itself,
of the other and of the host.
"""

import os
import socket
import subprocess

from world.lib import HOST4, HOST6

from . import Checks, helpers, processes

SESSIONS = 100
PORT = 7777
BY_NAME = {97: "allowed.test", 98: "other.test"}
# Reads commands; a line "=" ends what each has said.
SHELL = "exec 2>&1; while read -r x; do eval \"$x\"; echo =; done"
SERVER = """
import os, socket, sys
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6,
                         dualstack_ipv6=True)
if os.fork():
    sys.exit()
os.dup2(os.open("/dev/null", os.O_RDWR), 1)
while True:
    c = s.accept()[0]
    c.sendall(b"session " + sys.argv[2].encode() + b"\\n")
    c.close()
"""


def options(i):
    """Session i: every tenth is shut, every tenth open, two go by name; the
    others reach one address each."""
    if i % 10 == 0:
        return ["--net", "blocked"]
    if i % 10 == 5:
        return ["--net", "open"]
    return ["--allow", BY_NAME.get(i, f"203.0.113.{i}:22")]


class Session:
    def __init__(self, world, number):
        self.number = number
        self.work = world.folder(f"work-{number}")
        self.child, self.audit = world.start_exeat(
            ["-w", self.work, *options(number)], ["/bin/sh", "-c", SHELL],
            stdin=subprocess.PIPE)

    def tell(self, command):
        self.child.stdin.write(command.encode() + b"\n")
        self.child.stdin.flush()

    def hear(self):
        said = []
        for line in iter(self.child.stdout.readline, b""):
            if line == b"=\n":
                break
            said.append(line.decode("latin-1").rstrip("\n"))
        return " ".join(said)

    def ask(self, command):
        self.tell(command)
        return self.hear()

    def banner(self, address, port):
        return self.ask(f"nc -N -w 60 {address} {port} </dev/null || echo none")

    def end(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.stderr.close()
        return self.child.wait()


def dials(address, port):
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


def loopback(checks, sessions, a, b):
    """The same port everywhere, and everybody hears of himself alone."""
    for address in ("127.0.0.1", "::1", "0.0.0.0", "192.0.0.2"):
        said = sessions[a].banner(address, PORT)
        checks.check(f"{a} reaches itself at {address}",
                     said == f"session {a}", said)
    said = sessions[a].banner(HOST4, PORT)
    checks.check(f"{a} reaches nobody at the host", "session" not in said,
                 said)
    found = sessions[a].ask(f"ls {sessions[b].work} {sessions[a].work}/..; "
                            f"cat {sessions[b].work}/secret")
    checks.check(f"{a} sees nothing of the work dir of {b}",
                 f"secret-of-{b}" not in found and
                 f"work-{b}" not in found.replace(sessions[b].work, ""),
                 found)
    found = sessions[a].ask("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo")
    checks.check(f"{a} sees no process of {b}", f"{PORT} {b} " not in found,
                 found)


def policies(checks, sessions, a, b):
    """Each reaches what is its own, whoever else may reach the other."""
    for who, whose in ((a, a), (a, b), (b, a)):
        mode = who % 10
        wanted = mode == 5 or (mode != 0 and who == whose and
                               who not in BY_NAME)
        said = sessions[who].banner(f"203.0.113.{whose}", 22)
        checks.check(f"{who} {'reaches' if wanted else 'lacks'} the address "
                     f"of {whose}", ("SSH-2.0" in said) == wanted, said)


def pins(checks, sessions):
    """What was resolved in one session opens nothing in another."""
    fetch = "curl -sS --max-time 60 {} {} 2>&1"
    by, other = sorted(BY_NAME)
    said = sessions[by].ask(fetch.format("", "https://allowed.test/"))
    checks.check("a name is resolved and pinned in its session",
                 "hello from allowed.test" in said, said)
    for who in (other, 1, 10):
        said = sessions[who].ask(fetch.format(
            "--resolve allowed.test:443:203.0.113.10",
            "https://allowed.test/"))
        checks.check(f"the pin is of no use in {who}",
                     "hello" not in said, said)


def story(world):
    checks = Checks()
    sessions = {}
    for i in range(1, SESSIONS + 1):
        sessions[i] = Session(world, i)
        path = os.path.join(sessions[i].work, "secret")
        with open(path, "w", encoding="ascii") as f:
            f.write(f"secret-of-{i}\n")
        with open(os.path.join(sessions[i].work, "server.py"), "w",
                  encoding="ascii") as f:
            f.write(SERVER)
        sessions[i].tell(f"/usr/bin/python3 -I server.py {PORT} {i}")
    said = {i: s.hear() for i, s in sessions.items()}
    checks.check(f"{SESSIONS} sessions live, each with port {PORT}",
                 not any(said.values()) and
                 all(s.child.poll() is None for s in sessions.values()),
                 {i: x for i, x in said.items() if x})
    found = helpers()
    checks.check("each has its own keeper and front",
                 all(len(found.get(mode, ())) >= SESSIONS
                     for mode in ("keeper", "front")),
                 {k: len(v) for k, v in found.items()})
    for address in ("127.0.0.1", "::1", HOST4, HOST6, "192.0.0.2"):
        checks.check(f"nobody listens outside at {address}",
                     not dials(address, PORT))
    for a, b in ((1, 2), (11, 10), (15, 99), (40, 41), (55, 65), (97, 98)):
        loopback(checks, sessions, a, b)
        policies(checks, sessions, a, b)
    pins(checks, sessions)
    codes = {s.end() for s in sessions.values()}
    checks.check("all of them end well", codes == {0}, codes)
    checks.check("nothing of them stays", world.until(
        lambda: not processes("exeat-helper")), helpers())
    return checks.status()
