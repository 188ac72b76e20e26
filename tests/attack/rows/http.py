"""B, D: HTTP/1, and what two servers may read differently in it.

SPDX-License-Identifier: Apache-2.0
"""

from . import allow, deny, found
from .tls import (AT, FOUND, HTTP, LOOKUP, NAME, OPTIONS, SHARED, own_hosts,
                  raw, status)

LINE = "\\r\\n"
BAD = status(400, 403)
OK = {"data": lambda d: " 200 " in d}
SMUGGLED = f"GET / HTTP/1.1{LINE}Host: {SHARED}{LINE}{LINE}"
SEES = [f"dns {NAME}", f"tcp {AT} 80"]


def get(*lines, first="GET / HTTP/1.1", host=NAME):
    return raw(LINE.join((first, *((f"Host: {host}",) if host else ()),
                          *lines, "", "")))


def post(*lines, body=""):
    argv = get(*lines, first="POST / HTTP/1.1")
    return [*argv[:-1], argv[-1] + body, "all"]


def refused(number, title, *tries, reason="malformed", **more):
    """Nothing of it leaves: the first head is bad."""
    return {"id": number, "title": title, "options": OPTIONS,
            "try": [LOOKUP, *tries], "says": [FOUND, *[BAD] * len(tries)],
            "sees": [f"dns {NAME}"], "control": HTTP,
            "audit": [deny(layer="http", reason=reason, port=80)]} | more


def smuggled(number, title, *tries):
    """What is in front is allowed, what is behind it never arrives."""
    return {"id": number, "title": title, "options": OPTIONS,
            "try": [LOOKUP, *tries], "says": [FOUND, *[(
                {"errno": ("ECONNRESET", "EPIPE")},
                {"data": lambda d: f"hello from {SHARED}" not in d})] * len(tries)],
            "sees": [f"dns {NAME}"], "may": SEES, "logs": {"http": own_hosts},
            "audit": [deny(layer="http", port=80)], "control": HTTP}


ROWS = [
    {"id": "D12", "title": "keep-alive: another name in the second request",
     "options": OPTIONS,
     "try": [LOOKUP, ["http", AT, "80", NAME, "evil.test"]],
     "says": [FOUND, {"status": lambda s: s[0] == 200 and
                      s[1:] in ([403], ["closed"],
                                ["ConnectionResetError"])}],
     "sees": [f"dns {NAME}", f"tcp {AT} 80"],
     "audit": [deny(layer="http", name="evil.test", port=80)],
     "logs": {"http": own_hosts},
     "control": {**HTTP, "try": [LOOKUP, ["http", AT, "80", NAME, NAME]],
                 "says": [FOUND, {"status": [200, 200]}]}},

    {"id": "D14", "title": "two Host lines, none, folded, malformed",
     "options": OPTIONS,
     "try": [LOOKUP,
             raw(f"GET / HTTP/1.1\\r\\nHost: {NAME}\\r\\n"
                 "Host: evil.test\\r\\n\\r\\n"),
             raw("GET / HTTP/1.1\\r\\n\\r\\n"),
             raw(f"GET / HTTP/1.1\\r\\nX: y\\r\\n Host: evil.test\\r\\n"
                 f"Host: {NAME}\\r\\n\\r\\n"),
             raw(f"GET / HTTP/1.1\\r\\nHost : {NAME}\\r\\n\\r\\n"),
             raw(f"GET / HTTP/1.1\\nHost: {NAME}\\n\\n"),
             raw(f"GET / HTTP/1.1\\r\\nHost: {NAME}\\x00\\r\\n\\r\\n"),
             raw(f"GET /\\r\\n")],
     "says": [FOUND, *[status(400, 403)] * 7],
     "sees": [f"dns {NAME}"], "may": [f"tcp {AT} 80"],
     "logs": {"http": own_hosts}, "control": HTTP},

    refused("B10", "userinfo",
            get(first=f"GET http://{NAME}@{SHARED}/ HTTP/1.1", host=SHARED),
            get(first=f"GET http://{SHARED}@{NAME}/ HTTP/1.1"),
            get(host=f"{SHARED}@{NAME}"), get(host=f"{NAME}:80@{SHARED}")),

    refused("B11", "names that are not ASCII",
            get(host="\\xd0\\xb0llowed.test"),
            get(host="allowed\\xe3\\x80\\x82test"), get(host="\\xdf.test")),

    {"id": "B11b", "title": "a name that only looks like it",
     "options": OPTIONS,
     "try": [LOOKUP, ["http", AT, "80", "xn--llowed-2nf.test"],
             ["tls", AT, "443", "xn--llowed-2nf.test"],
             ["resolve", "xn--llowed-2nf.test"]],
     "says": [FOUND, {"status": [403]}, {"errno": "ECONNRESET"},
              {"error": "EAI_NONAME"}], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="http", name="xn--llowed-2nf.test"),
               deny(layer="tls", name="xn--llowed-2nf.test"),
               deny(layer="dns", name="xn--llowed-2nf.test")],
     "control": HTTP},

    refused("B13", "brackets", *[get(host=host) for host in (
        "[[::1]]", f"[{NAME}]", f"{NAME}]:443", f"[{NAME}", "[]", "[::1",
        "::1", f"[{AT}]", f"[::1]{NAME}")]),

    refused("B15", "names that are too long", *[get(host=host) for host in (
        "a" * 64 + "." + NAME, "a." * 127 + NAME, "a" * 5000,
        ".".join(["a" * 63] * 4), f"{NAME}..", f".{NAME}", f"a..{NAME}")]),

    {"id": "B19", "title": "an underscore, a hyphen in front: one verdict",
     "options": ["--allow", "*.wild.test"],
     "try": [["resolve", "a.wild.test", "4"],
             *[probe for name in ("_x.evil.test", "-x.evil.test")
               for probe in (["resolve", name],
                             ["http", "203.0.113.21", "80", name],
                             ["hello", "203.0.113.21", "443", "", name])]],
     "says": [found("203.0.113.21"),
              *[{"error": "EAI_NONAME"},
                {"status": lambda s: s in ([400], [403])},
                {"errno": "ECONNRESET"}] * 2],
     "sees": ["dns a.wild.test"],
     "audit": [deny(layer="http", port=80), deny(layer="tls", port=443)],
     "control": {"options": ["--allow", "*.wild.test"],
                 "try": [["dns", "8.8.8.8", "udp", "A", "_x.wild.test"],
                         ["http", "203.0.113.21", "80", "_x.wild.test"],
                         ["hello", "203.0.113.21", "443", "",
                          "_x.wild.test"]],
                 "says": [{"answers": 1}, {"status": [200]}, {"message": 2}],
                 "sees": ["dns _x.wild.test", "tcp 203.0.113.21 80",
                          "tcp 203.0.113.21 443"]}},

    refused("D16", "no Host, HTTP/0.9",
            get(host=""), raw(f"GET /{LINE}"), raw(f"GET / {LINE}"),
            raw(f"GET / HTTP/0.9{LINE}{LINE}"),
            raw(f"GET http://{NAME}/{LINE}")),
    refused("D16b", "HTTP/1.0 without Host, and to an address",
            get(first="GET / HTTP/1.0", host=""), get(host=AT),
            get(host="[2001:db8::1]"), reason="no_name"),
    {"id": "D16c", "title": "HTTP/1.0 without Host, by the pin of its address",
     "options": ["--allow", NAME + ":8080"], "passes": True,
     "try": [LOOKUP, ["tcp", AT, "8080", f"GET / HTTP/1.0{LINE}{LINE}"]],
     "says": [FOUND, OK], "sees": [f"dns {NAME}", f"tcp {AT} 8080"]},

    refused("D18", "lines that servers end or begin differently",
            get(" x: y"), get("\\tx: y"), get("x: y", f" Host: {SHARED}"),
            get(first="GET / HTTP/1.1\\r\\nHost : " + SHARED),
            get(first="GET / HTTP/1.1\\r\\nHost\\t: " + SHARED),
            get(f"Host\\0: {SHARED}"), get(f"x: y\\nHost: {SHARED}"),
            get(f"x: y\\rHost: {SHARED}"), get("x: \\0"), get("x: \\x0b"),
            get("no colon"), get(": y"), get(host=f"{NAME}\\r"),
            raw(f"\\r\\nGET / HTTP/1.1\\r\\nHost: {NAME}{LINE}{LINE}"),
            raw(f"GET / HTTP/1.1\\r\\nHost: {NAME}\\n\\n"),
            get(first="GET  / HTTP/1.1"), get(first="GET\\t/ HTTP/1.1"),
            get(first="GET / HTTP/1.1 "), get(first="GET / HTTP/1.2"),
            get(first="GET / http/1.1")),
    refused("D18b", "a target that is somebody else's",
            get(first=f"GET http://{SHARED}/ HTTP/1.1"),
            get(first=f"GET HTTP://{SHARED}/ HTTP/1.1"),
            get(first=f"GET https://{SHARED}/ HTTP/1.1"),
            get(first=f"GET {SHARED}:80 HTTP/1.1"),
            get(first=f"GET {SHARED} HTTP/1.1"), get(first="GET * HTTP/1.1"),
            get(first="GET http:/// HTTP/1.1"),
            get(first=f"GET http://{NAME}\\\\@{SHARED}/ HTTP/1.1"),
            get(first=f"GET http://{AT}/ HTTP/1.1")),
    refused("D18c", "a body of which two lengths are told",
            *[post(*lines) for lines in (
                ("Content-Length: 0", "Transfer-Encoding: chunked"),
                ("Content-Length: 0", "Content-Length: 5"),
                ("Content-Length: 5", "Content-Length: 5"),
                ("Content-Length: 5, 5",), ("Content-Length: +5",),
                ("Content-Length: 0x5",), ("Content-Length: -1",),
                ("Content-Length:",), ("Content-Length: 5 5",),
                ("Content-Length: 99999999999999999999",),
                ("Transfer-Encoding: chunked, identity",),
                ("Transfer-Encoding: identity",),
                ("Transfer-Encoding: xchunked",),
                ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
                ("Transfer-Encoding:\\x0bchunked",),
                ("Transfer_Encoding: chunked",), ("Content_Length: 5",),
                ("Connection: Transfer-Encoding",),
                ("Connection: close, Host",),
                ("Transfer-Encoding : chunked",))],
            get("Transfer-Encoding: chunked", first="POST / HTTP/1.0")),

    smuggled("D12b", "a request behind a body, in one segment",
             post("Content-Length: 2", body="ab" + SMUGGLED),
             post("Content-Length: 0", body=SMUGGLED),
             post(body=SMUGGLED),
             post("Transfer-Encoding: chunked",
                  body=f"2{LINE}ab{LINE}0{LINE}{LINE}" + SMUGGLED)),
    smuggled("D12c", "chunks that servers read differently",
             *[post("Transfer-Encoding: chunked", body=body + SMUGGLED)
               for body in (
                   f"0x0{LINE}{LINE}", f"+0{LINE}{LINE}", f" 0{LINE}{LINE}",
                   f"0 {LINE}{LINE}", "0\\n\\n", "0\\r\\r", f"0{LINE}\\n",
                   f"0;a\\nb{LINE}{LINE}", f"2{LINE}abc{LINE}0{LINE}{LINE}",
                   f"2{LINE}ab0{LINE}{LINE}", f"{LINE}0{LINE}{LINE}",
                   f"10000000000000000{LINE}", f";a{LINE}{LINE}",
                   f"0{LINE}Host: {SHARED}{LINE}{LINE}",
                   f"0{LINE}Content-Length: 5{LINE}{LINE}",
                   f"0{LINE}x y{LINE}{LINE}", f"0{LINE} x: y{LINE}{LINE}")]),
    {"id": "D12d", "title": "bodies as they should be", "options": OPTIONS,
     "passes": True,
     "try": [LOOKUP, post("Transfer-Encoding: chunked", "Connection: close",
                          body=f"2;x=y{LINE}ab{LINE}0{LINE}{LINE}"),
             post("Content-Length: 2", "Connection: close", body="ab"),
             post("Content-Length: 2", "Expect: 100-continue",
                  "Connection: close", body="ab"),
             get("Connection: close")],
     "says": [FOUND, *[{"data": lambda d: "2 fb8e20fc" in d}] * 3, OK],
     "sees": SEES, "audit": [allow(layer="http", name=NAME, port=80)]},

    smuggled("D23", "a switch that only the status says",
             *[["tcp", AT, "80",
                get(f"Upgrade: {protocol}", "Connection: Upgrade",
                    first="GET /101 HTTP/1.1")[-1] + SMUGGLED, "all"]
               for protocol in ("websocket", "other/1")]),
    {"id": "D23b", "title": "a WebSocket", "options": OPTIONS, "passes": True,
     "try": [LOOKUP, ["websocket", AT, "80", NAME]],
     "says": [FOUND, {"status": 101, "echo": "hello"}], "sees": SEES,
     "audit": [allow(layer="http", name=NAME, port=80)]},
    refused("D23c", "a WebSocket to another name",
            get("Upgrade: websocket", "Connection: Upgrade", host=SHARED),
            audit=[deny(layer="http", name=SHARED, port=80)]),

    refused("D26", "TRACE, TRACK, CONNECT",
            *[get(first=f"{method} / HTTP/1.1")
              for method in ("TRACE", "trace", "TRACK")],
            get(first=f"CONNECT {NAME}:80 HTTP/1.1"),
            get(first=f"connect {NAME}:80 HTTP/1.1"), reason="protocol"),

    {"id": "D36", "title": "many that begin and never end", "passes": True,
     "options": OPTIONS, "prompt_ms": 3000,
     "try": [LOOKUP, ["crowd", AT, "80", "500", NAME]],
     "says": [FOUND, {"status": [200]}], "sees": SEES},
]
