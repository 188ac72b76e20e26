"""pip installs from an index of two hosts; the next run uses the package.

SPDX-License-Identifier: Apache-2.0
"""

from world import judge

from . import Checks, equip

PIP = ["pip", "install", "--no-input", "--disable-pip-version-check",
       "--no-cache-dir", "--retries", "0", "exeatdemo"]
INDEX = ["-e", "PIP_INDEX_URL=https://index.test/simple/"]
TWO = ["--allow", "index.test", "--allow", "files.index.test"]
USE = ["python", "-c", "import exeatdemo; print(exeatdemo.ANSWER)"]
INDEX_HOSTS = ["tcp 203.0.113.43 443", "tcp 2001:db8:113::43 443"]
FILE_HOSTS = ["tcp 203.0.113.44 443", "tcp 2001:db8:113::44 443"]


def story(world):
    checks = Checks()
    work = equip(world, "work")

    def step(what, options, command, code, part="", sees=(), may=()):
        mark = world.mark()
        result = world.exeat(["-w", work, *options], command)
        wrong = judge.judge_packets(world.seen(mark), list(sees), list(may))
        checks.check(what, result.code == code and part in
                     result.out + result.err and not wrong, *wrong, result)
    step("not there yet", [], USE, 1, "No module named")
    step("blocked: no installation", INDEX, PIP, 1)
    step("one name of the two: no installation",
         [*INDEX, "--allow", "index.test"], PIP, 1,
         sees=["dns index.test"], may=INDEX_HOSTS)
    step("both names: installed", [*INDEX, *TWO], PIP, 0,
         "Successfully installed",
         sees=["dns index.test", "dns files.index.test"],
         may=INDEX_HOSTS + FILE_HOSTS)
    step("blocked: the package is used", [], USE, 0, "42 from the test index")
    step("the index by its preset's variable", ["--allow", "@pypi"],
         ["python", "-c", "print(1)"], 0)
    return checks.status()
