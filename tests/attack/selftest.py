#!/usr/bin/python3
"""exeat selftest: the attack rows against the installed product, offline.

SPDX-License-Identifier: Apache-2.0

    selftest.py [--json FILE] [--list] [-q] [ROW...]

The command `exeat selftest` executes this, with EXEAT naming itself. Each row
runs in namespaces of its own; nothing of the machine's network is touched.
Exit status: 0 all held, 1 something did not, 2 wrong usage, 3 that cannot be
told: what is missing is named.
"""

import os
import sys

if sys.version_info < (3, 11):
    print("exeat selftest: cannot tell: python3 is older than 3.11\n"
          "  -> upgrade python3", file=sys.stderr)
    sys.exit(3)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

try:
    import argparse
    import json
    import shutil
    import subprocess
    import textwrap
    import time

    import crew
    import register
    import rows
    from world import lib, space
except ImportError as e:
    print(f"exeat selftest: cannot tell: {e}\n"
          "  -> install the whole of python3, and exeat again",
          file=sys.stderr)
    sys.exit(3)

HELD, FAILED, USAGE, UNTOLD = 0, 1, 2, 3
WIDTH, ROW, VERDICT = 80, 7, 12
WORKERS_MAX = 4
# program -> package of Debian's
NEEDS = {"ip": "iproute2", "unshare": "util-linux", "setpriv": "util-linux",
         "mount": "mount", "openssl": "openssl", "tail": "coreutils"}
CALLERS = {"root": "root", "user": "a user", "oneid": "lone uid 0"}
WORDS = {"held": "held", "got through": "GOT THROUGH", "not held": "NOT HELD",
         "slow": "TOO SLOW", "unknown": "not told", "skipped": "-"}
# what a verdict means for the exit status
BAD = ("got through", "not held", "slow")


def plain(text):
    """Printable ASCII, whatever a program wrote."""
    return "".join(c if " " <= c <= "~" else
                   c.encode("unicode_escape").decode("ascii") for c in text)


def wrapped(text, indent, limit=3):
    """Lines of a text of others', at most `limit`, indented."""
    lines = textwrap.wrap(plain(text), WIDTH - indent,
                          break_long_words=True)
    if len(lines) > limit:
        lines[limit - 1:] = [lines[limit - 1][:WIDTH - indent - 4] + " ..."]
    return [" " * indent + line for line in lines]


# ---- what there is ----


def titles():
    """{row: title} of all rows that are tried here."""
    found = {r["id"]: r["title"] for g in rows.groups()
             for r in rows.load(g)}
    gated = {e.number: e.title for e in register.read()
             if e.number in crew.GATE}
    return {**found, **gated}


def chosen(words, known):
    """The rows that the user means; an unknown word ends it."""
    if not words:
        return set(known)
    out = set()
    for word in words:
        mine = {name for name in known
                if word in (name, register.number(name))}
        if not mine:
            elsewhere = [e for e in register.read() if e.number == word]
            say = "it is not tried here" if elsewhere else "no such row"
            print(f"exeat selftest: {plain(word)}: {say}; "
                  "exeat selftest --list", file=sys.stderr)
            sys.exit(USAGE)
        out |= mine
    return out


def row_number(word):
    """A row's number or id, as an argument."""
    if not (word[:1].isalpha() and word[1:2].isdigit()):
        raise argparse.ArgumentTypeError(f"no row's number: {plain(word)!r}")
    return word[0].upper() + word[1:]


def show_list(known):
    """Every attack, and where it is tried."""
    for e in register.read():
        mine = [n for n in known if register.number(n) == e.number]
        where = (["here"] if mine else []) + [path for path, _ in e.where]
        if e.why:
            where.append("not at all: " + e.why)
        elif not where:
            where = ["nowhere yet"]
        print(f"{e.number:{ROW}}{plain(e.title)}")
        print("\n".join(wrapped(", ".join(where), ROW, 9)))
    return HELD


# ---- can it be told at all? ----


def missing():
    """[(what is missing, remedy)] on this machine."""
    out = []
    for program, package in NEEDS.items():
        if not shutil.which(program):
            out.append((f"{program} is not installed", f"install {package}"))
    done = subprocess.run([lib.product(), "doctor"], capture_output=True,
                          text=True, errors="replace", check=False)
    lines = done.stdout.splitlines()
    for n, line in enumerate(lines):
        if line.startswith("MISSING"):
            remedy = lines[n + 1] if n + 1 < len(lines) else ""
            out.append((line[8:].strip(), remedy.strip(" ->")))
    if done.returncode and not out:
        out.append(("exeat doctor fails", "run it, and see"))
    return out


def cannot_tell(reasons):
    for what, remedy in reasons:
        print("exeat selftest: cannot tell: " + plain(what), file=sys.stderr)
        if remedy:
            print("  -> " + plain(remedy), file=sys.stderr)
    return UNTOLD


# ---- trying ----


class Report:
    """The verdicts, as they come."""

    def __init__(self, total):
        self.total, self.rows = total, {}
        self.shows = sys.stderr.isatty()

    def add(self, row):
        self.rows[row["id"]] = row
        if self.shows:
            print(f"\r{len(self.rows)} of {self.total} rows", end="",
                  file=sys.stderr, flush=True)

    def clear(self):
        if self.shows:
            print("\r" + " " * 30 + "\r", end="", file=sys.stderr,
                  flush=True)

    def ids(self, verdict):
        return [n for n, r in self.rows.items() if r["verdict"] == verdict]


def try_all(wanted, kind):
    """A Report on these rows."""
    todo, skipped = crew.tasks(wanted, kind)
    report = Report(len(wanted))
    for name, why in skipped.items():
        report.add({"id": name, "verdict": "skipped", "reasons": [why],
                    "seconds": 0.0})
    size = max(2, min(WORKERS_MAX, len(os.sched_getaffinity(0))))
    workers = crew.Crew(kind, min(size, len(todo)), report.add)
    try:
        workers.run(todo)
        # What was only slow may have been the others' fault: once more,
        # and alone.
        for name in report.ids("slow"):
            task = next(t for t in todo if name in t)
            workers.run([task[:task.index(name) + 1]])
    finally:
        workers.close()
        report.clear()
    return report


def exit_status(report):
    verdicts = {r["verdict"] for r in report.rows.values()}
    if verdicts & set(BAD):
        return FAILED
    if "unknown" in verdicts or not report.ids("held"):
        return UNTOLD
    return HELD


def show_table(report, known, quiet):
    room = WIDTH - ROW - VERDICT
    if not quiet:
        print(f"{'row':{ROW}}{'what was tried':{room}}verdict")
    for name in sorted(report.rows, key=crew.order):
        row = report.rows[name]
        if quiet and row["verdict"] in ("held", "skipped"):
            continue
        title = textwrap.wrap(plain(known[name]), room - 1) or [""]
        print(f"{name:{ROW}}{title[0]:{room}}{WORDS[row['verdict']]}")
        for more in title[1:]:
            print(" " * ROW + more)
        for reason in row["reasons"][:6]:
            print("\n".join(wrapped(reason, ROW + 2)))


def summary(report, kind, seconds):
    def count(*verdicts):
        return sum(len(report.ids(v)) for v in verdicts)
    return {"caller": kind, "rows": len(report.rows), "held": count("held"),
            "got_through": count("got through"),
            "not_held": count("not held", "slow"),
            "not_told": count("unknown"), "skipped": count("skipped"),
            "seconds": round(seconds, 1)}


def show_summary(s):
    print(f"{s['rows'] - s['skipped']} rows, {s['seconds']:.0f} s, as "
          f"{CALLERS[s['caller']]}: {s['held']} held, "
          f"{s['got_through']} got through, {s['not_held']} not held, "
          f"{s['not_told']} not told")


def write_json(file, report, known, totals, status):
    out = {"version": 1, **totals, "status": status, "results": [
        {**report.rows[n], "title": known[n]}
        for n in sorted(report.rows, key=crew.order)]}
    json.dump(out, file, indent=1)
    file.write("\n")
    file.flush()


def selftest(args):
    known = titles()
    if args.list:
        return show_list(known)
    wanted = chosen(args.rows, known)
    # before the work: a file that cannot be written wastes none
    file = sys.stdout if args.json == "-" else \
        open(args.json, "w", encoding="ascii") if args.json else None
    reasons = missing()
    if reasons:
        return cannot_tell(reasons)
    kind = space.kinds()[0]
    begin = time.monotonic()
    report = try_all(wanted, kind)
    status = exit_status(report)
    totals = summary(report, kind, time.monotonic() - begin)
    if args.json != "-":
        show_table(report, known, args.quiet)
        show_summary(totals)
    if file:
        write_json(file, report, known, totals, status)
    return status


def main():
    parser = argparse.ArgumentParser(prog="exeat selftest")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("rows", nargs="*", metavar="ROW", type=row_number)
    args = parser.parse_args()
    # tools of administrators that users do not have in their PATH
    os.environ["PATH"] = lib.SYSTEM_PATH + ":" + os.environ.get("PATH", "")
    for name in ("liar", "rawconnect"):
        os.environ.setdefault("EXEAT_" + name.upper(),
                              os.path.join(os.path.dirname(HERE), name))
    try:
        return selftest(args)
    except OSError as e:
        return cannot_tell([(str(e), "")])


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        lib.main(crew.work)
    sys.exit(main())
