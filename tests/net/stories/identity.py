"""Who the payload is, and whose files it leaves behind.

SPDX-License-Identifier: Apache-2.0
"""

import os

from world import lib

from . import Checks

WHO = ["sh", "-c", "id -u; id -un; touch mark; id -G"]


def story(world):
    checks = Checks()

    def who(what, options, work, uid, name=None):
        result = world.exeat([*options, "-w", work], WHO)
        said = result.out.split("\n")
        good = result.code == 0 and said[0] == str(uid) and \
            (name is None or said[1] == name)
        checks.check(f"{what}: uid {uid} inside", good, result)
        mark = os.path.join(work, "mark")
        checks.check(f"{what}: files belong to the work dir's owner",
                     os.path.exists(mark) and
                     os.stat(mark).st_uid == os.stat(work).st_uid,
                     os.stat(work).st_uid)
        return said
    work = world.folder("mine")
    if world.kind == "root":
        who("root, a work dir of another's", [], work, lib.OWNER_UID)
        refused_or_mapped(world, checks)
        result = world.exeat([], ["id", "-u"])
        checks.check("root, a fresh work dir: 65534", result.out == "65534\n",
                     result)
        result = world.exeat(["--user", "4242:4243"],
                             ["sh", "-c", "id -u; id -g"])
        checks.check("root, --user", result.out == "4242\n4243\n", result)
    elif world.kind == "user":
        who("an ordinary user", [], work, lib.CALLER_UID)
    else:
        who("root of one id", [], work, 1000, "exeat")
    result = world.exeat([], ["sh", "-c", "cat /etc/shadow; ls /root /home"])
    checks.check("no secrets, no homes", result.code != 0 and not result.out,
                 result)
    result = world.exeat(["-w", work], ["sh", "-c",
                                        "echo x > /etc/hosts || "
                                        "echo x > /usr/x"])
    checks.check("the system is read-only", result.code != 0, result)
    return checks.status()


def refused_or_mapped(world, checks):
    """A work dir of root's: shown id-mapped, or open fails with the remedy."""
    work = os.path.join(world.tmp, "roots")
    os.mkdir(work, 0o755)
    result = world.exeat(["-w", work], ["sh", "-c", "id -u; touch mark"])
    mark = os.path.join(work, "mark")
    if result.code == 125:
        checks.check("root's own work dir: the refusal names the remedy",
                     "chown" in result.err and "--user" in result.err, result)
        return
    checks.check("root's own work dir: never uid 0",
                 result.out.startswith("65534"), result)
    checks.check("root's own work dir: files are root's outside",
                 os.path.exists(mark) and os.stat(mark).st_uid == 0, result)
