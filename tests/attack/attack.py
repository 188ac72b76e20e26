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
import collections
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import rows  # noqa: E402
from world import judge, lib  # noqa: E402

PROBE = os.path.join(os.path.dirname(HERE), "world", "probe.py")
# A refusal is prompt: more than this (ms) is a time-out in disguise. The
# promise is 10; the rest is for programs that have to start. What the machine
# itself took comes on top.
PROMPT_MS = 900
LATE_S = 1.0            # of what is granted
NOT_BEGUN = 125

# kind: "leak" (something left that must not), "wrong", "slow", "broken" (it
# did not begin), "control" (what must get through did not), "detail" (for the
# report)
Complaint = collections.namedtuple("Complaint", "kind text")


class Trial:
    """One start of the probe and what the witnesses said."""

    def __init__(self, world, spec, options, work):
        self.world, self.spec = world, spec
        argv = ["/usr/bin/python3", "-B", os.path.join(work, "probe.py"),
                *_join(spec["try"], world, work)]
        mark = world.mark()
        how = {"env": spec.get("env")}
        if "stdin" in spec:
            how["stdin"] = given = _given(world, spec["stdin"])
        if "under" in spec:
            how["under"] = spec["under"](world)
        if spec.get("outside"):
            self.result = world.run(argv, cwd=work, **how)
        else:
            options = [_filled(o, world, work) for o in options]
            self.result = world.exeat(["-w", work, *options], argv, **how)
        if "stdin" in spec:
            given.seek(0)
            self.stdin = given.read()
            given.close()
        self.packets = world.seen(mark)
        self.logs = {name: world.log(name, mark) for name in lib.LOGS}
        self.said = _lines(self.result.out)

    def complaints(self):
        """What this trial did not do as its row says."""
        spec = self.spec
        if spec.get("refuses"):
            wrong = self._refused()
        else:
            wrong = self._said()
        out = [Complaint(self._kind(text), "program: " + text)
               for text in wrong]
        if "stderr" in spec and not spec["stderr"](self.result.err):
            out.append(Complaint("leak", "stderr: not " + judge.show(
                spec["stderr"]) + f": {self.result.err!r}"))
        if not spec.get("outside"):
            out += self._witnesses()
        return out

    def _kind(self, text):
        if " took " in text:
            return "slow"
        if self.result.code == NOT_BEGUN and not self.said:
            return "broken"
        return "wrong"

    def _said(self):
        """The program inside."""
        tries, wanted = self.spec["try"], self.spec["says"]
        if not isinstance(wanted, list):
            wanted = [wanted] * len(tries)
        code = self.spec.get("code", 0)
        if self.result.code != code or len(self.said) != len(tries):
            return [f"exit status {self.result.code}, wanted {code}; "
                    f"{len(self.said)} of {len(tries)} probes spoke; stderr: "
                    f"{self.result.err[-500:]}"]
        limit = self.spec.get("prompt_ms", PROMPT_MS) + \
            round(self.result.late * 1000)
        out = []
        for argv, got, want in zip(tries, self.said, wanted, strict=True):
            what = " ".join(argv)
            if not judge.matches(got, want):
                out.append(f"{what} -> {got}, wanted {judge.show(want)}")
            elif got["ms"] > limit:
                out.append(f"{what} took {got['ms']} ms, wanted {limit}")
        return out

    def _refused(self):
        """The product, which must not even begin."""
        out = []
        if self.result.code != NOT_BEGUN or self.said:
            out.append(f"exit status {self.result.code}, wanted {NOT_BEGUN}; "
                       f"it said {self.said}")
        out += [f"stderr has no {part!r}: {self.result.err!r}"
                for part in self.spec["refuses"]
                if part not in self.result.err]
        return out

    def _witnesses(self):
        """The host, the sniffer, the audit."""
        spec, out = self.spec, []
        leaks = []
        if "stdin" in spec and self.stdin != spec["stdin"]:
            leaks.append(f"host: its file is now {self.stdin!r}")
        if spec.get("counts"):
            out += self.miscounted()
        if self.logs["host"]:
            leaks.append(f"host: its services saw {self.logs['host']}")
        may = spec.get("may", [])
        if self.result.late > LATE_S:
            may = [*may, *spec.get("late", [])]
        for text in judge.judge_packets(self.packets, spec.get("sees", []),
                                        may):
            (leaks if text.endswith("left the host") else out).append(text)
        out += judge.judge_audit(self.result.audit, spec.get("audit", []))
        if not spec.get("sees") and not spec.get("may"):
            out += [f"audit: allowed {r}" for r in self.result.audit
                    if r.get("verdict") == "allow"
                    and not spec.get("allows")]
        for name, check in spec.get("logs", {}).items():
            if not check(self.logs[name]):
                leaks.append(f"{name}: not {check.__doc__ or check.__name__}"
                             f": {self.logs[name]}")
        return [Complaint("leak", text) for text in leaks] + \
            [Complaint("wrong", text) for text in out]


    def miscounted(self):
        """Where audit and sniffer disagree on the bytes that left."""
        told, left = {}, {}
        for r in self.result.audit:
            if r.get("bytes_out"):
                key = (r["protocol"], r["address"], r["port"])
                told[key] = told.get(key, 0) + r["bytes_out"]
        for p in self.packets:
            if p.get("bytes") and p["dport"] != 53:
                key = (p["proto"], p["dst"], p["dport"])
                left[key] = left.get(key, 0) + p["bytes"]
        return [] if told == left else [f"audit: {told}, sniffer: {left}"]


def _given(world, content):
    """A file of the host's that the payload's user may write, to read."""
    path = os.path.join(world.folder("given"), "file")
    with open(path, "w", encoding="ascii") as f:
        f.write(content)
    os.chmod(path, 0o666)
    return open(path, encoding="ascii")


def _filled(arg, world, work):
    return arg.replace("{work}", work).replace("{tmp}", world.tmp)


def _join(tries, world, work):
    out = []
    for argv in tries:
        out += (["--"] if out else []) + [_filled(a, world, work)
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


def untried(world, row):
    """Why a row cannot be tried here, or None."""
    kinds = row.get("kinds", lib.KINDS)
    if world.kind not in kinds:
        return f"makes sense for these callers only: {' '.join(kinds)}"
    for program in row.get("needs", []):
        path = os.environ.get(program[1:], "") if program[0] == "$" \
            else program
        if not shutil.which(path, path=lib.SYSTEM_PATH):
            return f"{program} is not installed"
    return None


def run_row(world, row):
    """Complaints of one row; empty if it held."""
    out = []
    work = world.folder("work-" + row.get("work", row["id"]))
    world.put(work, PROBE)
    keep = row["before"](world, work) if "before" in row else None
    for options in postures(row):
        trial = Trial(world, row, options, work)
        wrong = trial.complaints()
        if wrong:
            out += [Complaint(w.kind, f"[{' '.join(options)}] {w.text}")
                    for w in wrong]
            out.append(Complaint("detail", str(trial.result)))
    if "after" in row:
        out += [Complaint("leak", "host: " + text)
                for text in row["after"](world, work)]
    out += run_control(world, row, work)
    if hasattr(keep, "close"):
        keep.close()
    return out


def run_control(world, row, work):
    control = row.get("control")
    if not control:
        return []
    trial = Trial(world, control, control.get("options", postures(row)[0]),
                  work)
    wrong = trial.complaints()
    out = [Complaint("slow" if w.kind == "slow" else "control",
                     "control: " + w.text) for w in wrong]
    if wrong:
        out.append(Complaint("detail", str(trial.result)))
    return out


def must_fail(world, todo):
    """Refusals that hold where nothing is refused are no tests."""
    vacuous = [r["id"] for r in todo
               if not r.get("passes") and not untried(world, r)
               and not run_row(world, r)]
    print(f"{world.kind}: of {len(todo)} rows, vacuous: {vacuous}",
          flush=True)
    return 1 if vacuous or not todo else 0


def run_rows(world, todo):
    tried = held = 0
    for row in todo:
        why = untried(world, row)
        if why:
            print(f"skip {row['id']} {why}", flush=True)
            continue
        wrong = run_row(world, row)
        tried += 1
        held += not wrong
        print(f"{'ok' if not wrong else 'NOT OK'} {row['id']} {row['title']}",
              flush=True)
        for line in wrong:
            print("    " + line.text.replace("\n", "\n    "), flush=True)
    print(f"{world.kind}: tried {tried}, held {held}", flush=True)
    return 0 if held == tried and tried else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-r", "--row", action="append")
    parser.add_argument("--must-fail", action="store_true")
    parser.add_argument("groups", nargs="+")
    args = parser.parse_args()
    todo = [row for group in args.groups for row in rows.load(group)]
    if args.row:
        todo = [r for r in todo if r["id"] in args.row]
    lib.product()
    judge_rows = must_fail if args.must_fail else run_rows
    lib.main(lambda world: judge_rows(world, todo))


if __name__ == "__main__":
    main()
