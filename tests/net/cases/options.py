"""Exit codes, reports, and what is refused before anything starts.

SPDX-License-Identifier: Apache-2.0
"""

import json

PROBE = ["/usr/bin/python3", "{probe}"]
TRY = [*PROBE, "tcp", "203.0.113.66", "80", "--", "resolve", "evil.test"]


def bad(name, options, *parts, command=("true",)):
    """One clear line that names the argument, 125, nothing started."""
    def one_line(err):
        return len(err.strip().splitlines()) == 1 and \
            err.startswith("exeat: ") and all(p in err for p in parts)
    one_line.__doc__ = f"one line 'exeat: ...' with {parts}"
    return {"name": "bad: " + name, "options": options,
            "run": list(command), "code": 125, "err": one_line,
            "under_s": 2, "work": False}


def refusals(text):
    """a JSON result with both refusals and their hints"""
    got = json.loads(text)
    hints = {r["allow_hint"] for r in got["refusals"]}
    return got["returncode"] == 0 and got["refused_total"] >= 2 and \
        "evil.test" in hints and any(
            h.endswith("203.0.113.66:80") or h == "203.0.113.66:80"
            for h in hints)


FLOOD = ("import socket\n"
         "for i in range(3000):\n"
         "    s = socket.socket()\n"
         "    assert s.connect_ex((\"203.0.113.66\", 80)) == 111\n"
         "    s.close()\n")


def counted(text):
    """all 3000 refusals of a flood counted, 64 kept at most"""
    got = json.loads(text)
    return got["refused_total"] >= 3000 and len(got["refusals"]) <= 64


CASES = [
    {"name": "a flood of refusals is counted to the last",
     "options": ["--json", "/dev/stdout"],
     "run": ["/usr/bin/python3", "-c", FLOOD], "code": 0, "out": counted,
     "under_s": 10},
    {"name": "success", "options": [], "run": ["true"], "code": 0,
     "err": lambda e: e == ""},
    {"name": "a fresh work dir goes", "options": [], "work": False,
     "run": ["sh", "-c", "pwd; touch mark; ls"], "code": 0,
     "out": ["mark"]},
    {"name": "the command's own status", "options": [],
     "run": ["sh", "-c", "exit 42"], "code": 42},
    {"name": "a signal", "options": [], "run": ["sh", "-c", "kill -9 $$"],
     "code": 137},
    {"name": "no such command", "options": [],
     "run": ["/no/such/command"], "code": 127},
    {"name": "not executable", "options": [], "run": ["/etc/passwd"],
     "code": 126},
    {"name": "time-out", "options": ["--timeout", "1"],
     "run": ["tail", "-f", "/dev/null"], "code": 124, "under_s": 4},
    {"name": "--fail-on-deny: refused, command succeeded",
     "options": ["--fail-on-deny"], "run": TRY, "code": 123},
    {"name": "--fail-on-deny: nothing refused",
     "options": ["--fail-on-deny"], "run": ["true"], "code": 0},
    {"name": "--fail-on-deny: the command failed by itself",
     "options": ["--fail-on-deny"],
     "run": ["sh", "-c", "nc -w 60 203.0.113.66 80; exit 3"], "code": 3},
    {"name": "--explain: kernel and DNS, with the rule that would allow",
     "options": ["--explain", "--allow", "allowed.test"], "run": TRY,
     "code": 0, "err": ["203.0.113.66", "evil.test", "--allow"]},
    {"name": "--json: the result", "options": ["--json", "/dev/stdout"],
     "run": ["sh", "-c", " ".join(TRY) + " >/dev/null"], "code": 0,
     "out": refusals},
    {"name": "stdin is the command's", "options": [], "stdin": "text in",
     "run": ["cat"], "code": 0, "out": ["text in"]},
    {"name": "a shell string", "options": ["-c", "echo $((6 * 7))"],
     "run": [], "code": 0, "out": ["42"]},
    {"name": "no proxy is named inside", "options": [], "run": ["env"],
     "code": 0, "absent": ["proxy", "PROXY"]},
    {"name": "a policy file", "options": ["--policy", "{policy}"],
     "run": [*PROBE, "resolve", "allowed.test", "4", "--", "resolve",
             "evil.test"], "code": 0,
     "out": ["203.0.113.10", "EAI_NONAME"], "sees": ["dns allowed.test"]},

    bad("a malformed rule", ["--allow", "exa mple.test"], "exa mple.test"),
    bad("a rule with a bad port", ["--allow", "a.test:99999"],
        "a.test:99999"),
    bad("an unknown preset", ["--allow", "@nosuch"], "nosuch"),
    bad("a list with `blocked`", ["--net", "blocked", "--allow", "a.test"],
        "blocked"),
    bad("a wildcard over a public suffix", ["--allow", "*.com"], "*.com",
        "wide"),
    bad("every name", ["--allow", "*"], "*", "wide"),
    bad("QUIC by name", ["--allow", "udp/a.test:443"], "udp/a.test:443"),
    bad("UDP by name without ports", ["--allow", "udp/a.test"],
        "udp/a.test"),
    bad("a `!`", ["--allow", "!a.test"], "!a.test"),
    bad("an over-broad mapped prefix",
        ["--allow", "::ffff:168.0.0.0/103"], "::ffff:168.0.0.0/103"),
    bad("an unknown mode", ["--net", "sometimes"], "sometimes"),
    bad("an unknown backend", ["--backend", "magic"], "magic"),
    bad("an unknown option", ["--no-such-option"], "--no-such-option"),
    bad("a work dir that is not there", ["-w", "/no/such/dir"],
        "/no/such/dir"),
    bad("a work dir that is a file", ["-w", "/etc/passwd"], "/etc/passwd"),
    bad("an impossible cwd", ["--cwd", "/no/such/dir"], "/no/such/dir"),
    bad("a broad path", ["--rw", "/"], "/"),
    bad("a rule of `open` that it holds already",
        ["--net", "open", "--allow", "a.test"], "a.test"),
]
