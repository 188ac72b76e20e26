"""The command `exeat selftest`: verdicts, exit status, what it lacks.

Usage: command.py EXEAT

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import subprocess
import sys
import tempfile

EXEAT = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, TESTS)

from world import space  # noqa: E402

NOTHING = os.path.join(TESTS, "world", "nothing.py")
SUITE = os.path.join(TESTS, "attack", "selftest.py")
failures = []


def check(what, good, *details):
    print("ok" if good else "FAIL", what, *(details if not good else ()),
          flush=True)
    if not good:
        failures.append(what)


def run(*argv, **env):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300,
                          env={**os.environ, **env}, check=False)
    return done.returncode, done.stdout, done.stderr


def expect(what, status, parts, argv, **env):
    """Exit status, and what stands in the output."""
    code, out, err = run(*argv, **env)
    check(what, code == status and all(p in out + err for p in parts),
          code, out, err)
    return out


def table(text):
    """It fits a terminal, and is ASCII."""
    return text.isascii() and all(
        len(line) <= 80 and line.isprintable() for line in text.splitlines())


def usage():
    for words in (["--colour"], ["Z99"], ["--", "\033[2J"], ["A0"], ["L1"]):
        expect(f"wrong usage: {words}", 2, [], [EXEAT, "selftest", *words])
    _, _, err = run(EXEAT, "selftest", "A1", "x\033[2J")
    check("a bad row is shown escaped", "\033" not in err and "x1b" in err,
          err)
    out = expect("--list", 0, ["A1 ", "here", "E12 ", "failclosed.py",
                               "H10 ", "not at all:"],
                 [EXEAT, "selftest", "--list"])
    check("--list is a table", table(out), out)
    expect("--help", 0, ["--json FILE", "--list", "--quiet"],
           [EXEAT, "selftest", "--help"])


def held(folder):
    file = os.path.join(folder, "out.json")
    out = expect("rows by number", 0, ["held", "A1 ", "A20c"],
                 [EXEAT, "selftest", "--json", file, "a1", "A20", "G18"])
    check("the table is one", table(out), out)
    check("no others", "C1 " not in out, out)
    with open(file, encoding="ascii") as f:
        got = json.load(f)
    check("the JSON says the same", got["status"] == 0 and got["held"] == 5 and
          [r["id"] for r in got["results"]] ==
          ["A1", "A20", "A20b", "A20c", "G18"], got)
    out = expect("-q shows the summary alone", 0, ["1 rows, ", "1 held"],
                 [EXEAT, "selftest", "-q", "A1"])
    check("one line", len(out.splitlines()) == 1, out)
    out = expect("--json - is JSON alone", 0, [],
                 [EXEAT, "selftest", "--json", "-", "A1"])
    check("it is", json.loads(out)["held"] == 1, out)
    expect("a file that cannot be written", 3, ["/no/such/file"],
           [EXEAT, "selftest", "--json", "/no/such/file", "A1"])
    expect("the environment changes nothing", 0, ["1 held"],
           [EXEAT, "selftest", "A1"], PYTHONPATH="/no/such", PYTHONHOME="/",
           PYTHONSTARTUP="/no", EXEAT="/no/such", PATH="/no/such")


def not_held():
    suite = [sys.executable, "-I", "-B", SUITE]
    out = expect("a product that confines nothing", 1,
                 ["GOT THROUGH", "left the host", "0 held"],
                 [*suite, "A1", "B1", "C1"], EXEAT=NOTHING)
    check("the table of what failed is one", table(out), out)
    expect("no product", 3, ["cannot tell"], [*suite, "A1"], EXEAT="/bin/false")
    expect("no helper", 3, ["cannot tell", "->", "exeat-helper"],
           [EXEAT, "selftest", "A1"], EXEAT_HELPER="/no/such/helper")


def main():
    for kind in space.kinds()[:1]:
        why = space.usable(kind)
        if why:
            space.skip(why)
    usage()
    with tempfile.TemporaryDirectory() as folder:
        held(folder)
    not_held()
    print(f"{len(failures)} failed")
    return 1 if failures else 0


sys.exit(main())
