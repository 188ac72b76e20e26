# audit.py - exeat audit verify: what it says of whole and other files
# SPDX-License-Identifier: Apache-2.0
import hashlib
import itertools
import json
import os

from command import check, expect, finish, place, run

CONNECT = ("import socket\n"
           "try: socket.create_connection(('203.0.113.7', 443), 5)\n"
           "except OSError: pass\n")


def heads(path):
    """The hash of each session's last line, by the manual alone."""
    before = {}
    with open(path) as f:
        for line in f:
            text, _, rest = line.rpartition(',"hash":"')
            session = json.loads(line)["session"]
            wanted = hashlib.sha256(
                (before.get(session, "0" * 64) + text).encode()).hexdigest()
            check("the chain", rest == wanted + '"}\n', line)
            before[session] = wanted
    return before


def main():
    path = os.path.join(place("logs"), "audit")
    for _ in range(2):
        expect(run("run", "--audit", path, "python3", "-c", CONNECT), "run",
               0, "")
    verify(path)
    finish()


def verify(path):
    ends = heads(path)
    first, second = ends.values()
    with open(path) as f:
        lines = f.readlines()

    def as_file(*text):
        return place(f"audit-{next(names)}", "".join(text))
    names = itertools.count()
    whole = f"whole: sessions: 2, records: {len(lines)}\n"
    changed = as_file(lines[0], lines[1].replace("deny", "allow"), *lines[2:])
    cut = as_file(*lines[:-1])
    rows = (
        ("whole", [path], 0, whole),
        ("--quiet", ["-q", path], 0, None),
        ("in pieces", ["-"], 0, "-: " + whole),
        ("its hashes", ["--sessions", "--expect", first, "--expect", second,
                        path], 0, [f"{h}  {s}  " for s, h in ends.items()]),
        ("another hash", ["--expect", "0" * 64, path], 1, "0" * 64),
        ("hash of a cut one", ["--expect", second, cut], 1, second),
        ("changed", [changed], 1, ":2: session " + next(iter(ends)) +
         ": the hash of record 2 does not fit"),
        ("removed", [as_file(lines[0], *lines[2:])], 1,
         ":2: session " + next(iter(ends)) + ": records missing before"),
        ("cut off", [cut], 3, ["no end behind", "cannot tell: "]),
        ("nothing", [as_file()], 3, "cannot tell: sessions: 0"),
        ("changed, cut", [cut, changed, path], 1, whole),
        ("many faults", [as_file("x\n" * 50)], 1, "and 30 more like these"),
    )
    for what, args, code, out in rows:
        p = run("audit", "verify", *args, stdin="".join(lines).encode())
        texts = out if isinstance(out, list) else [out or ""]
        check(f"verify: {what}", p.returncode == code and not p.stderr and
              all(x in p.stdout.decode() for x in texts) and
              (out is not None or not p.stdout), p)
    expect(run("audit", "verify", "/no/such/file"), "verify: no file", 3, "",
           "/no/such/file")
    expect(run("audit", "verify", "/"), "verify: a folder", 3, "",
           "Is a directory")
    expect(run("audit", "verify"), "verify: nothing named", 2)
    expect(run("audit", "verify", "--expect", "00", path), "verify: no hash",
           2, "", "--expect")


main()
