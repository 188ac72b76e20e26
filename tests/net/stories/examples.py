"""The example programs, against the test internet.

SPDX-License-Identifier: Apache-2.0

EXEAT_EXAMPLES names the folder they were built in.
"""

import os

from world import judge
from world.space import skip

from . import Checks

INSTALL = ("PIP_INDEX_URL=https://index.test/simple/ pip install -q "
           "--no-input --disable-pip-version-check --no-cache-dir exeatdemo")
COMPUTE = ("python -c 'import exeatdemo; "
           "print(sum(map(int, open(\"data.txt\"))), exeatdemo.ANSWER)'")
HOSTS = ["tcp 203.0.113.43", "tcp 203.0.113.44", "tcp 2001:db8:113::43",
         "tcp 2001:db8:113::44"]


def story(world):
    folder = os.environ.get("EXEAT_EXAMPLES", "")
    if not os.access(os.path.join(folder, "agent"), os.X_OK):
        skip("the examples are not built")
    checks = Checks()

    def example(what, argv, code, parts, sees=(), may=()):
        mark = world.mark()
        result = world.run([os.path.join(folder, argv[0]), *argv[1:]])
        wrong = judge.judge_packets(world.seen(mark), list(sees), list(may))
        wrong += [f"{p!r} is not in it" for p in parts
                  if p not in result.out + result.err]
        checks.check(what, result.code == code and not wrong, *wrong, result)
    example("hello", ["hello"], 0, ["hello from"])
    example("agent: write, install, compute",
            ["agent", "index.test", "files.index.test", "--", INSTALL, "--",
             COMPUTE], 0,
            ["install (allowlist): 0", "compute (blocked): 0",
             "55 42 from the test index"],
            ["dns index.test", "dns files.index.test"], HOSTS)
    example("agent: a name too few, and the rule that would allow",
            ["agent", "index.test", "--", INSTALL, "--", COMPUTE], 1,
            ["files.index.test", "rule: files.index.test"],
            ["dns index.test"], HOSTS)
    example("postures: both at once",
            ["postures", "allowed.test",
             "curl -sS -o /dev/null https://allowed.test/"], 0,
            ["blocked: 6, ", "allowlist: 0, 0 refused"],
            ["dns allowed.test"],
            ["tcp 203.0.113.10 443", "tcp 2001:db8:113::10 443"])
    return checks.status()
