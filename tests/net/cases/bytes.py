"""Bytes through the gate: much, both ways, half-closed, reset, late.

SPDX-License-Identifier: Apache-2.0
"""

import json

from . import ALLOWED, ALLOWED6, web
from world.lib import pattern_digest

SIZE = 64 << 20
ZEROS = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"
NAME = ["--allow", "allowed.test"]
HTTPS = web("allowed.test", ALLOWED, ALLOWED6)
HTTP = web("allowed.test", ALLOWED, ALLOWED6, 80)
PROBE = ["/usr/bin/python3", "{probe}"]
AT = "203.0.113.9"
SMTP = "203.0.113.41"


def shell(text):
    return ["sh", "-c", text]


def prompt_echo(out):
    """the client's words, echoed at once"""
    said = json.loads(out)
    return said["data"].startswith("0029git-upload-pack") and said["ms"] < 900


CASES = [
    {"name": "64 MB down by HTTPS", "options": NAME,
     "run": shell(f"curl -sS https://allowed.test/bytes/{SIZE} | sha256sum"),
     "code": 0, "out": [pattern_digest(SIZE)], **HTTPS,
     "audit": [{"layer": "tls", "name": "allowed.test",
                "bytes_in": lambda n: n > SIZE}]},
    {"name": "64 MB up by HTTP, chunked", "options": NAME,
     "run": shell(f"head -c {SIZE} /dev/zero | "
                  "curl -sS -T - http://allowed.test/x"),
     "code": 0, "out": [f"{SIZE} {ZEROS}"], **HTTP,
     "audit": [{"layer": "http", "name": "allowed.test",
                "bytes_out": lambda n: n > SIZE}]},
    {"name": "64 MB down by HTTP, chunked", "options": NAME,
     "run": shell(f"curl -sS http://allowed.test/chunked/{SIZE} | "
                  "sha256sum"),
     "code": 0, "out": [pattern_digest(SIZE)], **HTTP},
    {"name": "64 MB both ways at once", "options": ["--allow", AT],
     "run": [*PROBE, "duplex", AT, "7", str(SIZE)], "code": 0,
     "out": ['"equal": true'], "sees": [f"tcp {AT} 7"]},
    {"name": "half-close", "options": ["--allow", AT],
     "run": [*PROBE, "tcp", AT, "7007", "abc", "shut", "all"], "code": 0,
     "out": ["3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"],
     "sees": [f"tcp {AT} 7007"]},
    {"name": "half-close under a name rule",
     "options": ["--allow", "allowed.test:7007"],
     "run": shell("printf abc | nc -N allowed.test 7007"), "code": 0,
     "out": ["3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"],
     **web("allowed.test", ALLOWED, ALLOWED6, 7007)},
    {"name": "a server that speaks first, on a named port",
     "options": ["--allow", "smtp.test:25"],
     "run": shell("printf 'EHLO x\\r\\n' | nc -N smtp.test 25"), "code": 0,
     "out": ["220 smtp.test ESMTP", "250 EHLO x"],
     **web("smtp.test", SMTP, "2001:db8:113::41", 25)},
    {"name": "a client whose first words have a blank and no end of line",
     "options": ["--allow", "allowed.test:7"],
     "run": [*PROBE, "tcp", "allowed.test", "7",
             "0029git-upload-pack /x\\0host=allowed.test\\0"],
     "code": 0, "out": prompt_echo,
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 7"]},
    {"name": "a reset is passed on", "options": NAME,
     "run": ["curl", "-sS", "-4", "http://allowed.test/reset"],
     "code": lambda c: c in (18, 56), "out": ["begin"],
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 80"]},
    {"name": "a target that refuses: reset, and the audit says why",
     "options": ["--allow", AT],
     "run": [*PROBE, "tcp", AT, "4444"], "code": 0, "out": ["ECONNRESET"],
     "sees": [f"tcp {AT} 4444"],
     "audit": [{"verdict": "fail", "address": AT, "port": 4444,
                "errno": "ECONNREFUSED"}]},
    {"name": "keep-alive", "options": NAME,
     "run": shell("curl -sS -4 https://allowed.test/ https://allowed.test/ "
                  "-w '%{num_connects}\\n' -o /dev/null -o /dev/null"),
     "code": 0, "out": ["1\n0\n"],
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 443"]},
    {"name": "keep-alive, plain HTTP", "options": NAME,
     "run": shell("curl -sS -4 http://allowed.test/ http://allowed.test/ "
                  "-w '%{num_connects}\\n' -o /dev/null -o /dev/null"),
     "code": 0, "out": ["1\n0\n"],
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 80"]},
    {"name": "a slow answer", "options": NAME,
     "run": ["curl", "-sS", "https://allowed.test/slow/1500"], "code": 0,
     "out": ["hello"], **HTTPS},
    {"name": "a slow resolver", "options": ["--allow", "slow.test"],
     "run": ["curl", "-sS", "https://slow.test/"], "code": 0,
     "out": ["hello"],
     **web("slow.test", "203.0.113.34", "2001:db8:113::34")},
    {"name": "WebSocket", "options": NAME,
     "run": [*PROBE, "resolve", "allowed.test", "4", "--", "websocket",
             ALLOWED, "80", "allowed.test"], "code": 0,
     "out": ['"echo": "hello"'],
     "sees": ["dns allowed.test", f"tcp {ALLOWED} 80"]},

    {"name": "dead IPv6: a client with both", "options": [
        "--allow", "dual.test"],
     "run": ["curl", "-sS", "https://dual.test/"], "code": 0,
     "out": ["hello from dual.test"], "under_s": 5,
     "sees": ["dns dual.test", "tcp 203.0.113.37 443"],
     "may": ["tcp 2001:db8:dead::37 443"]},
    {"name": "dead IPv6: a client that chose AAAA", "options": [
        "--allow", "dual.test"],
     "run": ["curl", "-sS", "-6", "https://dual.test/"], "code": 0,
     "out": ["hello from dual.test at 203.0.113.37"], "under_s": 5,
     "sees": ["dns dual.test", "tcp 203.0.113.37 443"],
     "may": ["tcp 2001:db8:dead::37 443"]},
    {"name": "IPv6 only", "options": ["--allow", "aaaa-only.test"],
     "run": ["curl", "-sS", "https://aaaa-only.test/"], "code": 0,
     "out": ["at 2001:db8:113::36"],
     "sees": ["dns aaaa-only.test", "tcp 2001:db8:113::36 443"]},
    {"name": "IPv4 only", "options": ["--allow", "a-only.test"],
     "run": ["curl", "-sS", "https://a-only.test/"], "code": 0,
     "out": ["at 203.0.113.35"],
     "sees": ["dns a-only.test", "tcp 203.0.113.35 443"]},
    {"name": "life times at both ends", "options": [
        "--allow", "ttl0.test", "--allow", "ttlmax.test"],
     "run": [*PROBE, "dns", "8.8.8.8", "udp", "A", "ttl0.test", "--",
             "dns", "8.8.8.8", "udp", "A", "ttlmax.test"], "code": 0,
     "out": ['"ttl": 5,', '"ttl": 300,'],
     "sees": ["dns ttl0.test", "dns ttlmax.test"]},
]
