#!/usr/bin/python3
"""Run one command on the host side of a world: to look around by hand.

SPDX-License-Identifier: Apache-2.0

    EXEAT_CALLERS=user tests/world/world.py curl https://allowed.test/
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

from world import lib  # noqa: E402


def body(world):
    argv = sys.argv[1:] or ["/bin/sh"]
    code = subprocess.run(world.as_caller() + argv, cwd=world.home,
                          env=world.environment()).returncode
    if os.environ.get("EXEAT_WORLD_LOGS"):
        world.barrier()
        for name, log in world.logs.items():
            for record in log.read():
                print(name, record, file=sys.stderr)
    return code


lib.main(body, ipv6=os.environ.get("EXEAT_WORLD_IPV6") != "0")
