#!/usr/bin/python3
"""Is every attack of the list tried somewhere? Reads rows/register.

SPDX-License-Identifier: Apache-2.0

    register.py         check it: exit status 1 if a row is in neither
"""

import ast
import collections
import dataclasses
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import gate  # noqa: E402
import rows  # noqa: E402

TESTS = os.path.dirname(HERE)


@dataclasses.dataclass
class Entry:
    """One row of the list."""
    number: str
    title: str
    where: list = dataclasses.field(default_factory=list)  # (path, text)
    why: str = ""           # it cannot be tried
    is_open: bool = False


def number(row_id):
    """The number of the list that a row of ours belongs to: A20b is A20."""
    return re.match(r"[A-Z]\d+", row_id)[0]


def read():
    """The register, in its order."""
    entries = []
    with open(os.path.join(HERE, "rows", "register"), encoding="ascii") as f:
        for line in f:
            if line.startswith("#") or not line.strip():
                continue
            if not line[0].isspace():
                name, title = line.split(maxsplit=1)
                entries.append(Entry(name, title.strip()))
                continue
            word, _, rest = line.strip().partition(": ")
            if word == "open":
                entries[-1].is_open = True
            elif word == "none":
                entries[-1].why = rest
            else:
                entries[-1].where.append((word, rest))
    return entries


def tried():
    """Our rows by number: {number: [id, ...]}."""
    found = collections.defaultdict(list)
    for group in rows.groups():
        for row in rows.load(group):
            found[number(row["id"])].append(row["id"])
    for row in gate.ROWS:
        found[gate.number(row)].append(
            f"{row['name']} {' '.join(row['kinds'])}")
    return found


def misplaced(entry):
    """Where the register says that a row is tried, and it is not."""
    out = []
    for path, text in entry.where:
        try:
            with open(os.path.join(TESTS, path), encoding="utf-8") as f:
                good = text and text in f.read()
        except OSError:
            good = False
        if not good:
            out.append(f"{entry.number}: {path} has no {text!r}")
    return out


def unlisted():
    """Files of rows that the build does not know as tests."""
    with open(os.path.join(HERE, "CMakeLists.txt"), encoding="ascii") as f:
        listed = re.search(r"foreach\(group ([^)]*)\)", f.read())[1].split()
    return [f"rows/{group}.py: no test of CMakeLists.txt"
            for group in rows.groups() if group not in listed]


def redefined():
    """Probes share one name space: the second of a name replaces the first."""
    with open(os.path.join(TESTS, "world", "probe.py"),
              encoding="ascii") as f:
        names = collections.Counter(
            node.name for node in ast.parse(f.read()).body
            if isinstance(node, ast.FunctionDef))
    return [f"probe.py: {name} is defined twice"
            for name, k in names.items() if k > 1]


def complaints(entries, ours):
    out = redefined() + unlisted()
    numbers = [e.number for e in entries]
    out += [f"{n}: twice in the register"
            for n, k in collections.Counter(numbers).items() if k > 1]
    out += [f"{row}: two rows of this id" for row, k in collections.Counter(
        r for ids in ours.values() for r in ids).items()
        if k > 1]
    out += [f"{n}: tried, and not in the register"
            for n in ours if n not in numbers]
    for e in entries:
        out += misplaced(e)
        if not (ours.get(e.number) or e.where or e.why or e.is_open):
            out.append(f"{e.number}: nobody tries it, and no reason says why "
                       f"({e.title})")
    return out


def main():
    entries, ours = read(), tried()
    for e in entries:
        if e.is_open and ours.get(e.number):
            print(f"{e.number} has rows now: 'open' may go")
        elif e.is_open:
            print(f"{e.number} open: {e.title}")
    wrong = complaints(entries, ours)
    for line in wrong:
        print("NOT OK " + line)
    print(f"{len(entries)} attacks, {sum(map(len, ours.values()))} rows of "
          f"ours, {len(wrong)} complaints")
    return 1 if wrong or not entries or not ours else 0


if __name__ == "__main__":
    sys.exit(main())
