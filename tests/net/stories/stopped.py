"""Row H12: a process of the session stands still, and goes on.

While front, the dialer, the keeper or the caller is stopped, a program gets no
further than it may; when it goes on, everything is as it was.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import subprocess

from world import judge

from . import Checks, equip, helpers, kill, lines

# Dials what it is told, and says what came of it: a banner, or an error.
CLIENT = """
import errno, socket, sys
print("ready", flush=True)
for line in sys.stdin:
    host, patience = line.split()
    try:
        with socket.create_connection((host, 22), float(patience)) as s:
            data = s.recv(64).decode()
            print("banner" if data.startswith("SSH") else "closed",
                  flush=True)
    except OSError as e:
        print(errno.errorcode.get(e.errno, "ETIMEDOUT"), flush=True)
"""
ALLOWED, EVIL = "203.0.113.10", "203.0.113.66"
# A look-up that nobody answers is not to be waited for.
OPTIONS = ["--allow", ALLOWED + ":22", "--allow", "allowed.test:22",
           "-e", "RES_OPTIONS=timeout:1 attempts:1"]


class Client:
    def __init__(self, world, mode):
        self.child, _ = world.start_exeat(
            ["-w", equip(world, "stopped-" + mode), *OPTIONS],
            ["/usr/bin/python3", "-u", "-c", CLIENT], stdin=subprocess.PIPE)
        self.said = lines(self.child)

    def ready(self):
        return next(self.said, "") == "ready"

    def dial(self, host, patience=60):
        self.child.stdin.write(f"{host} {patience}\n".encode())
        self.child.stdin.flush()
        return next(self.said, "ended")

    def end(self):
        self.child.stdin.close()
        return self.child.wait()


def stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def one(world, checks, mode):
    client = Client(world, mode)
    good = checks.check(f"{mode}: the client is ready", client.ready()) and \
        checks.check(f"{mode}: it gets through", client.dial(ALLOWED) ==
                     "banner")
    victims = [client.child.pid] if mode == "caller" else \
        helpers().get(mode, [])
    if not checks.check(f"{mode}: its process is found",
                        good and victims, helpers()):
        kill([client.child.pid])
        client.child.wait()
        return
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    checks.check(f"{mode}: it stands still",
                 world.until(lambda: all(map(stopped, victims))))
    mark = world.mark()
    if mode != "caller":    # who passes on what the client says
        got = client.dial(EVIL)
        checks.check(f"{mode}: stopped, an address is refused",
                     got == "ECONNREFUSED", got)
        got = client.dial("evil.test")
        checks.check(f"{mode}: stopped, a name leads nowhere",
                     got not in ("banner", "closed"), got)
        got = client.dial(ALLOWED, 1)
        checks.check(f"{mode}: stopped, what is allowed passes or waits",
                     got in ("banner", "ETIMEDOUT"), got)
    for pid in victims:
        os.kill(pid, signal.SIGCONT)
    got = client.dial(EVIL)
    checks.check(f"{mode}: it goes on, and refuses", got == "ECONNREFUSED",
                 got)
    # a look-up is given a second: on a busy machine that may be too little
    got = world.until(lambda: client.dial("allowed.test") == "banner")
    checks.check(f"{mode}: it goes on, and lets through", got)
    packets = [p for p in world.seen(mark) if not any(
        judge.packet_matches(p, x) for x in
        (f"tcp {ALLOWED} 22", "tcp 2001:db8:113::10 22", "dns allowed.test"))]
    checks.check(f"{mode}: nothing else left the host", not packets,
                 packets[:5])
    checks.check(f"{mode}: the command ends well", client.end() == 0,
                 client.child.stderr.read())


def story(world):
    checks = Checks()
    for mode in ("front", "dialer", "keeper", "caller"):
        one(world, checks, mode)
    return checks.status()
