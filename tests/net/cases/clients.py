"""Real programs, none of them told of a proxy.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOWED, ALLOWED6, CA, web

NAME = ["--allow", "allowed.test"]
URL, DENIED = "https://allowed.test/", "https://evil.test/"
PLAIN = "http://allowed.test/"
PORT_80 = web("allowed.test", ALLOWED, ALLOWED6, 80)
HELLO = ["hello from allowed.test"]
HTTPS = web("allowed.test", ALLOWED, ALLOWED6)
PYTHON = "import urllib.request as u; print(u.urlopen({!r}).read())"
NODE = ("fetch({!r}).then(r => r.text()).then(console.log)"
        ".catch(e => {{ console.log(e.cause.code); process.exit(9) }})")
RAW_GET = "GET / HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"


def denied(client, command, code, **more):
    return {"name": f"{client}: another name", "options": NAME,
            "run": command, "code": code, "under_s": 3,
            "audit": [{"layer": "dns", "verdict": "deny",
                       "name": "evil.test"}], **more}


CASES = [
    {"name": "curl", "options": NAME, "run": ["curl", "-sS", URL],
     "code": 0, "out": HELLO, **HTTPS},
    denied("curl", ["curl", "-sS", DENIED], 6),
    {"name": "curl, environment emptied", "options": NAME,
     "run": ["env", "-i", "NO_PROXY=*", "curl", "-sS", "http://203.0.113.66/",
             "-o", "/dev/null", "--max-time", "60"], "code": 7},

    {"name": "curl, HTTP/2 by prior knowledge", "options": NAME,
     "run": ["curl", "-sS", "--http2-prior-knowledge", PLAIN],
     "code": 0, "out": HELLO, **PORT_80},
    {"name": "curl, HTTP/2 by upgrade, with a body", "options": NAME,
     "run": ["curl", "-sS", "--http2", "-d", "body", PLAIN, PLAIN + "2"],
     "code": 0, "out": HELLO, **PORT_80},
    {"name": "curl, HTTP/2: another name", "options": NAME,
     "run": ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_code}",
             "-H", "Host: shared.test", PLAIN], "code": 0, "under_s": 3,
     "out": ["exeat: shared.test at ", "--allow shared.test\n403"],
     "sees": ["dns allowed.test"],
     "audit": [{"layer": "http", "verdict": "deny", "name": "shared.test",
                "port": 80}]},

    {"name": "wget", "options": NAME, "run": ["wget", "-q", "-O-", URL],
     "code": 0, "out": HELLO, **HTTPS},
    denied("wget", ["wget", "-q", "-t", "1", "-O-", DENIED], 4),

    {"name": "git over https", "options": ["--allow", "git.test"],
     "run": ["sh", "-c", "rm -rf demo && "
             "git clone -q https://git.test/demo.git demo && "
             "cat demo/README"],
     "code": 0, "out": ["hello world"],
     **web("git.test", "203.0.113.42", "2001:db8:113::42")},
    denied("git", ["git", "clone", "-q", "https://evil.test/demo.git", "d"],
           128),

    {"name": "python", "options": NAME,
     "run": ["/usr/bin/python3", "-c", PYTHON.format(URL)],
     "code": 0, "out": HELLO, **HTTPS},
    denied("python", ["/usr/bin/python3", "-c", PYTHON.format(DENIED)], 1,
           err=["Name or service not known"]),

    {"name": "node", "options": [*NAME, *CA],
     "run": ["node", "-e", NODE.format(URL)], "code": 0, "out": HELLO,
     **HTTPS},
    denied("node", ["node", "-e", NODE.format(DENIED)], 9,
           out=["ENOTFOUND"]),

    {"name": "dig", "options": NAME,
     "run": ["dig", "+short", "allowed.test"], "code": 0, "out": [ALLOWED],
     "sees": ["dns allowed.test"]},
    {"name": "dig, another resolver, by TCP", "options": NAME,
     "run": ["dig", "+tcp", "+short", "@8.8.8.8", "AAAA", "allowed.test"],
     "code": 0, "out": [ALLOWED6], "sees": ["dns allowed.test"]},
    denied("dig", ["dig", "@8.8.8.8", "evil.test"], 0,
           out=["status: NXDOMAIN"]),
    {"name": "dig: an answer that does not fit", "options": [
        "--allow", "big.test", "--allow", "tc.test"],
     "run": ["sh", "-c", "dig +short +ignore big.test | wc -l; "
             "dig +short big.test | wc -l; dig +short tc.test"],
     "code": 0, "out": ["203.0.113.33"],
     "sees": ["dns big.test", "dns tc.test"]},

    {"name": "a static program with raw system calls",
     "options": ["--allow", "203.0.113.10"],
     "run": ["{raw}", "203.0.113.10", "80", RAW_GET], "code": 0,
     "out": HELLO, "sees": ["tcp 203.0.113.10 80"]},
    {"name": "a static program: another address",
     "options": ["--allow", "203.0.113.10"],
     "run": ["{raw}", "203.0.113.66", "80", RAW_GET], "code": 111,
     "under_s": 2,
     "audit": [{"layer": "kernel", "verdict": "deny",
                "address": "203.0.113.66", "port": 80}]},
    {"name": "a static program in `blocked`", "options": [],
     "run": ["{raw}", "203.0.113.10", "80", RAW_GET], "code": 111,
     "under_s": 2},
]
