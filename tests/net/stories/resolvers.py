"""Row H13 and what goes with it: the machine's resolvers, and their faults.

SPDX-License-Identifier: Apache-2.0

The session lives all the time; the names are asked for by a program that is
told them line by line.
"""

import os
import shutil
import socket
import subprocess
import time

from world import lib

from . import Checks, equip, lines

FIRST, SECOND, THIRD = lib.RESOLVER, "8.8.8.8", "1.1.1.1"
LINK_LOCAL = "fe80::53"
SILENT, CLOSED = "203.0.113.200", "192.0.2.1"
# Of the gate itself: /etc inside is another matter.
ASK = """
import sys
sys.path.insert(0, ".")
import probe
for line in sys.stdin:
    said = probe.dns("192.0.0.5", "udp", "A", line.strip())
    print(*[r["rdata"] for r in said["records"]] or [said["rcode"]],
          flush=True)
"""
ETC = "/etc"


class Asker:
    """A session with one program in it that looks names up."""

    def __init__(self, world, name):
        self.world = world
        self.child, self.audit = world.start_exeat(
            # open: below a wildcard there are not names enough to wait with
            ["-w", equip(world, name), "--net", "open", "--allow",
             "own.test+private"],
            ["/usr/bin/python3", "-u", "-c", ASK],
            stdin=subprocess.PIPE)
        self.said = lines(self.child)
        self.count = 0

    def ask(self, name=None):
        """Look one name up, by default one that nobody knows yet: what came
        of it, and the servers that were asked."""
        self.count += 1
        name = name or f"n{self.count}.wild.test"
        mark = self.world.mark()
        self.child.stdin.write(name.encode() + b"\n")
        self.child.stdin.flush()
        found = next(self.said, "(end)")
        self.world.barrier()
        return found, {q["server"] for q in self.world.log("dns", mark)}

    def until_asks(self, server):
        """New names, until only this server is asked; not more in a second
        than a posture may ask."""
        def asks():
            asked = self.ask() == ("203.0.113.21", {server})
            if not asked:
                time.sleep(0.02)
            return asked
        return self.world.until(asks)

    def end(self):
        self.child.stdin.close()
        self.child.wait(60)
        return self.child.returncode


def private_etc(world):
    """An /etc of our own, as files: names in it can be replaced."""
    folder = os.path.join(world.root, "etc")
    for name in os.listdir(ETC):
        source, target = os.path.join(ETC, name), os.path.join(folder, name)
        os.makedirs(folder, exist_ok=True)
        try:
            if os.path.islink(source):
                os.symlink(os.readlink(source), target)
            elif os.path.isdir(source):
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy(source, target)
        except (OSError, shutil.Error):
            continue  # what only root may read
    for name in ("resolv.conf", "hosts"):
        path = os.path.join(folder, name)
        if os.path.islink(path):
            os.unlink(path)
            shutil.copy(os.path.join(ETC, name), path)
    subprocess.run(["mount", "--bind", folder, ETC], check=True)


def rewrite(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def replace(path, text):
    rewrite(path + ".new", text)
    os.rename(path + ".new", path)


def relink(path, to):
    os.symlink(to, path + ".new")
    os.rename(path + ".new", path)


def server(address):
    return f"nameserver {address}\n"


def rewritten(world, checks):
    """The file is a mount, as in containers, and written in place."""
    asker = Asker(world, "work-rewritten")
    first = asker.ask("allowed.test")
    checks.check("rewritten: the first server is asked",
                 first == ("203.0.113.10", {FIRST}), first)
    rewrite("/etc/resolv.conf", server(SECOND))
    checks.check("rewritten: then the second", asker.until_asks(SECOND))
    kept = asker.ask("allowed.test")
    checks.check("rewritten: what the first said is forgotten",
                 kept == ("203.0.113.10", {SECOND}), kept)
    rewrite("/etc/resolv.conf", "")
    rest = [asker.ask() for _ in range(5)]
    checks.check("rewritten: an empty file is one being written",
                 all(r == ("203.0.113.21", {SECOND}) for r in rest), rest)
    rewrite("/etc/resolv.conf", server(FIRST))
    checks.check("rewritten: and the first again", asker.until_asks(FIRST))
    checks.check("rewritten: the session ends well", asker.end() == 0)


def replaced(world, checks):
    """By rename, through links from folder to folder, and gone for a time."""
    private_etc(world)
    for name in ("a", "b"):
        os.makedirs(f"/etc/resolvers/{name}")
    rewrite("/etc/resolvers/a/one", server(FIRST))
    rewrite("/etc/resolvers/b/two", server(SECOND))
    asker = Asker(world, "work-replaced")
    checks.check("replaced: the first server", asker.until_asks(FIRST))
    replace("/etc/resolv.conf", server(SECOND))
    checks.check("replaced: by rename", asker.until_asks(SECOND))
    relink("/etc/resolv.conf", "resolvers/a/one")
    checks.check("replaced: by a link", asker.until_asks(FIRST))
    replace("/etc/resolvers/a/one", server(THIRD))
    checks.check("replaced: what the link leads to", asker.until_asks(THIRD))
    relink("/etc/resolvers/a/one", "/etc/resolvers/b/two")
    checks.check("replaced: a link behind the link", asker.until_asks(SECOND))
    rewrite("/etc/resolvers/b/two", server(FIRST))
    checks.check("replaced: the file behind both", asker.until_asks(FIRST))
    os.unlink("/etc/resolv.conf")
    gone = [asker.ask() for _ in range(5)]
    checks.check("replaced: gone, the last is still asked",
                 all(g == ("203.0.113.21", {FIRST}) for g in gone), gone)
    replace("/etc/resolv.conf", server(THIRD))
    checks.check("replaced: and there again", asker.until_asks(THIRD))
    replace("/etc/hosts", "10.0.0.7 own.test\n")
    checks.check("replaced: a name of the host's own", world.until(
        lambda: asker.ask("own.test") == ("10.0.0.7", set())))
    checks.check("replaced: the session ends well", asker.end() == 0)


def link_local(world, checks):
    """A server of the link, by name and by number of the interface."""
    index = socket.if_nametoindex("wan0")
    asker = Asker(world, "work-link")
    checks.check("link: another server at first", asker.until_asks(THIRD))
    replace("/etc/resolv.conf", server(LINK_LOCAL + "%wan0"))
    checks.check("link: by the interface's name",
                 asker.until_asks(LINK_LOCAL))
    replace("/etc/resolv.conf", server(THIRD))
    checks.check("link: and back", asker.until_asks(THIRD))
    replace("/etc/resolv.conf", server(f"{LINK_LOCAL}%{index}"))
    checks.check("link: by its number", asker.until_asks(LINK_LOCAL))
    replace("/etc/resolv.conf",
            server("fe80::54%nowhere") + server(THIRD))
    checks.check("link: an interface that is not there is passed over",
                 asker.until_asks(THIRD))
    checks.check("link: the session ends well", asker.end() == 0)


def dead_first(world, checks):
    """The first server is silent: that costs once, not each time."""
    replace("/etc/resolv.conf", server(SILENT) + server(CLOSED) +
            server(SECOND))
    asker = Asker(world, "work-dead")
    checks.check("dead: the third is found", asker.ask()[0] ==
                 "203.0.113.21")
    watch = world.stopwatch()
    found = [asker.ask() for _ in range(10)]
    prompt = watch.within(4)
    checks.check("dead: it is asked from then on", all(
        f == ("203.0.113.21", {SECOND}) for f in found), found)
    checks.check("dead: without waiting for the others",
                 prompt, watch.took())
    checks.check("dead: the session ends well", asker.end() == 0)


def story(world):
    checks = Checks()
    rewritten(world, checks)
    replaced(world, checks)
    if world.ipv6:
        link_local(world, checks)
    dead_first(world, checks)
    return checks.status()
