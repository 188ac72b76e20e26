"""A helper dies, or the caller: nothing leaves any more, nothing stays.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal

from world import judge

from . import Checks, equip, helpers, kill, lines, processes

# Talks to an echo server for ever, and goes on trying when that ends.
CLIENT = """
import socket, sys
def talk():
    s = socket.create_connection(("203.0.113.9", 7), 60)
    n = 0
    while True:
        s.sendall(b"ping\\n")
        if not s.recv(64):
            raise OSError("end of file")
        n += 1
        if n == 3:
            print("talking", flush=True)
try:
    talk()
except OSError as e:
    print("lost", repr(e), flush=True)
for host in ("203.0.113.9", "allowed.test"):
    try:
        s = socket.create_connection((host, 7), 60)
        # accepted is not reached: only an answer says so
        s.sendall(b"ping\\n")
        if not s.recv(64):
            raise OSError("end of file")
        print("through", host, flush=True)
    except OSError as e:
        print("refused", host, repr(e), flush=True)
print("done", flush=True)
"""
OPTIONS = ["--allow", "203.0.113.9", "--allow", "allowed.test:7"]
TARGET = "tcp 203.0.113.9 7"


def helper_killed(world, checks, mode):
    work = equip(world, "work-" + mode)
    child, _ = world.start_exeat(
        ["-w", work, *OPTIONS], ["/usr/bin/python3", "-u", "-c", CLIENT])
    said = lines(child)
    first = next(said, "")
    if not checks.check(f"{mode}: the client talks", first == "talking",
                        first, child.stderr.read() if not first else ""):
        kill([child.pid])
        return
    victims = helpers().get(mode, [])
    checks.check(f"{mode}: its process is found", victims, helpers())
    kill(victims)
    world.until(lambda: not any(os.path.exists(f"/proc/{p}")
                                for p in victims))
    mark = world.mark()
    rest = list(said)
    child.wait()
    packets = [p for p in world.seen(mark)
               if not (judge.packet_matches(p, TARGET)
                       and not p.get("bytes") and "S" not in p["flags"])]
    checks.check(f"{mode}: nothing leaves after its death", not packets,
                 packets[:5])
    checks.check(f"{mode}: the program got nothing through",
                 not any(x.startswith("through") for x in rest), rest)
    if mode != "keeper" and rest:
        checks.check(f"{mode}: the program saw an error",
                     rest[0].startswith("lost"), rest)
    checks.check(f"{mode}: the command says so, 125", child.returncode == 125,
                 child.returncode, child.stderr.read())
    gone(world, checks, mode)


def gone(world, checks, what, within=1.0):
    left = world.until(lambda: not processes("exeat-helper") and
                       not processes("ping\\n"), within)
    checks.check(f"{what}: every process is gone within {within} s", left,
                 processes("exeat-helper"), processes("ping\\n"))
    # Not for the next check: what is left over is this one's failure.
    kill([*processes("exeat-helper"), *processes("ping\\n")])


def caller_killed(world, checks):
    child, _ = world.start_exeat(
        OPTIONS, ["/usr/bin/python3", "-u", "-c", CLIENT])
    said = lines(child)
    first = next(said, "")
    checks.check("caller: the client talks", first == "talking", first)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    gone(world, checks, "caller")
    mark = world.mark()
    checks.check("caller: nothing leaves after its death",
                 not world.seen(mark))
    child.stdout.close()
    child.stderr.close()


def story(world):
    checks = Checks()
    for mode in ("front", "dialer", "keeper"):
        helper_killed(world, checks, mode)
    caller_killed(world, checks)
    return checks.status()
