"""Servers of the far side that a story adds: started, waited for, ended.

SPDX-License-Identifier: Apache-2.0
"""

import importlib.util
import os
import shutil
import subprocess

from . import proxy

START_S = 30
LISTEN = "0A"     # of /proc/net/tcp
# One id in a user namespace: what refuses to be root, or need not be.
PLAIN = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]


def path_of(program):
    """Where a program is, also one of the administrator's."""
    return shutil.which(program, path=os.environ.get("PATH", "") +
                        ":/usr/local/sbin:/usr/sbin:/sbin")


def _tell(checks, missing):
    for what in missing:
        print(f"# {what} is not installed", flush=True)
        if os.environ.get("EXEAT_MUST_RUN") == "1":
            checks.check(f"{what} is installed", False)
    return missing


def lacking(checks, *programs):
    """Which of them are not there, said loudly: a part that cannot run."""
    return _tell(checks, [p for p in programs if not path_of(p)])


def lacking_module(checks, name):
    """The same of a module of the system's Python."""
    found = importlib.util.find_spec(name)
    return _tell(checks, [] if found else [f"Python's {name}"])


def listening(world):
    """The far side's ports of TCP with a listener."""
    ports = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{world.children[0]}/net/{name}",
                  encoding="ascii") as f:
            rows = [line.split() for line in f][1:]
        ports |= {int(r[1].rpartition(":")[2], 16) for r in rows
                  if r[3] == LISTEN}
    return ports


class Servers:
    def __init__(self, world, checks):
        self.world, self.checks = world, checks
        self.children = []

    def start(self, what, argv, port):
        log = open(os.path.join(self.world.root, f"{port}.log"), "w+b")
        child = proxy.far(self.world, argv, stdout=log, stderr=log)
        self.children.append((child, log))
        up = self.world.until(lambda: port in listening(self.world) or
                              child.poll() is not None, START_S)
        good = bool(up) and child.poll() is None
        log.seek(0)
        self.checks.check(f"{what} starts", good, child.poll(), log.read())
        return good

    def end(self):
        for child, log in self.children:
            child.terminate()
            child.wait()
            log.close()
