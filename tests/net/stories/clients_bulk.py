"""More than 2 GB up and more than 4 GiB down, in one body each.

SPDX-License-Identifier: Apache-2.0

No number of the parsers, the relay and the audit may be one of 32 bits. None
of it touches a disk.
"""

import os
import subprocess

from world import judge, proxy

from . import Checks, equip

HOST, AT = "bulk.test", "203.0.113.61"
DOWN = (4 << 30) + (1 << 20) + 1
UP = (2 << 30) + (1 << 20) + 1
HEAD = len(f"HTTP/1.1 200 Yes\r\nContent-Length: {DOWN}\r\n\r\n")
MAY = [f"dns {HOST}", f"tcp {AT} 80"]
SCRIPT = os.path.join(os.path.dirname(proxy.__file__), "counted.py")


def serve(world):
    child = proxy.far(world, ["/usr/bin/python3", "-BP", SCRIPT, "serve", AT,
                              "80"], stdout=subprocess.PIPE)
    if child.stdout.readline() != b"ready\n":
        raise OSError("the server did not start")
    return child


def counted(audit, key):
    """Of the one connection there was."""
    return [r[key] for r in audit if r.get("layer") == "http"]


def story(world):
    if world.kind == "oneid":
        print("# not again: `user` moved the same bytes", flush=True)
        return 0
    checks = Checks()
    work = equip(world, "work")
    world.put(work, SCRIPT)
    server = serve(world)

    def moved(what, command, size):
        mark = world.mark()
        r = world.exeat(["-w", work, "--allow", HOST],
                        ["/usr/bin/python3", "counted.py", *command],
                        timeout=500)
        wrong = judge.judge_packets(world.seen(mark), MAY[:1], MAY)
        checks.check(f"{what}: {size} bytes", r.code == 0 and not wrong and
                     f"{size} as sent" in r.out, *wrong, r)
        return r
    r = moved("down", ["get", HOST, str(DOWN)], DOWN)
    checks.check("down: the audit has each of them",
                 counted(r.audit, "bytes_in") == [DOWN + HEAD], r)
    r = moved("up", ["put", HOST, str(UP)], UP)
    checks.check("up: the audit has them",
                 all(UP < n < UP + 1000 for n in
                     counted(r.audit, "bytes_out") or [0]), r)
    server.terminate()
    server.wait()
    return checks.status()
