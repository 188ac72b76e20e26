"""Things fail at odd moments: nothing leaves, and the end is a clear one.

SPDX-License-Identifier: Apache-2.0

Helpers killed as soon as they are there, while idle, during a look-up; too few
descriptors for everything from none to enough; a kernel that refuses a part of
the wall (strace makes it); an audit that cannot be written.
"""

import fcntl
import os
import select
import shutil
import subprocess

from world import judge, lib

from . import Checks, equip, helpers, kill, lines, processes

ALLOWED, EVIL = "203.0.113.9", "203.0.113.66"
RULES = ["--allow", ALLOWED, "--allow", "drop.test", "--allow", "allowed.test"]
FAILED = 125
ENOUGH = 128              # descriptors
F_SETPIPE_SZ = 1031
# Waits for a file, then tries what is allowed and what is not.
WAITS = f"""
import os, socket, time
print("idle", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
for to in ("{ALLOWED}", "{EVIL}", "allowed.test"):
    try:
        socket.create_connection((to, 80), 60).close()
    except OSError:
        pass
"""
LOOKS_UP = """
import socket
print("idle", flush=True)
try:
    socket.getaddrinfo("drop.test", 80)
except OSError as e:
    print("error", flush=True)
"""
REFUSALS = f"""
import socket
for i in range(2000):
    try:
        socket.create_connection(("{EVIL}", 1 + i), 60)
    except ConnectionRefusedError:
        pass
"""


def finish(checks, child, what):
    """The one clear end: 125, with a reason."""
    rest = child.stdout.read()
    err = child.stderr.read().decode("utf-8", "backslashreplace")
    code = child.wait()
    checks.check(f"{what}: the command says so",
                 code == FAILED and err.startswith("exeat: "), code, err)
    return rest


def nothing_left(world, checks, mark, what, may=()):
    wrong = judge.judge_packets(world.seen(mark), [], may)
    checks.check(f"{what}: nothing leaves", not wrong, *wrong)
    checks.check(f"{what}: nobody stays", world.until(
        lambda: not processes("exeat-helper")), helpers())
    kill(processes("exeat-helper"))


def kill_whole(pids):
    """Until each has ended: with the keeper, what runs below it, too."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        kill([pid])
        select.select([fd], [], [], 60)
        os.close(fd)


def while_idle(world, checks, mode):
    work = equip(world, f"idle-{mode}")
    mark = world.mark()
    child, _ = world.start_exeat(["-w", work, *RULES],
                                 ["/usr/bin/python3", "-uc", WAITS])
    first = next(lines(child), "")
    checks.check(f"{mode}, idle: the program runs", first == "idle", first)
    kill_whole(helpers().get(mode, []))
    with open(os.path.join(work, "go"), "w", encoding="ascii"):
        pass
    finish(checks, child, f"{mode}, idle")
    nothing_left(world, checks, mark, f"{mode}, idle")


def during_lookup(world, checks, mode):
    mark = world.mark()
    child, _ = world.start_exeat(RULES, ["/usr/bin/python3", "-uc", LOOKS_UP])
    said = lines(child)
    asked = next(said, "") == "idle" and world.until(
        lambda: any(r.get("dport") == 53 for r in world.log("sniff", mark)))
    checks.check(f"{mode}, in a look-up: it was asked", asked)
    kill(helpers().get(mode, []))
    finish(checks, child, f"{mode}, in a look-up")
    nothing_left(world, checks, mark, f"{mode}, in a look-up",
                 ["dns drop.test"])


def while_starting(world, checks, mode):
    """As soon as it is there: while the posture and the run are being made."""
    what = f"{mode}, at the start"
    mark = world.mark()
    child, _ = world.start_exeat(
        RULES, ["/usr/bin/python3", "-uc", WAITS])
    while not (found := helpers().get(mode)) and child.poll() is None:
        pass
    kill(found or [])
    finish(checks, child, what)
    nothing_left(world, checks, mark, what)


def few_descriptors(world, checks):
    """Either all of it works, or nothing does and the reason is said."""
    outcomes = set()
    for limit in (*range(6, 40, 3), 48, 64, ENOUGH):
        mark = world.mark()
        # too few: who was accepted by nobody needs no patience
        wait = 1 if limit < ENOUGH else 30
        result = world.run(
            ["prlimit", f"--nofile={limit}:{limit}", lib.product(), "run",
             "--allow", ALLOWED, "--", "/bin/sh", "-c",
             f"nc -N -w {wait} {ALLOWED} 22 </dev/null; "
             f"nc -N -w {wait} {EVIL} 22 </dev/null; true"])
        reached = "SSH-2.0" in result.out
        refused = result.code == FAILED and result.err.startswith("exeat: ")
        outcomes |= {reached, refused and "refused"}
        wrong = judge.judge_packets(world.seen(mark), [],
                                    [f"tcp {ALLOWED} 22"])
        checks.check(f"{limit} descriptors: works, or says why not",
                     (result.code == 0 or refused) and not wrong and
                     result.within(15), result, *wrong)
    checks.check("some were too few, some enough",
                 {True, "refused"} <= outcomes, outcomes)


def kernel_refuses(world, checks):
    """The n-th message to netlink fails: no session, or a whole one."""
    if not shutil.which("strace"):
        print("# no strace: a kernel that refuses is not tried", flush=True)
        return
    failed = 0
    for call in ("sendto", "sendmsg", "setns", "unshare", "mount"):
        for error in ("ENOBUFS", "EPERM"):
            for when in (1, 2, 3):
                failed += refuses_once(world, checks, call, error, when)
    checks.check("some of it was needed", failed >= 6, failed)


def refuses_once(world, checks, call, error, when):
    mark = world.mark()
    result = world.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
         f"inject={call}:error={error}:when={when}", lib.product(), "run",
         "--allow", ALLOWED, "--", "nc", "-w", "9", EVIL, "22"])
    wrong = judge.judge_packets(world.seen(mark), [], [])
    refused = result.code == FAILED and result.err.startswith("exeat: ")
    checks.check(f"{call} {when} fails with {error}: nothing leaves",
                 not wrong and (refused or result.code == 1), result, *wrong)
    return refused


def bad_audit(world, checks):
    """K4: what cannot be written is counted, and the command says so."""
    full = world.folder("full")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=777", "none",
                    full], check=True)
    path = os.path.join(full, "audit")
    pipe = os.path.join(world.tmp, "pipe")
    os.mkfifo(pipe)
    os.chmod(pipe, 0o666)
    end = os.open(pipe, os.O_RDWR)  # held open, never read
    fcntl.fcntl(end, F_SETPIPE_SZ, 4096)
    for where in ("/dev/full", path, pipe):
        mark = world.mark()
        result = world.run(
            [lib.product(), "run", *RULES, "--audit", where, "--",
             "/usr/bin/python3", "-c", REFUSALS])
        wrong = judge.judge_packets(world.seen(mark), [], [])
        checks.check(f"audit to {os.path.basename(where)}: the run goes on",
                     result.code == 0 and not wrong, result, *wrong)
        checks.check(f"audit to {os.path.basename(where)}: the loss is told",
                     "the audit cannot be written" in result.err and
                     "records lost: " in result.err, result)
    os.close(end)
    subprocess.run(["umount", full], check=True)
    result = world.exeat(RULES, ["/usr/bin/python3", "-c", REFUSALS])
    checks.check("an audit that can be written: nothing is told",
                 result.code == 0 and not result.err and result.audit, result)


def story(world):
    checks = Checks()
    for mode in ("front", "dialer", "keeper"):
        while_idle(world, checks, mode)
        during_lookup(world, checks, mode)
        while_starting(world, checks, mode)
    few_descriptors(world, checks)
    kernel_refuses(world, checks)
    bad_audit(world, checks)
    return checks.status()
