"""Budgets: to the byte, both ways, over connections, runs and postures.

SPDX-License-Identifier: Apache-2.0

What the audit counts is what the sniffer saw leave, and what the servers sent.
"""

import os

from world import judge
from world.space import skip

from . import Checks, equip
from .sessions import Drive

AT, PORT = "203.0.113.9", 7              # echoes
UDP = 9999                 # answers each datagram
ALLOWED = "203.0.113.10"
CURL = "curl -sS -4 --max-time 60"

# Says how many bytes came back on each of its connections, and how it ended.
ECHO = """
import socket, sys
conns = [socket.create_connection((sys.argv[1], int(sys.argv[2])))
         for _ in sys.argv[3:]]
said = []
for s, n in zip(conns, map(int, sys.argv[3:])):
    got = 0
    try:
        s.sendall(b"x" * n)
        while got < n and (some := s.recv(n - got)):
            got += len(some)
        said.append(str(got))
    except OSError as e:
        said.append(f"{got}:{e.errno}")
print(*said)
"""
DATAGRAMS = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.settimeout(60)
said = []
for n in map(int, sys.argv[3:]):
    try:
        s.send(b"x" * n)
        said.append("heard" if s.recv(9999) else "nothing")
    except OSError as e:
        said.append(type(e).__name__)
print(*said)
"""


def sent(packets, proto, address, port):
    """Bytes that the sniffer saw leave for there."""
    return sum(p.get("bytes", 0) for p in packets if p["proto"] == proto and
               p.get("dst") == address and p.get("dport") == port)


def counted(audit, key, **fields):
    return sum(r.get(key, 0) for r in audit if judge.matches(r, fields))


def cut(audit, rule, **fields):
    """Is there a refusal by the budget of this name?"""
    return not judge.judge_audit(audit, [{
        "verdict": "deny", "reason": "budget", "rule": rule, **fields}])


class Trial:
    def __init__(self, world, work, options, command):
        mark = world.mark()
        self.result = world.exeat(["-w", work, *options], command)
        self.packets = world.seen(mark)
        self.out, self.audit = self.result.out.split("\n"), self.result.audit

    def python(world, work, options, program, *args):
        return Trial(world, work, options,
                     ["/usr/bin/python3", "-c", program, *map(str, args)])


def uploads(world, checks, work):
    """Three connections of one run: full to the byte, then one byte more."""
    options = ["--allow", AT, "--max-upload", f"{AT}=100000", "--explain"]
    t = Trial.python(world, work, options, ECHO, AT, PORT,
                     40000, 40000, 20000, 1, 1)
    checks.check("upload: all of it, then resets",
                 t.out[0] == "40000 40000 20000 0:104 0:104", t.result)
    left = sent(t.packets, "tcp", AT, PORT)
    told = counted(t.audit, "bytes_out", address=AT, port=PORT)
    checks.check("upload: program, sniffer and audit agree",
                 left == told == 100000, left, told)
    checks.check("upload: the audit names the budget",
                 cut(t.audit, AT, layer="tcp", address=AT, port=PORT),
                 t.audit)
    checks.check("upload: --explain says why",
                 "its budget of bytes is used up" in t.result.err, t.result)
    t = Trial.python(world, work, [*options, "--fail-on-deny"], ECHO, AT,
                     PORT, 100000)
    checks.check("upload: what fits is not refused",
                 t.out[0] == "100000" and t.result.code == 0, t.result)
    t = Trial.python(world, work, [*options, "--fail-on-deny"], ECHO, AT,
                     PORT, 100001)
    left = sent(t.packets, "tcp", AT, PORT)
    checks.check("upload: cut within a write, never a byte more",
                 left <= 100000 and t.result.code == 123 and
                 counted(t.audit, "bytes_out", address=AT) == 100000,
                 left, t.result)


def downloads(world, checks, work):
    fetch = (f"for i in 1 2 3; do {CURL} -o /dev/null -w '%{{size_download}} "
             "%{size_header} %{http_code}\\n' "
             "http://allowed.test/bytes/50000; done; "
             f"{CURL} http://allowed.test/bytes/1")
    t = Trial(world, work, ["--allow", "allowed.test", "--max-download",
                            "allowed.test=120000"], ["sh", "-c", fetch])
    rows = [list(map(int, line.split())) for line in t.out[:3]]
    checks.check("download: two whole, the third cut",
                 [r[0] for r in rows[:2]] == [50000, 50000] and
                 0 < rows[2][0] < 50000, t.result)
    told = counted(t.audit, "bytes_in", name="allowed.test", port=80)
    checks.check("download: heads and bodies are what was counted",
                 sum(r[0] + r[1] for r in rows) == told == 120000,
                 rows, told, t.audit)
    checks.check("download: the next is refused at once, in words",
                 "refused: budget: all of 120000 bytes down are used"
                 in t.result.out, t.result)
    asked = [p for p in t.packets if p["proto"] == "tcp" and
             p.get("flags") == "S" and p.get("dport") == 80]
    checks.check("download: and no packet of it left", len(asked) == 3, asked)


def datagrams(world, checks, work):
    name = f"udp/{AT}"
    t = Trial.python(world, work, ["--allow", AT, "--max-upload",
                                   f"{name}=100"], DATAGRAMS, AT, UDP,
                     60, 40, 1)
    checks.check("datagrams: whole ones up to the limit, then an error",
                 t.out[0].startswith("heard heard ") and
                 t.out[0].endswith("Error"), t.result)
    left = sent(t.packets, "udp", AT, UDP)
    told = counted(t.audit, "bytes_out", layer="udp", address=AT)
    checks.check("datagrams: sniffer and audit agree", left == told == 100,
                 left, told)
    checks.check("datagrams: the audit names the budget",
                 cut(t.audit, name, layer="udp"), t.audit)


def encrypted(world, checks, work):
    """By the name in TLS: a list, and open."""
    for options in (["--allow", "*.test+wide"], ["--net", "open"]):
        t = Trial(world, work,
                  [*options, "--max-upload", "allowed.test=20000"],
                  ["sh", "-c", f"head -c 50000 /dev/zero | {CURL} -o /dev/null "
                   "--data-binary @- https://allowed.test/; echo $?; "
                   f"{CURL} https://other.test/"])
        left = sent(t.packets, "tcp", ALLOWED, 443)
        told = counted(t.audit, "bytes_out", name="allowed.test", port=443)
        what = " ".join(options)
        checks.check(f"TLS, {what}: cut at the limit",
                     told == 20000 and left <= 20000 and
                     t.out[0] not in ("", "0"), left, told, t.result)
        checks.check(f"TLS, {what}: recorded",
                     cut(t.audit, "allowed.test", layer="tls"), t.audit)
        checks.check(f"TLS, {what}: others go on",
                     "hello from other.test" in t.result.out, t.result)


def deny_wins(world, checks, work):
    t = Trial.python(world, work, [
        "--allow", AT, "--deny", f"{AT}:25", "--max-upload", f"{AT}=1"],
        ECHO, AT, PORT, 2)
    checks.check("a budget of one byte", cut(t.audit, AT), t.audit)
    t = Trial(world, work, ["--allow", AT, "--deny", f"{AT}:25",
                            "--max-upload", f"{AT}=1"],
              ["sh", "-c", f"printf xx | nc -w 60 {AT} {PORT}; "
               f"nc -w 60 {AT} 25 </dev/null"])
    checks.check("a deny rule is the better reason",
                 not judge.judge_audit(t.audit, [
                     {"verdict": "deny", "reason": "deny_rule", "port": 25}]),
                 t.audit)


def ceiling(world, checks, work):
    """The budgets of a ceiling hold for whoever is under it."""
    path = os.path.join(world.tmp, "ceiling.json")
    with open(path, "w", encoding="ascii") as f:
        f.write('{"version": 1, "network_allowlist": '
                f'[{{"rule": "{AT}", "max_upload": 50}}]}}')
    t = Trial.python(world, work, [
        "--allow", AT, "--ceiling", path, "--max-upload", f"{AT}=1M"],
        ECHO, AT, PORT, 50, 1)
    checks.check("ceiling: its lower number holds", t.out[0] == "50 0:104" and
                 sent(t.packets, "tcp", AT, PORT) == 50, t.result)


def sessions(world, checks, work):
    """Runs of two postures at a time share what the session has."""
    drive = Drive(world, work, AT, "-", f"{AT}=90000")
    with open(os.path.join(work, "echo.py"), "w", encoding="ascii") as f:
        f.write(ECHO)
    command = f"read go; /usr/bin/python3 echo.py {AT} {PORT} "
    mark = world.mark()
    for run, rules in (("a", AT), ("b", f"tcp/{AT}:{PORT}")):
        said = drive.start(run, "allowlist", rules, command + "40000")
        checks.check(f"session: {rules} starts", said == "started", said)
    for run in "ab":
        drive.tell(run, "go")
    ends = [drive.wait(run) for run in "ab"]
    checks.check("session: both have room", all(
        e == ("end 0", ["40000"]) for e in ends), ends)
    drive.start("c", "allowlist", f"tcp/{AT}", command + "10000 1")
    drive.tell("c", "go")
    end = drive.wait("c")
    left = sent(world.seen(mark), "tcp", AT, PORT)
    checks.check("session: a third posture gets what is left",
                 end[1] == ["10000 0:104"] and left == 90000, end, left)
    drive.start("d", "allowlist", AT, command + "1")
    drive.tell("d", "go")
    end = drive.wait("d")
    checks.check("session: and a later run nothing",
                 end[1] == ["0:104"], end)
    checks.check("session: closes", drive.end() == 0)


def story(world):
    if not os.access(os.environ.get("EXEAT_DRIVE", ""), os.X_OK):
        skip("the session driver is not built")
    checks = Checks()
    work = equip(world, "work")
    for part in (uploads, downloads, datagrams, encrypted, deny_wins,
                 ceiling, sessions):
        part(world, checks, work)
    return checks.status()
