#!/usr/bin/python3
"""Attack rows: each tries one thing from inside, three witnesses judge.

SPDX-License-Identifier: Apache-2.0

    attack.py GROUP...      groups: the files of rows/
    attack.py -r ROW GROUP  one row only
    attack.py --must-fail   every refusal must fail: for a product that
                            confines nothing

A row passes only if the program inside, the sniffer outside and the audit
agree, and if its control (the same thing where it is allowed, or outside of
any sandbox) gets through: no row holds because nothing works.
"""

import argparse
import importlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from world import judge, lib  # noqa: E402

PROBE = os.path.join(os.path.dirname(HERE), "world", "probe.py")
# A refusal is prompt: more than this (ms) is a time-out in disguise. The
# promise is 10; the rest is the load of the machine that tests.
PROMPT_MS = 900


class Trial:
    """One start of the probe and what the witnesses said."""

    def __init__(self, world, spec, options, work):
        self.world, self.spec = world, spec
        argv = ["/usr/bin/python3", "-B", os.path.join(work, "probe.py"),
                *_join(spec["try"], work)]
        mark = world.mark()
        how = {"env": spec.get("env")}
        if "stdin" in spec:
            how["stdin"] = given = _given(world, spec["stdin"])
        if spec.get("outside"):
            self.result = world.run(argv, cwd=work, **how)
        else:
            self.result = world.exeat(["-w", work, *options], argv, **how)
        if "stdin" in spec:
            given.seek(0)
            self.stdin = given.read()
            given.close()
        self.packets = world.seen(mark)
        self.logs = {name: world.log(name, mark) for name in lib.LOGS}
        self.said = _lines(self.result.out)

    def complaints(self):
        spec = self.spec
        tries = spec["try"]
        wanted = spec["says"]
        if not isinstance(wanted, list):
            wanted = [wanted] * len(tries)
        out = []
        if self.result.code != 0 or len(self.said) != len(tries):
            return [f"program: it did not run\n{self.result}"]
        for argv, got, want in zip(tries, self.said, wanted, strict=True):
            limit = spec.get("prompt_ms", PROMPT_MS)
            if not judge.matches(got, want) or got["ms"] > limit:
                out.append(f"program: {' '.join(argv)} -> {got}, wanted "
                           f"{judge.show(want)} within {limit} ms")
        if spec.get("outside"):
            return out
        if "stdin" in spec and self.stdin != spec["stdin"]:
            out.append(f"host: its file is now {self.stdin!r}")
        out += judge.judge_packets(self.packets, spec.get("sees", []),
                                   spec.get("may", []))
        out += judge.judge_audit(self.result.audit, spec.get("audit", []))
        if not spec.get("sees") and not spec.get("may"):
            out += [f"audit: allowed {r}" for r in self.result.audit
                    if r.get("verdict") == "allow"
                    and not spec.get("allows")]
        if self.logs["host"]:
            out.append(f"host: its services saw {self.logs['host']}")
        for name, check in spec.get("logs", {}).items():
            if not check(self.logs[name]):
                out.append(f"{name}: not {check.__doc__ or check.__name__}: "
                           f"{self.logs[name]}")
        return out


def _given(world, content):
    """A file of the host's that the payload's user may write, to read."""
    path = os.path.join(world.folder("given"), "file")
    with open(path, "w", encoding="ascii") as f:
        f.write(content)
    os.chmod(path, 0o666)
    return open(path, encoding="ascii")


def _join(tries, work):
    out = []
    for argv in tries:
        out += (["--"] if out else []) + [a.replace("{work}", work)
                                          for a in argv]
    return out


def _lines(text):
    try:
        return [json.loads(x) for x in text.splitlines()]
    except ValueError:
        return []


def postures(row):
    """A row's options: one list, or several that must all hold."""
    options = row.get("options", [])
    if options and isinstance(options[0], (list, tuple)):
        return options
    return [options]


def run_row(world, row):
    """Complaints of one row; empty if it held."""
    out = []
    if world.kind not in row.get("kinds", lib.KINDS):
        return None
    work = world.folder("work-" + row.get("work", row["id"]))
    world.put(work, PROBE)
    keep = row["before"](world, work) if "before" in row else None
    for options in postures(row):
        trial = Trial(world, row, options, work)
        wrong = trial.complaints()
        if wrong:
            out += [f"[{' '.join(options)}] {w}" for w in wrong]
            out.append(str(trial.result))
    out += run_control(world, row, work)
    del keep
    return out


def run_control(world, row, work):
    out = []
    control = row.get("control")
    if control:
        trial = Trial(world, control,
                      control.get("options", postures(row)[0]), work)
        wrong = trial.complaints()
        out += [f"control: {w}" for w in wrong]
        if wrong:
            out.append(str(trial.result))
    return out


def must_fail(world, rows):
    """Refusals that hold where nothing is refused are no tests."""
    vacuous = [r["id"] for r in rows
               if not r.get("passes") and not run_row(world, r)]
    print(f"{world.kind}: of {len(rows)} rows, vacuous: {vacuous}",
          flush=True)
    return 1 if vacuous or not rows else 0


def run_rows(world, rows):
    tried = held = 0
    for row in rows:
        wrong = run_row(world, row)
        if wrong is None:
            continue
        tried += 1
        held += not wrong
        print(f"{'ok' if not wrong else 'NOT OK'} {row['id']} {row['title']}",
              flush=True)
        for line in wrong:
            print("    " + line.replace("\n", "\n    "), flush=True)
    print(f"{world.kind}: tried {tried}, held {held}", flush=True)
    return 0 if held == tried and tried else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-r", "--row", action="append")
    parser.add_argument("--must-fail", action="store_true")
    parser.add_argument("groups", nargs="+")
    args = parser.parse_args()
    rows = []
    for group in args.groups:
        rows += importlib.import_module("rows." + group).ROWS
    for row in rows:
        if "control" not in row and not row.get("passes"):
            raise SystemExit(f"{row['id']}: a refusal needs a control")
    if args.row:
        rows = [r for r in rows if r["id"] in args.row]
    lib.product()
    judge_rows = must_fail if args.must_fail else run_rows
    lib.main(lambda world: judge_rows(world, rows))


main()
