"""One session floods its gate: the neighbour goes on, and nothing is unsaid.

SPDX-License-Identifier: Apache-2.0

Each flood is on while the neighbour asks for what it may have, and begins
when the flooder says so. Afterwards the flooder is served like before, and the
audit accounts for every refusal, in lines or in numbers.
"""

import os
import subprocess

from world.lib import read_audit

from . import Checks, equip, lines

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = ["--allow", "allowed.test", "--allow", "*.wild.test", "--allow",
         "203.0.113.50"]
# A few more descriptors than connections, so that some are the gate's lack.
DESCRIPTORS = "1024:1024"
MANY_RULES = 100000
REFUSED = "203.0.113.66"
FLOODER = f"REFUSED = {REFUSED!r}" + r"""
import os, socket, struct, sys
ALLOWED = socket.gethostbyname("allowed.test")
PROXY = ("127.0.0.1", 64505)
# the beginning, and a byte of what never ends
HALVES = ((b"CONNECT allowed.test:80 HTTP/1.1\r\nX: ", b"x"),
          (b"\5\xff", b"\1"))
begun = set()

def good():
    with socket.create_connection((ALLOWED, 80), 5) as s:
        s.sendall(b"GET / HTTP/1.0\r\nHost: allowed.test\r\n\r\n")
        return s.recv(12) == b"HTTP/1.1 200"

def connect(to, send=b""):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(to)
    return s

def loris(turn):
    # a beginning of a request each, and a byte more at every turn
    while len(held) < 900:
        held.append(connect((ALLOWED, 80)))
    for i, s in enumerate(held):
        try:
            s.send(b"GET / HTTP/1.1\r\nX: "[turn % 19:turn % 19 + 1])
        except BlockingIOError:
            pass
        except OSError:
            s.close()
            held[i] = connect((ALLOWED, 80))

def halves(turn):
    # the same at the proxy inside, by heads and greetings; others are served
    while len(held) < 300:
        held.append(connect(PROXY))
    for i, s in enumerate(held):
        first, more = HALVES[i % 2]
        try:
            s.send(more if s in begun else first)
            begun.add(s)
        except BlockingIOError:
            pass
        except OSError:
            begun.discard(s)
            s.close()
            held[i] = connect(PROXY)
    with socket.create_connection(PROXY, 60) as s:
        s.sendall(b"GET http://allowed.test/ HTTP/1.1\r\n"
                  b"Host: allowed.test\r\nConnection: close\r\n\r\n")
        assert s.makefile("rb").readline().startswith(b"HTTP/1.1 200")

def connections(turn):
    # allowed, opened and reset
    for _ in range(200):
        s = connect(("203.0.113.50", 9999))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack("ii", 1, 0))
        s.close()

def refusals(turn):
    for _ in range(500):
        try:
            socket.create_connection((REFUSED, 4444), 60)
        except ConnectionRefusedError:
            counted[0] += 1

def datagrams(turn):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for i in range(500):
            s.sendto(bytes(1400), ("203.0.113.50", 1 + (turn * 500 + i) % 60000))

def queries(turn):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for i in range(500):
            name = b"%x" % (turn * 500 + i)
            s.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + bytes([len(name)]) +
                     name + b"\4wild\4test\0\0\1\0\1", ("192.0.0.5", 53))

held, counted = [], [0]
for line in sys.stdin:
    what = globals()[line.strip()]
    if what is good:
        for s in held:
            s.close()
        held.clear()
        ok = False
        for _ in range(100):
            try:
                ok = good()
            except OSError:
                continue
            break
        print("served" if ok else "not served", counted[0], flush=True)
        continue
    turn = 0
    while True:
        what(turn)
        turn += 1
        if turn == 2:
            print("on", flush=True)
        if turn > 2 and os.path.exists("stop-" + line.strip()):
            break
    print("off", turn, flush=True)
"""
FLOODS = ("loris", "halves", "connections", "refusals", "datagrams",
          "queries")
NEIGHBOUR = ("for i in 1 2 3; do curl -sS --max-time 30 https://allowed.test/"
             " || exit 1; done")


def neighbour(world, options):
    return world.exeat(options, ["sh", "-c", NEIGHBOUR])


def many_rules(world):
    path = os.path.join(world.tmp, "many-rules")
    with open(path, "w", encoding="ascii") as f:
        f.writelines(f"h{i}.rules.test\n" for i in range(MANY_RULES // 2))
        f.writelines(f"198.{18 + (i >> 16)}.{i >> 8 & 255}.{i & 255}:443\n"
                     for i in range(MANY_RULES // 2))
        f.write("allowed.test\n")
    return ["--allow-file", path]


def flood(world, checks, child, said, work, name):
    child.stdin.write(name.encode() + b"\n")
    child.stdin.flush()
    first = next(said, "gone")
    if not checks.check(f"{name}: it is on", first == "on", first):
        return
    for what, options in (("a neighbour", ["--allow", "allowed.test"]),
                          (f"one of {MANY_RULES} rules", many_rules(world))):
        result = neighbour(world, options)
        checks.check(f"{name}: {what} is served",
                     result.out.count("hello from allowed.test") == 3, result)
    with open(os.path.join(work, "stop-" + name), "w", encoding="ascii"):
        pass
    last = next(said, "gone")
    checks.check(f"{name}: it was on all the time", last.startswith("off"),
                 last)
    child.stdin.write(b"good\n")
    child.stdin.flush()
    last = next(said, "gone")
    checks.check(f"{name}: the flooder is served again",
                 last.startswith("served"), last)


def accounted(checks, audit, reached):
    """Every refusal that the program counted is in the audit."""
    records = [r for r in read_audit(audit) if "dropped" in r or
               (r.get("verdict"), r.get("address")) == ("deny", REFUSED)]
    told = sum(r.get("dropped", 1) for r in records)
    checks.check("the audit accounts for every refusal", told >= reached,
                 told, reached)
    checks.check("but by far not with a line each",
                 len(records) < reached / 2, len(records), reached)


def story(world):
    checks = Checks()
    work = equip(world, "work")
    audit = world.new_audit()
    child = world.start(
        ["prlimit", f"--nofile={DESCRIPTORS}", os.environ["EXEAT"], "run",
         *RULES, "-w", work, "--audit", audit, "--", "/usr/bin/python3",
         "-uc", FLOODER], stdin=subprocess.PIPE)
    said = lines(child)
    for name in FLOODS:
        flood(world, checks, child, said, work, name)
    child.stdin.write(b"good\n")
    child.stdin.flush()
    reached = int((next(said, "0").split() or ["0"])[-1])
    child.stdin.close()
    code = child.wait()
    checks.check("the flooded session ends well", code == 0, code,
                 child.stderr.read())
    accounted(checks, audit, reached)
    return checks.status()
