"""Row A25: the kernel's pin is gone, as after its time; flows live on.

SPDX-License-Identifier: Apache-2.0

A pin lives for an hour, so a hand takes it away. What the dialer does past
that hour is tested where it can be given a clock (unit/dialer_parts.c).
"""

import shutil
import subprocess

from world import judge, lib
from world.space import skip

from . import Checks, equip, lines, processes

AT, PORT = "203.0.113.10", 7
CLIENT = f"""
import socket, sys
socket.getaddrinfo("allowed.test", {PORT}, socket.AF_INET)
def talk(s, word):
    s.settimeout(60)
    s.sendall(word)
    return s.recv(64) == word
old = socket.create_connection(("{AT}", {PORT}), 60)
print("talks", talk(old, b"one\\n"), flush=True)
sys.stdin.readline()
print("lives", talk(old, b"two\\n"), flush=True)
try:
    print("new", talk(socket.create_connection(("{AT}", {PORT}), 60),
                      b"three\\n"), flush=True)
except OSError as e:
    print("new", type(e).__name__, flush=True)
"""


def forget_pins(pid):
    """Empty the kernel's sets of pins, in the namespace of a process."""
    return [subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "nft", "flush", "set", "inet",
         "exeat", name], capture_output=True, text=True)
        for name in ("pin4", "pin6")]


def once(world, checks, forget):
    what = "without its pin" if forget else "control: with its pin"
    child, audit = world.start_exeat(
        ["-w", equip(world, "work"), "--allow", f"allowed.test:{PORT}"],
        ["/usr/bin/python3", "-u", "-c", CLIENT, "stale"],
        stdin=subprocess.PIPE)
    said = lines(child)
    checks.check(f"{what}: a flow is made", next(said, "") == "talks True")
    if forget:
        inside = [pid for pid, line in processes("python3").items()
                  if line.endswith(" stale") and "exeat" not in line]
        done = forget_pins(max(inside, default=0))
        checks.check(f"{what}: the kernel forgets",
                     all(d.returncode == 0 for d in done), done)
    mark = world.mark()
    child.stdin.write(b"go\n")
    child.stdin.close()
    checks.check(f"{what}: the flow lives", next(said, "") == "lives True")
    new = next(said, "")
    checks.check(f"{what}: a new one", new == (
        "new ConnectionRefusedError" if forget else "new True"), new)
    child.wait(60)
    begun = [p for p in world.seen(mark) if p.get("flags") == "S" and
             judge.packet_matches(p, f"tcp {AT} {PORT}")]
    checks.check(f"{what}: what left", bool(begun) != forget, begun)
    refused = [r for r in lib.read_audit(audit) if judge.matches(r, {
        "verdict": "deny", "layer": "kernel", "address": AT, "port": PORT})]
    checks.check(f"{what}: what the audit says", bool(refused) == forget,
                 refused)


def story(world):
    for program in ("nft", "nsenter"):
        if not shutil.which(program, path=lib.SYSTEM_PATH):
            skip(f"{program} is not installed")
    checks = Checks()
    once(world, checks, False)
    once(world, checks, True)
    return checks.status()
