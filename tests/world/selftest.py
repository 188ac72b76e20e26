#!/usr/bin/python3
"""The world itself: every witness sees, every service answers, nothing stays.

SPDX-License-Identifier: Apache-2.0

Without the product. A world that is blind or dead would make every attack
"held"; this test is what the others stand on.
"""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from world import judge, lib  # noqa: E402

PROBE = os.path.join(HERE, "probe.py")
HELLO = {"data": judge.contains("hello")}
SECRET = {"data": judge.contains("metadata-secret")}
GET = "GET / HTTP/1.0\\r\\n\\r\\n"

# probe, what it says, what the sniffer sees
CHECKS = [
    (["resolve", "allowed.test", "4"], {"addresses": ["203.0.113.10"]},
     "dns allowed.test"),
    (["dns", "8.8.8.8", "tcp", "A", "evil.test"], {"answers": 1},
     "tcp 8.8.8.8 53"),
    (["dns", "8.8.8.8", "udp", "A", "big.test"], {"answers": 0},
     "udp 8.8.8.8 53"),
    (["tcp", "203.0.113.9", "80", GET, "all"], HELLO, "tcp 203.0.113.9 80"),
    (["tcp", "2001:db8:113::9", "80", GET, "all"], HELLO,
     "tcp 2001:db8:113::9 80"),
    (["mapped", "203.0.113.9", "80"], HELLO, "tcp 203.0.113.9 80"),
    (["tls", "203.0.113.10", "443", "allowed.test", "drip"],
     {"data": judge.contains(" 200 ")}, "tcp 203.0.113.10 443"),
    (["tcp", "169.254.169.254", "80", GET, "all"], SECRET,
     "tcp 169.254.169.254 80"),
    (["tcp", "fd00:ec2::254", "80", GET, "all"], SECRET,
     "tcp fd00:ec2::254 80"),
    (["tcp", "64:ff9b::a9fe:a9fe", "80", GET, "all"], HELLO,
     "tcp 64:ff9b::a9fe:a9fe 80"),
    (["tcp", "10.0.0.1", "80", GET, "all"], HELLO, "tcp 10.0.0.1 80"),
    (["tcp", "203.0.113.41", "2525"], {"data": judge.contains("220 smtp")},
     "tcp 203.0.113.41 2525"),
    (["tcp", "203.0.113.9", "7007", "abc", "shut", "all"],
     {"data": judge.contains("3 ba7816bf")}, "tcp 203.0.113.9 7007"),
    (["duplex", "203.0.113.9", "7", "4194304"], {"equal": True},
     "tcp 203.0.113.9 7"),
    (["websocket", "203.0.113.10", "80", "allowed.test"],
     {"status": 101, "echo": "hello"}, "tcp 203.0.113.10 80"),
    (["h2", "203.0.113.10", "80", "plain", "a.test", "b.test"],
     {"answers": ["hello from a.test at 203.0.113.10\n",
                  "hello from b.test at 203.0.113.10\n"]},
     "tcp 203.0.113.10 80"),
    (["h2", "203.0.113.10", "80", "upgrade+indexed+split", "a.test"],
     {"answers": ["hello from a.test at 203.0.113.10\n"]},
     "tcp 203.0.113.10 80"),
    (["h2", "203.0.113.10", "8080", "wait+echo", "a.test"],
     {"answers": ["onetwothree and trailers"]}, "tcp 203.0.113.10 8080"),
    (["udp", "203.0.113.9", "9999", "many"], {"data": "ping"},
     "udp 203.0.113.9 9999"),
    (["udp", "2001:db8:113::9", "9999", "connected"],
     {"from": "2001:db8:113::9"}, "udp 2001:db8:113::9 9999"),
    (["ping", "203.0.113.9"], {"data": judge.contains("secret")},
     "icmp 203.0.113.9"),
    (["tcp", "203.0.113.9", "4444"], {"errno": "ECONNREFUSED"},
     "tcp 203.0.113.9 4444"),
    (["tcp", "127.0.0.1", "9000"], {"data": "host-secret\n"}, None),
    (["tcp", "127.0.0.1", "5432"], {"data": "host-secret\n"}, None),
]


def lost_and_found(world):
    """Killed outside with no chance to clean up, a world leaves nothing."""
    argv = [sys.executable, "-B", os.path.join(HERE, "world.py"), "sh", "-c",
            "echo $$; exec tail -f /dev/null"]
    env = dict(os.environ, EXEAT_CALLERS="user", TMPDIR=world.tmp)
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
    for line in child.stdout:
        if not line.startswith(b"#"):
            break
    below = _below(child.pid)
    child.kill()
    child.wait()
    gone = world.until(lambda: not any(
        os.path.exists(f"/proc/{p}") for p in below))
    return len(below) >= 5 and gone, below


def _below(pid):
    """The pids below a process, as /proc says."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as f:
                    parents[int(entry)] = int(
                        f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found, grew = {pid}, True
    while grew:
        more = {p for p, q in parents.items() if q in found} - found
        found |= more
        grew = bool(more)
    return found - {pid}


def body(world):
    failed = 0
    for argv, want, packet in CHECKS:
        mark = world.mark()
        result = world.run(["/usr/bin/python3", PROBE, *argv])
        said = json.loads(result.out) if result.out else {}
        wrong = [] if judge.matches(said, want) else [str(said)]
        seen = world.seen(mark)
        if packet:
            wrong += judge.judge_packets(seen, [packet], [
                "dns allowed.test", " ".join(packet.split()[:2]),
                # the second of two answers finds its socket closed
                "icmp " + packet.split()[1]])
        elif seen:
            wrong.append(f"packets for loopback: {seen}")
        failed += bool(wrong)
        print("NOT OK" if wrong else "ok", *argv, *wrong, flush=True)
    begin = time.monotonic()
    good, what = lost_and_found(world)
    failed += not good
    print("ok" if good else "NOT OK", "killed from outside, nothing stays",
          f"({time.monotonic() - begin:.1f} s)", what, flush=True)
    return 1 if failed else 0


lib.main(body)
