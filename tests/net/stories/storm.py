"""Random connections, resets, half-closes and floods: the gate lives on.

SPDX-License-Identifier: Apache-2.0

EXEAT_STORM_SEED repeats a storm, EXEAT_STORM_SECONDS makes it longer.
"""

import os
import random

from world import lib

from . import Checks

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = ["--allow", "allowed.test:1-65535", "--allow", "*.wild.test",
         "--allow", "203.0.113.50", "--allow", "slow.test", "--allow",
         "drop.test", "--allow", "deep.test", "--allow", "loop1.test",
         "--allow", "big.test", "--allow", "tc.test"]
# As many descriptors as one wants; and so few that the gate runs out of them.
LIMITS = (4096, 192)


def story(world):
    checks = Checks()
    seed = os.environ.get("EXEAT_STORM_SEED") or str(random.getrandbits(30))
    seconds = os.environ.get("EXEAT_STORM_SECONDS", "2")
    work = world.folder("work")
    world.put(work, os.path.join(os.path.dirname(HERE), "storm.py"))
    for limit in LIMITS:
        audit = world.new_audit()
        result = world.run(
            ["prlimit", f"--nofile={limit}:{limit}", lib.product(), "run",
             *RULES, "-w", work, "--audit", audit, "--",
             "/usr/bin/python3", "storm.py", seed, seconds], audit=audit)
        print(f"# seed {seed}, {limit} descriptors: {result.out.strip()}")
        checks.check(f"alive after a storm, {limit} descriptors",
                     result.code == 0 and "alive" in result.out, result)
        reasons = {r.get("reason") for r in result.audit}
        checks.check(f"both verdicts were seen, {limit} descriptors",
                     {"rule", "default"} <= reasons or len(reasons) > 2,
                     reasons)
    return checks.status()
