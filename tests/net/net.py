#!/usr/bin/python3
"""Scenarios: tables of cases, and a few stories that need more than one step.

SPDX-License-Identifier: Apache-2.0

    net.py NAME [PART]    NAME: a file of cases/ or stories/; PART: of a
                          case's name, to run only those
"""

import importlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from world import judge, lib  # noqa: E402

WORLD = os.path.join(os.path.dirname(HERE), "world")
POLICY = """{"version": 1, "network_mode": "allowlist",
"network_allowlist": ["allowed.test", {"rule": "other.test",
"comment": "by file"}], "network_denylist": []}
"""


def fill(argv, places):
    out = []
    for arg in argv:
        for key, value in places.items():
            arg = arg.replace("{" + key + "}", value)
        out.append(arg)
    return out


def places(world, work):
    """What the words in braces stand for."""
    found = {"work": work, "probe": os.path.join(work, "probe.py"),
             "raw": os.path.join(work, "rawconnect"),
             "rules": os.path.join(world.tmp, "rules"),
             "policy": os.path.join(world.tmp, "policy.json")}
    with open(found["rules"], "w", encoding="ascii") as f:
        f.write("# a comment\n  allowed.test  # behind a rule\n\n")
    with open(found["policy"], "w", encoding="ascii") as f:
        f.write(POLICY)
    return found


def equip(world, name):
    """A work dir with the programs that cases run."""
    work = world.folder(name)
    world.put(work, os.path.join(WORLD, "probe.py"))
    raw = os.environ.get("EXEAT_RAWCONNECT")
    if raw:
        world.put(work, raw, "rawconnect")
    return work


def judge_text(what, got, wanted):
    if callable(wanted):
        if judge.matches(got, wanted):
            return []
        return [f"{what}: not {wanted.__doc__}"]
    return [f"{what}: {part!r} is not in it" for part in wanted
            if part not in got]


def run_case(world, case):
    """Complaints of one case; the result, for the report."""
    work = equip(world, "work")
    where = places(world, work)
    options = ["-w", work] if case.get("work", True) else []
    options += fill(case["options"], where)
    mark = world.mark()
    result = world.exeat(options, fill(case["run"], where),
                         env=case.get("env"),
                         stdin=case.get("stdin", "").encode())
    packets = world.seen(mark)
    wrong = []
    if not judge.matches(result.code, case["code"]):
        wrong.append(f"exit status {result.code}, not "
                     f"{judge.show(case['code'])}")
    wrong += judge_text("stdout", result.out, case.get("out", []))
    wrong += judge_text("stderr", result.err, case.get("err", []))
    wrong += [f"output: {part!r} is in it" for part in case.get("absent", [])
              if part in result.out or part in result.err]
    wrong += judge.judge_packets(packets, case.get("sees", []),
                                 case.get("may", []))
    some = case.get("any")
    if some and not any(judge.packet_matches(p, x) for p in packets
                        for x in some):
        wrong.append(f"sniffer: none of {some} was seen")
    wrong += judge.judge_audit(result.audit, case.get("audit", []))
    if not result.within(case.get("under_s", lib.TIMEOUT)):
        wrong.append(f"it took {result.took:.1f} s")
    host = world.log("host", mark)
    if bool(host) != bool(case.get("host")):
        wrong.append(f"host: its services saw {host}")
    return wrong, result


def run_cases(world, cases):
    failed = 0
    for case in cases:
        wrong, result = run_case(world, case)
        failed += bool(wrong)
        report(case["name"], wrong, result)
    print(f"{world.kind}: {len(cases)} cases, {failed} failed", flush=True)
    return 1 if failed or not cases else 0


def report(name, wrong, result=None):
    print(f"{'NOT OK' if wrong else 'ok'} {name}", flush=True)
    for line in [*wrong, *([result] if wrong and result else [])]:
        print("    " + str(line).replace("\n", "\n    "), flush=True)


def main():
    name = sys.argv[1]
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    lib.product()
    if os.path.exists(os.path.join(HERE, "cases", name + ".py")):
        cases = importlib.import_module("cases." + name).CASES
        cases = [c for c in cases if part in c["name"]]
        lib.main(lambda world: run_cases(world, cases))
    story = importlib.import_module("stories." + name)
    lib.main(story.story, ipv6=getattr(story, "IPV6", True),
             callers=getattr(story, "CALLERS", lib.KINDS))


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as e:
        print(f"NOT OK: {e}")
        sys.exit(1)
