"""D20, D21: HTTP/2 without TLS, by prior knowledge and by upgrade.

SPDX-License-Identifier: Apache-2.0

Frames are made by hand; the probe's `h2` is a whole client.
"""

import struct

from . import allow, deny, found

AT, NAME = "203.0.113.10", "allowed.test"
EVIL = "shared.test"  # has the same address
OPTIONS = ["--allow", NAME]
LOOKUP = ["resolve", NAME, "4"]
FOUND = found(AT)
SEES = [f"dns {NAME}", f"tcp {AT} 80"]
SHUT = ({"errno": ("ECONNRESET", "EPIPE")}, {"eof": True, "data": ""})
HELLO = f"hello from {NAME} at {AT}\n"
DATA, HEADERS, SETTINGS, PUSH_PROMISE, CONTINUATION = 0, 1, 4, 5, 9
GET = ((":method", "GET"), (":scheme", "http"), (":path", "/"))


def escaped(data):
    return "".join(f"\\x{b:02x}" for b in data)


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + \
        struct.pack("!BBI", kind, flags, stream) + payload


def block(*fields):
    return b"".join(b"\0" + bytes([len(x)]) + x.encode() +
                    bytes([len(y)]) + y.encode() for x, y in fields)


BEGIN = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
GOOD = frame(HEADERS, 5, 1, block(*GET, (":authority", NAME)))


def raw(data, port="80"):
    return ["tcp", AT, port, escaped(BEGIN + data), "all"]


def headers(*fields, flags=5, stream=1):
    return frame(HEADERS, flags, stream, block(*fields))


def h2(how, *hosts, port="80"):
    return ["h2", AT, port, how, *hosts]


def answers(*words):
    return {"answers": list(words)}


def own_hosts(requests):
    """the server saw requests for the allowed name only"""
    return all(r["host"] in (NAME, NAME + ":80") for r in requests)


# Said in HTTP/2, where no server has spoken yet.
REFUSED = {"answers": lambda a: a[0].startswith(f"exeat: {EVIL} at {AT}:80")}
THROUGH = {"options": OPTIONS, "try": [LOOKUP, h2("plain", NAME, NAME)],
           "says": [FOUND, answers(HELLO, HELLO)], "sees": SEES,
           "audit": [allow(layer="http", name=NAME, port=80)]}


def later(how, *refused):
    """The first request is allowed, the second is refused."""
    return {"options": OPTIONS, "try": [LOOKUP, h2(how, NAME, EVIL)],
            "says": [FOUND, {"answers": lambda a: a in (
                [HELLO, "ECONNRESET"], ["ECONNRESET"])}],
            "sees": SEES, "logs": {"http": own_hosts},
            "audit": [deny(layer="http", name=EVIL, port=80), *refused],
            "control": {**THROUGH, "try": [LOOKUP, h2(how, NAME, NAME)]}}


# Heads of which no two servers would think alike.
BAD = (
    headers(*GET, (":authority", NAME), (":authority", EVIL)),
    headers(*GET, (":authority", NAME), ("host", EVIL)),
    headers(*GET, (":authority", EVIL), ("host", NAME)),
    headers(*GET, ("host", NAME), ("host", EVIL)),
    headers(*GET, (":authority", f"{NAME}@{EVIL}")),
    headers(*GET, (":authority", f"{NAME}#.{EVIL}")),
    headers(*GET, (":authority", NAME), ("Host", EVIL)),
    headers(*GET, (":authority", NAME), ("x", f"y\r\nHost: {EVIL}")),
    headers(*GET, (":authority", NAME), ("transfer-encoding", "chunked")),
    headers(*GET, (":authority", NAME), ("content-length", "1")),
    headers(*GET[:2], (":path", f"http://{EVIL}/"), (":authority", NAME)),
    headers(*GET[:2], (":path", f"/ HTTP/1.1\r\nHost: {EVIL}"),
            (":authority", NAME)),
    headers((":method", "TRACE"), *GET[1:], (":authority", NAME)),
    frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + block(*GET)),
    frame(HEADERS, 1, 1, block(*GET)[:9]) + frame(6, 0, 0, bytes(8)),
    frame(HEADERS, 1, 1, b"") + frame(CONTINUATION, 4, 3, block(*GET)),
    frame(HEADERS, 13, 1, b"\x7f" + block(*GET)),
    frame(HEADERS, 5, 1, b"\xbe"),
    frame(HEADERS, 5, 2, block(*GET, (":authority", NAME))),
)

# The same behind a request that is allowed.
BAD_LATER = (
    headers(*GET, (":authority", EVIL), stream=1),
    headers(("host", EVIL), stream=1),
    headers(*GET, (":authority", NAME), stream=0x80000003),
    frame(DATA, 1, 3, b"GET / HTTP/1.1"),
    frame(0xff, 0, 0, b"x") + frame(CONTINUATION, 4, 1, block(*GET)),
    # a field by the index of one that was never told
    frame(HEADERS, 5, 3, b"\xbe"),
    # a body longer than it was said to be
    headers((":method", "POST"), *GET[1:], (":authority", NAME),
            ("content-length", "2"), flags=4, stream=3) +
    frame(DATA, 1, 3, b"abGET / HTTP/1.1"),
)

ROWS = [
    {"id": "D21", "title": "HTTP/2 by prior knowledge, another name",
     "options": OPTIONS,
     "try": [LOOKUP, h2("plain", EVIL), h2("host", EVIL), h2("split", EVIL)],
     "says": [FOUND, *[REFUSED] * 3], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="http", name=EVIL, port=80)], "control": THROUGH},

    {"id": "D21a", "title": "an allowed name", "passes": True,
     "options": [OPTIONS, [*OPTIONS, "--allow", AT],
                 ["--net", "open", "--deny", "evil.test"]],
     "try": [LOOKUP, *[h2(how, NAME, NAME) for how in
                       ("plain", "host", "split", "indexed", "once",
                        "once+indexed")]],
     "says": [FOUND, *[answers(HELLO, HELLO)] * 6], "sees": SEES},

    {"id": "D21b", "title": "another name in the second request",
     **later("plain")},
    {"id": "D21c", "title": "the same, in one segment", **later("once")},
    {"id": "D21d", "title": "the same, by Host", **later("host")},
    {"id": "D21e", "title": "the same, compressed: the name of an index",
     **later("indexed")},
    {"id": "D21f", "title": "the same, in many frames", **later("split+once")},

    {"id": "D21g", "title": "heads that servers read differently",
     "options": OPTIONS, "try": [LOOKUP, *map(raw, BAD)],
     "says": [FOUND, *[SHUT] * len(BAD)], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="http", reason="malformed")], "control": THROUGH},

    {"id": "D21m", "title": "a request to nobody, and to an address",
     "options": OPTIONS,
     "try": [LOOKUP, raw(headers(*GET)),
             raw(headers(*GET, (":authority", AT)))],
     "says": [FOUND, *[{"data": lambda d: "refused: no_name" in d}] * 2],
     "sees": [f"dns {NAME}"],
     "audit": [deny(layer="http", reason="no_name")], "control": THROUGH},

    {"id": "D21h", "title": "frames that servers read differently",
     "options": OPTIONS,
     "try": [LOOKUP, *[raw(GOOD + x) for x in BAD_LATER]],
     "says": [FOUND, *[SHUT] * len(BAD_LATER)],
     "sees": [f"dns {NAME}"], "may": SEES,
     "logs": {"http": own_hosts},
     "audit": [deny(layer="http", reason="malformed")], "control": THROUGH},

    {"id": "D21i", "title": "CONNECT, and its other kinds",
     "options": OPTIONS,
     "try": [LOOKUP, *[raw(headers((":method", m), *more,
                                   (":authority", NAME))) for m, more in
                       (("CONNECT", ()), ("CONNECT", (
                           (":protocol", "websocket"), *GET[1:])))]],
     "says": [FOUND, *[SHUT] * 2], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="http", reason="protocol")],
     "control": THROUGH},

    {"id": "D21j", "title": "a stream both ways, as gRPC does it",
     "options": ["--allow", NAME + ":8080"], "passes": True,
     "try": [LOOKUP, h2("wait+echo", NAME, NAME, port="8080")],
     "says": [FOUND, answers(*["onetwothree and trailers"] * 2)],
     "sees": [f"dns {NAME}", f"tcp {AT} 8080"],
     "audit": [allow(layer="http", name=NAME, port=8080)]},

    {"id": "D21k", "title": "another name behind the server's settings",
     "options": ["--allow", NAME + ":8080"],
     "try": [LOOKUP, h2("wait+echo", EVIL, port="8080"),
             h2("wait+echo", NAME, EVIL, port="8080")],
     "says": [FOUND, answers("ECONNRESET"),
              answers("onetwothree and trailers", "ECONNRESET")],
     "sees": [f"dns {NAME}", f"tcp {AT} 8080"], "logs": {"http": own_hosts},
     "audit": [deny(layer="http", name=EVIL, port=8080)],
     "control": {"options": ["--allow", NAME + ":8080"],
                 "try": [LOOKUP, h2("wait+echo", NAME, port="8080")],
                 "says": [FOUND, answers("onetwothree and trailers")],
                 "sees": [f"dns {NAME}", f"tcp {AT} 8080"]}},

    {"id": "D21o", "title": "the server's settings first, on 80",
     "options": OPTIONS, "passes": True,
     "try": [LOOKUP, h2("wait+echo", NAME, NAME)],
     "says": [FOUND, answers(*["onetwothree and trailers"] * 2)],
     "sees": SEES,
     "audit": [allow(layer="http", name=NAME, port=80)]},

    {"id": "D21p", "title": "another name behind the server's settings, on 80",
     "options": OPTIONS,
     "try": [LOOKUP, h2("wait+echo", EVIL), h2("wait+echo", NAME, EVIL)],
     "says": [FOUND, answers("ECONNRESET"),
              answers("onetwothree and trailers", "ECONNRESET")],
     "sees": SEES, "logs": {"http": own_hosts},
     "audit": [deny(layer="http", name=EVIL, port=80)],
     "control": {"options": OPTIONS,
                 "try": [LOOKUP, h2("wait+echo", NAME)],
                 "says": [FOUND, answers("onetwothree and trailers")],
                 "sees": SEES}},

    {"id": "D21l", "title": "a denied name in `open`",
     "options": ["--net", "open", "--deny", EVIL],
     "try": [h2("plain", EVIL), h2("once", NAME, EVIL),
             h2("upgrade", NAME, EVIL)],
     "says": [REFUSED, *[{"answers": lambda a: a[-1] == "ECONNRESET"}] * 2],
     "may": [f"tcp {AT} 80"], "logs": {"http": own_hosts},
     "audit": [deny(layer="http", name=EVIL, rule=EVIL)],
     "control": {"try": [h2("plain", NAME)], "says": answers(HELLO),
                 "sees": [f"tcp {AT} 80"]}},

    {"id": "D20", "title": "h2c by upgrade", "options": OPTIONS,
     "passes": True,
     "try": [LOOKUP, h2("upgrade", NAME, NAME),
             h2("upgrade+indexed+split", NAME, NAME)],
     "says": [FOUND, *[answers(HELLO, HELLO)] * 2], "sees": SEES,
     "audit": [allow(layer="http", name=NAME, port=80)]},

    {"id": "D20a", "title": "h2c by upgrade, then another name",
     **later("upgrade")},

    {"id": "D20b", "title": "an upgrade that the server did not make",
     "options": OPTIONS,
     "try": [LOOKUP, *[["tcp", AT, "80", first + escaped(
         BEGIN + headers(*GET, (":authority", EVIL), stream=3)), "all"]
         for first in
         (f"GET / HTTP/1.1\\r\\nHost: {NAME}\\r\\n\\r\\n",
          f"GET /101 HTTP/1.1\\r\\nHost: {NAME}\\r\\n"
          "Upgrade: h2c\\r\\n\\r\\n",
          f"POST / HTTP/1.1\\r\\nHost: {NAME}\\r\\nUpgrade: h2c\\r\\n"
          "Content-Length: 200\\r\\n\\r\\n")]],
     "says": [FOUND, *[({"errno": ("ECONNRESET", "EPIPE")}, {
         "data": lambda d: EVIL not in d})] * 3],
     "sees": [f"dns {NAME}"], "may": SEES, "logs": {"http": own_hosts},
     "audit": [deny(layer="http", reason="malformed")], "control": THROUGH},
]
