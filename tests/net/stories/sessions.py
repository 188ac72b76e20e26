"""One session, many postures: one after the other, and at the same time.

SPDX-License-Identifier: Apache-2.0

The runs are started through the library, by the program that EXEAT_DRIVE
names (drive.c).
"""

import os
import signal
import subprocess

from world import judge
from world.space import skip

from . import Checks, equip, kill, processes

FETCH = "curl -sS --max-time 60 {url} || echo failed $?"
ALLOWED = ["tcp 203.0.113.10 443", "tcp 2001:db8:113::10 443"]
OTHER = ["tcp 203.0.113.11 443", "tcp 2001:db8:113::11 443"]
EVIL = ["tcp 203.0.113.66 443", "tcp 2001:db8:113::66 443"]


class Drive:
    """A session in another process, told what to do line by line."""

    def __init__(self, world, work, *bound):
        self.child = world.start([os.environ["EXEAT_DRIVE"], work, *bound],
                                 stdin=subprocess.PIPE)

    def say(self, *fields):
        self.child.stdin.write("\t".join(fields).encode() + b"\n")
        self.child.stdin.flush()

    def hear(self):
        return self.child.stdout.readline().decode().rstrip("\n")

    def start(self, run, mode, rules, command):
        self.say("start", run, mode, rules, command)
        return self.hear()

    def line(self, run):
        self.say("line", run)
        return self.hear()

    def tell(self, run, text):
        self.say("tell", run, text)
        return self.hear()

    def wait(self, run):
        """(exit status, what it still said)"""
        self.say("wait", run)
        out = []
        while (line := self.hear()).startswith("out "):
            out.append(line[4:])
        return line, out

    def run(self, mode, rules, command):
        said = self.start("r", mode, rules, command)
        if said != "started":
            return said, []
        return self.wait("r")

    def end(self):
        self.child.stdin.close()
        self.child.wait(60)
        return self.child.returncode


def switching(world, checks, drive):
    """Posture after posture in one session."""
    steps = (
        ("blocked", "-", "https://allowed.test/", "failed 6", [], []),
        ("allowlist", "allowed.test", "https://allowed.test/",
         "hello from allowed.test", ["dns allowed.test"], ALLOWED),
        ("allowlist", "allowed.test", "https://other.test/", "failed 6",
         [], []),
        ("allowlist", "other.test", "https://other.test/",
         "hello from other.test", ["dns other.test"], OTHER),
        ("open", "-", "https://evil.test/", "hello from evil.test",
         ["dns evil.test"], EVIL),
        ("blocked", "-", "https://allowed.test/", "failed 6", [], []),
        ("allowlist", "allowed.test", "https://allowed.test/",
         "hello from allowed.test", [], ["dns allowed.test", *ALLOWED]),
    )
    for mode, rules, url, part, sees, may in steps:
        mark = world.mark()
        end, out = drive.run(mode, rules, FETCH.format(url=url))
        wrong = judge.judge_packets(world.seen(mark), sees, may)
        checks.check(f"switch: {mode} {rules} {url}",
                     any(part in x for x in out) and not wrong, end, out,
                     *wrong)


def concurrent(world, checks, drive):
    """Three postures live at once, and neither knows of the others."""
    wait = "read go; " + FETCH.format(url="https://allowed.test/") + "; " + \
        FETCH.format(url="https://evil.test/")
    runs = (("a", "blocked", "-", ["failed 6", "failed 6"]),
            ("b", "allowlist", "allowed.test",
             ["hello from allowed.test", "failed 6"]),
            ("c", "open", "-",
             ["hello from allowed.test", "hello from evil.test"]))
    for run, mode, rules, _ in runs:
        said = drive.start(run, mode, rules, "echo ready; " + wait)
        checks.check(f"together: {mode} starts", said == "started", said)
        checks.check(f"together: {mode} is alive",
                     (line := drive.line(run)) == "ready", line)
    for run, *_ in runs:
        drive.tell(run, "go")
    for run, mode, _, parts in runs:
        end, out = drive.wait(run)
        checks.check(f"together: {mode} reaches what is its own",
                     len(out) == 2 and all(
                         p in o for p, o in zip(parts, out)), end, out)


def loopback(checks, drive):
    """Loopback is shared within a posture, and by no other."""
    serve = ("echo ready; /usr/bin/python3 -c 'import socket; "
             "s = socket.create_server((\"127.0.0.1\", 7777)); "
             "print(\"listening\", flush=True); "
             "[s.accept()[0].sendall(b\"same\") for _ in range(9)]'")
    ask = "nc -w 60 127.0.0.1 7777 </dev/null || echo failed"
    drive.start("server", "blocked", "-", serve)
    drive.line("server")
    checks.check("loopback: a server listens",
                 (line := drive.line("server")) == "listening", line)
    _, out = drive.run("blocked", "-", ask)
    checks.check("loopback: the same posture reaches it", "same" in
                 "".join(out), out)
    for mode, rules in (("open", "-"), ("allowlist", "allowed.test")):
        _, out = drive.run(mode, rules, ask)
        checks.check(f"loopback: {mode} does not", "same" not in
                     "".join(out), out)
    drive.say("kill", "server")
    drive.hear()
    drive.wait("server")


def ceiling(world, checks, work):
    """A session's own list bounds its runs."""
    drive = Drive(world, work, "allowed.test")
    said = drive.start("w", "open", "-", "true")
    checks.check("ceiling: a wider mode is refused", said.startswith("error"),
                 said)
    said = drive.start("x", "allowlist", "evil.test", "true")
    checks.check("ceiling: a rule outside is refused, and named",
                 said.startswith("error") and "evil.test" in said, said)
    end, _ = drive.run("allowlist", "allowed.test", "true")
    checks.check("ceiling: what it holds may run", end == "end 0", end)
    checks.check("ceiling: the session closes", drive.end() == 0)


def killed(world, checks, work):
    """The owner of a session dies by SIGKILL with runs alive."""
    drive = Drive(world, work)
    drive.start("a", "open", "-", "echo ready; exec tail -f /dev/null")
    drive.line("a")
    drive.start("b", "blocked", "-", "echo ready; exec tail -f /dev/null")
    drive.line("b")
    os.kill(drive.child.pid, signal.SIGKILL)
    drive.child.wait()
    left = world.until(lambda: not processes("exeat-helper") and
                       not processes("tail -f /dev/null"), 1.0)
    checks.check("killed: everything is gone within a second", left,
                 processes("exeat-helper"))
    kill([*processes("exeat-helper"), *processes("tail -f /dev/null")])


def story(world):
    if not os.access(os.environ.get("EXEAT_DRIVE", ""), os.X_OK):
        skip("the session driver is not built")
    checks = Checks()
    work = equip(world, "work")
    drive = Drive(world, work)
    switching(world, checks, drive)
    concurrent(world, checks, drive)
    loopback(checks, drive)
    checks.check("the session closes", drive.end() == 0,
                 drive.child.stderr.read())
    ceiling(world, checks, work)
    killed(world, checks, work)
    return checks.status()
