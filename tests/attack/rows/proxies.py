"""D, E: the explicit proxy inside, as a way round the rules.

SPDX-License-Identifier: Apache-2.0
"""

from world import proxy

from . import ALLOWED, EVIL, allow, deny
from .upstream import LOGIN, by, ours_alone, proxies

HOST, PORT = "127.0.0.1", "64505"
NAME = ["--allow", "allowed.test"]
NO = {"data": lambda d: d.startswith("HTTP/1.1 403 ")}
BAD = {"data": lambda d: d.startswith("HTTP/1.1 400 ")}
YES = {"data": lambda d: d.startswith("HTTP/1.1 200 ")}
SOCKS = r"\x05\x01\x00\x05\x01\x00"
# The method, then the reply: not allowed; no such command; succeeded.
SOCKS_NO = {"data": "\x05\x00\x05\x02\x00\x01" + "\0" * 6}
SOCKS_COMMAND = {"data": "\x05\x00\x05\x07\x00\x01" + "\0" * 6}
STOLEN = (r"Proxy-Authorization: Basic stolen\r\nVia: 1.1 stolen\r\n"
          r"Forwarded: for=stolen\r\n")
CURL = ["env", "-i", "NO_PROXY=*", "/usr/bin/curl", "-sS", "-m", "60",
        "http://203.0.113.66/"]


def say(request, *more):
    return ["tcp", HOST, PORT, request, "all", *more]


def connect(target, more=""):
    return say(rf"CONNECT {target} HTTP/1.1\r\nHost: "
               rf"{target.rsplit(':', 1)[0]}\r\n{more}\r\n")


def get(host, more="", method="GET"):
    return say(rf"{method} http://{host}/ HTTP/1.1\r\nHost: {host}\r\n"
               rf"{more}Connection: close\r\n\r\n")


def through(*tries):
    """The proxy, asked for what is allowed."""
    return {"try": list(tries) or [get("allowed.test")], "says": YES,
            "sees": ["dns allowed.test"],
            "may": [f"tcp {ALLOWED} 80", "tcp 2001:db8:113::10 80"],
            "audit": [allow(layer="proxy", name="allowed.test")]}


ROWS = [
    {"id": "D25c", "title": "the proxy inside: an address, another port",
     "options": NAME,
     "try": [connect(f"{EVIL}:22"), connect(f"{ALLOWED}:80"),
             connect("allowed.test:22"), get(EVIL), get("evil.test"),
             connect("evil.test:443"), connect("[2001:db8:113::66]:443"),
             say(SOCKS + r"\x01\xcb\x00\x71\x42\x00\x16", "shut"),
             say(SOCKS + r"\x03\x09evil.test\x01\xbb", "shut")],
     "says": [NO] * 7 + [SOCKS_NO] * 2,
     "audit": [deny(layer="proxy", address=EVIL, port=22),
               deny(layer="proxy", name="allowed.test", port=22),
               deny(layer="proxy", name="evil.test", port=443)],
     "control": through()},

    {"id": "D25d", "title": "BIND and UDP ASSOCIATE", "options": NAME,
     "try": [say(r"\x05\x01\x00\x05\x02\x00\x01\xcb\x00\x71\x0a\x00\x50"),
             say(r"\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"),
             ["tcp", HOST, PORT, r"\x04\x01\x00\x50\xcb\x00\x71\x0a\x00"]],
     "says": [SOCKS_COMMAND] * 2 +
     [{"data": lambda d: d.startswith("\0\x5b")}],
     "audit": [deny(layer="proxy", reason="protocol")],
     "control": through()},

    {"id": "D26b", "title": "TRACE and bodies by the proxy inside",
     "options": NAME,
     "try": [get("allowed.test", method="TRACE"),
             connect("allowed.test:80", r"Content-Length: 3\r\n"),
             say(r"GET http://allowed.test/ HTTP/1.1\r\nHost: evil.test"
                 r"\r\n\r\n"), say(r"GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
     "says": [NO, BAD, BAD, BAD], "control": through(),
     "audit": [deny(layer="proxy", reason="protocol"),
               deny(layer="proxy", reason="malformed")]},

    {"id": "D30", "title": "proxy credentials and Via from inside",
     "options": NAME, "passes": True,
     **through(get("allowed.test", r"Proxy-Authorization: Basic eDp5\r\n"
                   r"Proxy-Connection: keep-alive\r\n"))},

    {"id": "D30c", "title": "the proxy inside, and the caller's own behind it",
     "before": proxies, "options": by(LOGIN, *NAME), "passes": True,
     "try": [say(r"CONNECT allowed.test:80 HTTP/1.1\r\nHost: allowed.test"
                 r"\r\n" + STOLEN + r"\r\nGET / HTTP/1.1\r\nHost: "
                 r"allowed.test\r\nConnection: close\r\n\r\n"),
             get("allowed.test", STOLEN),
             say(SOCKS + r"\x03\x0callowed.test\x00\x50GET / HTTP/1.1\r\n"
                 r"Host: allowed.test\r\nConnection: close\r\n" + STOLEN +
                 r"\r\n")],
     "says": [YES, YES, {"data": lambda d: "hello from" in d}],
     "sees": [f"tcp {proxy.ADDRESS} {proxy.HTTP_LOGIN}"],
     "may": ["dns allowed.test"], "logs": {"net": ours_alone},
     "audit": [allow(layer="proxy", name="allowed.test")]},

    {"id": "I1g", "title": "by the proxy inside, the caller's own is down",
     "before": proxies,
     "options": by(f"http://{proxy.ADDRESS}:3999", *NAME),
     "try": [connect("allowed.test:443"), get("allowed.test"),
             say(SOCKS + r"\x03\x0callowed.test\x01\xbb", "shut")],
     "says": [{"data": lambda d: d.startswith("HTTP/1.1 502 ")}] * 2 +
     [{"data": lambda d: d[3:4] not in ("", "\0")}],
     "sees": [f"tcp {proxy.ADDRESS} 3999"], "may": ["dns allowed.test"],
     "audit": [{"verdict": "fail", "name": "allowed.test"}],
     "control": {"options": by(LOGIN, *NAME), "before": proxies,
                 "try": [get("allowed.test")], "says": YES,
                 "sees": [f"tcp {proxy.ADDRESS} {proxy.HTTP_LOGIN}"],
                 "may": ["dns allowed.test"]}},

    {"id": "E2", "title": "the proxy asked for itself and for loopback",
     "options": [NAME, ["--net", "open"]],
     "try": [get(f"{HOST}:{PORT}"), get("192.0.0.2:64505"),
             connect(f"[::1]:{PORT}"), connect(f"localhost:{PORT}"),
             connect("192.0.0.5:53"), connect("192.0.0.6:80"),
             connect("host.exeat.internal:80"), connect("0.0.0.0:80")],
     "says": {"data": lambda d: d[:12] in ("HTTP/1.1 403",
                                           "HTTP/1.1 400")},
     "audit": [deny(layer="proxy", address=HOST, port=64505,
                    reason="guard"),
               deny(layer="proxy", name="localhost", reason="guard")],
     "control": {"options": NAME, **through()}},

    {"id": "E10", "title": "no proxy, no environment, a static program",
     "options": [*NAME, "--proxy-env"], "needs": ["curl", "$EXEAT_RAWCONNECT"],
     "try": [["program", *CURL], ["tcp", EVIL, "80"]],
     "says": [{"code": 7}, {"errno": "ECONNREFUSED", "step": "connect"}],
     "audit": [deny(layer="kernel", address=EVIL, port=80)],
     "control": through()},
]
