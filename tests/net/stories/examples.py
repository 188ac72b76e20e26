"""The example programs, against the test internet.

SPDX-License-Identifier: Apache-2.0

EXEAT_EXAMPLES names the folder they were built in.
"""

import os
import re

from world import judge
from world.space import skip

from . import Checks

INSTALL = ("PIP_RETRIES=0 PIP_INDEX_URL=https://index.test/simple/ "
           "pip install -q --no-input --disable-pip-version-check "
           "--no-cache-dir exeatdemo")
# Its first try spoils what it has: the second begins with all of it again.
COMPUTE = """import exeatdemo, os
data = open("data.txt").read()
os.remove("data.txt")
print("begun")
assert os.environ["TRY"] == "2"
with open("result.txt", "w") as file:
    print(sum(map(int, data.split())), exeatdemo.ANSWER, file=file)
"""
HOSTS = ["tcp 203.0.113.43", "tcp 203.0.113.44", "tcp 2001:db8:113::43",
         "tcp 2001:db8:113::44"]

# What each prints, whole; no network.
HELLO = r"hello from \S+ in /\S+\n"
STREAM = """> compiling
> warning: unused
> linking
exit status 3
line 1
line 2
line 3
enough: killed
8388608 bytes there, 8388608 back, 8388608 of them right
"""
INTERACTIVE = r"""stty -echo
42 on /dev/pts/\d+
50 132
\s*interrupted: 130
exit status 7
"""
PARALLEL = """3 of 5 have ended
try 1: exit status 0, 1
try 2: given up
try 3: exit status 0, 9
try 4: given up
try 5: exit status 0, 25
"""
EVENTLOOP = """job 1: prepared
computed 111
job 2: prepared
computed 222
job 3: prepared
computed 333
the clock went on: yes
"""
# Where there is no cgroup each that wants one says so, and ends otherwise.
LIMITS = r"""(memory: returncode -9, oom, by cgroup
|memory: best effort \(.+\)
memory: returncode 1, by rlimit
)(processes: returncode 2, by cgroup
|processes: best effort \(.+\)
processes: returncode 2, by rlimit
)(processors: returncode 124, by cgroup, \d+ ms of .*
|processors: best effort \(.+\)
processors: returncode 124, by affinity, \d+ ms of .*
)time: returncode -15, timeout
silence: returncode -15, idle_timeout
output: returncode -15, output_limit, cut
file size: returncode -25, signal:SIGXFSZ
"""
OFFLINE = {"hello": HELLO, "stream": re.escape(STREAM),
           "interactive": INTERACTIVE, "parallel": re.escape(PARALLEL),
           "eventloop": re.escape(EVENTLOOP), "limits": LIMITS}


class Examples(Checks):
    def __init__(self, world, folder):
        super().__init__()
        self.world, self.folder = world, folder
        self.snapshots = os.path.join(world.tmp, "snapshots")

    def run(self, what, argv, code, whole=None, parts=(), sees=(), may=()):
        mark = self.world.mark()
        result = self.world.run([os.path.join(self.folder, argv[0]),
                                 *argv[1:]],
                                env={"EXEAT_SNAPSHOTS": self.snapshots})
        wrong = judge.judge_packets(self.world.seen(mark), list(sees),
                                    list(may))
        if result.code != code:
            wrong.append(f"exit status {result.code}")
        text = result.out.replace("\r\n", "\n")
        if whole and not re.fullmatch(whole, text):
            wrong.append(f"{text!r} is not {whole}")
        wrong += [f"{p!r} is not in it" for p in parts
                  if p not in result.out + result.err]
        self.check(what, not wrong, *wrong, result)


def agent(examples):
    examples.run("agent: takes what it was granted, branches, computes",
                 ["agent", INSTALL, COMPUTE, "index.test",
                  "files.index.test"], 0, parts=[
                     "install (blocked): 1", "next time with index.test\n",
                     "install (allowlist): 1",
                     "next time with files.index.test\n",
                     "install (allowlist): 0", "TRY=1: 1\nbegun\n",
                     "TRY=2: 0\nbegun\n",
                     "result: 6 42 from the test index\n"],
                 sees=["dns index.test", "dns files.index.test"], may=HOSTS)
    examples.run("agent: what it was not granted is refused to it",
                 ["agent", INSTALL, COMPUTE, "index.test"], 125,
                 parts=["next time with files.index.test\n",
                        "files.index.test: not within the session's bound"],
                 sees=["dns index.test"], may=HOSTS)
    left = os.listdir(examples.snapshots)
    examples.check("agent: no snapshot is left", not left, left)


def story(world):
    folder = os.environ.get("EXEAT_EXAMPLES", "")
    if not os.access(os.path.join(folder, "agent"), os.X_OK):
        skip("the examples are not built")
    examples = Examples(world, folder)
    for name, whole in OFFLINE.items():
        examples.run(name, [name], 0, whole)
    agent(examples)
    examples.run("postures: both at once",
                 ["postures", "allowed.test",
                  "curl -sS -o /dev/null https://allowed.test/"], 0,
                 parts=["blocked: 6, ", "allowlist: 0, 0 refused"],
                 sees=["dns allowed.test"],
                 may=["tcp 203.0.113.10 443", "tcp 2001:db8:113::10 443"])
    return examples.status()
