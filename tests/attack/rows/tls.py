"""D: TLS, HTTP, and what a port may carry.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOW, OPEN, allow, deny, found

AT = "203.0.113.10"
SHARED = "shared.test"  # has the same address
NAME = "allowed.test"
OPTIONS = ["--allow", NAME]
RESET = {"errno": "ECONNRESET"}
LOOKUP = ["resolve", NAME, "4"]
FOUND = found(AT)
OK = {"data": lambda d: " 200 " in d}
# Refused: reset, or closed without a byte.
SHUT = ({"errno": "ECONNRESET"}, {"eof": True, "data": ""})


def raw(text, port="80"):
    return ["tcp", AT, port, text]


def hello(how, *names):
    return ["hello", AT, "443", how, *names]


def status(*codes):
    """An HTTP answer with one of these codes, or a reset."""
    def check(data):
        return any(data.startswith(f"HTTP/1.1 {c} ") for c in codes)
    check.__doc__ = f"an answer with status {codes}"
    return ({"data": check}, *SHUT)


def own_hosts(requests):
    """the server saw requests for the allowed name only"""
    return all(r["host"] == NAME for r in requests)


HTTPS = {"options": OPTIONS, "try": [LOOKUP, ["tls", AT, "443", NAME]],
         "says": [FOUND, OK], "sees": [f"dns {NAME}", f"tcp {AT} 443"],
         "audit": [allow(layer="tls", name=NAME, port=443)]}
HTTP = {"options": OPTIONS, "try": [LOOKUP, ["http", AT, "80", NAME]],
        "says": [FOUND, {"status": [200]}],
        "sees": [f"dns {NAME}", f"tcp {AT} 80"],
        "audit": [allow(layer="http", name=NAME, port=80)]}

SERVER = {"message": 2, "retry": False}
HELLO = {"options": OPTIONS, "try": [LOOKUP, hello("", NAME)],
         "says": [FOUND, SERVER], "sees": [f"dns {NAME}", f"tcp {AT} 443"]}
# Initial packets of version 1 and 2, of a version that nobody has, and none.
QUIC = ("\\xc3\\0\\0\\0\\1\\x08abcdefgh", "\\xd3\\x6b\\x33\\x43\\xcf\\x08a",
        "\\xc0\\x1a\\x2a\\x3a\\x4a\\x08a", "\\x80\\0\\0\\0\\0\\x08a")

ROWS = [
    {"id": "D1", "title": "TLS without a name",
     "options": OPTIONS, "try": [LOOKUP, ["tls", AT, "443"]],
     "says": [FOUND, RESET], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="tls", address=AT, port=443)],
     "control": HTTPS},

    {"id": "D2", "title": "a ClientHello byte by byte",
     "options": OPTIONS, "passes": True, "prompt_ms": 5000,
     "try": [LOOKUP, ["tls", AT, "443", NAME, "drip"]],
     "says": [FOUND, OK], "sees": [f"dns {NAME}", f"tcp {AT} 443"]},

    {"id": "D2b", "title": "the same for a name that is not allowed",
     "options": OPTIONS, "prompt_ms": 5000,
     "try": [LOOKUP, ["tls", AT, "443", "evil.test", "drip"]],
     "says": [FOUND, ({"errno": "ECONNRESET"}, {"errno": "EPIPE"})],
     "sees": [f"dns {NAME}"],
     "audit": [deny(layer="tls", name="evil.test", port=443)],
     "control": HTTPS},

    {"id": "D5", "title": "a denied name in SNI, in capitals, in `open`",
     "options": [*OPEN, "--deny", "evil.test"],
     "try": [["tls", "203.0.113.66", "443", "EVIL.test"],
             ["tls", AT, "443", "evil.test"]],
     "says": RESET,
     "audit": [deny(layer="tls", name="evil.test", rule="evil.test")],
     "control": {"try": [["tls", AT, "443", NAME]], "says": OK,
                 "sees": [f"tcp {AT} 443"]}},

    {"id": "D4", "title": "a ClientHello of more than one full record",
     "options": OPTIONS, "passes": True,
     "try": [LOOKUP, hello("big", NAME), hello("big+ech", NAME),
             hello("small", NAME)],
     "says": [FOUND, *[SERVER] * 3], "sees": [f"dns {NAME}", f"tcp {AT} 443"],
     "audit": [allow(layer="tls", name=NAME, port=443)]},

    {"id": "D4b", "title": "the same for another name on the same address",
     "options": OPTIONS,
     "try": [LOOKUP, *[hello(how, SHARED) for how in ("big", "small")]],
     "says": [FOUND, *[RESET] * 2], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="tls", name=SHARED, port=443)], "control": HELLO},

    {"id": "D5b", "title": "names that are none, and more than one",
     "options": OPTIONS,
     "try": [LOOKUP, *[hello("", *names) for names in (
         ("",), (AT,), (f"{NAME}\\0",), (f"{NAME} ",), (f".{NAME}",),
         (f"{NAME}..",), (f"{NAME}:443",), (f"*.{NAME}",), ("[::1]",),
         (f"{SHARED}@{NAME}",), (f"{NAME}#.{SHARED}",), (NAME, SHARED),
         ("a" * 64 + ".test",), ("a." * 127 + "test",),
         ("\xd0\xb0llowed.test",))], hello("twice", NAME)],
     "says": [FOUND, *[RESET] * 16], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="tls", reason="malformed")], "control": HELLO},

    {"id": "D8", "title": "ECH, which may be GREASE: the outer name decides",
     "options": OPTIONS, "passes": True,
     "try": [LOOKUP, hello("ech", NAME)], "says": [FOUND, SERVER],
     "sees": [f"dns {NAME}", f"tcp {AT} 443"]},

    {"id": "D8b", "title": "ECH whose outer name is not allowed",
     "options": OPTIONS,
     "try": [LOOKUP, hello("ech", SHARED), hello("ech", "cloudflare-ech.com")],
     "says": [FOUND, *[RESET] * 2], "sees": [f"dns {NAME}"],
     "audit": [deny(layer="tls", name="cloudflare-ech.com", port=443)],
     "control": HELLO},

    {"id": "D9", "title": "hints and ECH in HTTPS records",
     "options": ["--allow", "h3.test"], "passes": True,
     "try": [["dns", "8.8.8.8", "udp", "HTTPS", "h3.test"]],
     "says": {"rcode": "NOERROR", "records": lambda rs: all(
         "cb007142" not in r["rdata"] and "fe0d" not in r["rdata"]
         for r in rs)},
     "sees": ["dns h3.test"]},

    {"id": "D10", "title": "what is not TLS on 443, not HTTP on 80",
     "options": OPTIONS,
     "try": [LOOKUP, raw("SSH-2.0-x\\r\\n", "443"),
             raw(f"GET / HTTP/1.1\\r\\nHost: {NAME}\\r\\n\\r\\n", "443"),
             raw("SSH-2.0-x\\r\\n"), raw("\\x16\\x03\\x01\\x00\\x05hello")],
     "says": [FOUND, *[status(400, 403)] * 4],
     "sees": [f"dns {NAME}"],
     "audit": [deny(address=AT, port=443), deny(address=AT, port=80)],
     "control": HTTP},

    {"id": "D11", "title": "a server that speaks first",
     "options": ["--allow", "smtp.test:2525"], "passes": True,
     "prompt_ms": 3000,
     "try": [["resolve", "smtp.test", "4"], ["tcp", "203.0.113.41", "2525"]],
     "says": [found("203.0.113.41"), {"data": "220 smtp.test ESMTP\r\n"}],
     "sees": ["dns smtp.test", "tcp 203.0.113.41 2525"],
     "audit": [allow(address="203.0.113.41", port=2525)]},

    {"id": "D11b", "title": "silence on 443 under a name rule",
     "options": OPTIONS, "prompt_ms": 9000,
     "try": [LOOKUP, ["tcp", AT, "443"]], "says": [FOUND, SHUT[0]],
     "sees": [f"dns {NAME}"],
     "audit": [deny(address=AT, port=443)], "control": HTTPS},

    {"id": "D25", "title": "CONNECT and absolute forms at the gate",
     "options": OPTIONS,
     "try": [LOOKUP, raw("CONNECT 203.0.113.66:22 HTTP/1.1\\r\\n"
                         "Host: 203.0.113.66:22\\r\\n\\r\\n"),
             raw("GET http://evil.test/ HTTP/1.1\\r\\n"
                 f"Host: {NAME}\\r\\n\\r\\n")],
     "says": [FOUND, *[status(400, 403)] * 2], "sees": [f"dns {NAME}"],
     "control": HTTP},

    {"id": "D32", "title": "QUIC to an allowed name",
     "options": OPTIONS,
     "try": [LOOKUP, ["udp", AT, "443", "connected"]],
     "says": [FOUND, {"errno": ("EPERM", "ECONNREFUSED")}],
     "sees": [f"dns {NAME}"],
     "audit": [deny(layer="kernel", address=AT, port=443, protocol="udp")],
     "control": HTTPS},

    {"id": "D34", "title": "STARTTLS, and the question for TLS of Postgres",
     "options": ["--allow", "smtp.test:2525", "--allow", NAME + ":9999"],
     "passes": True, "prompt_ms": 2000,
     "try": [LOOKUP, ["resolve", "smtp.test", "4"],
             ["banner_then", "203.0.113.41", "2525", "STARTTLS\\r\\n"],
             raw("\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f", "9999")],
     "says": [FOUND, found("203.0.113.41"), {"then": "250 STARTTLS\r\n"},
              {"data": "\0\0\0\x08\x04\xd2\x16\x2f"}],
     "sees": [f"dns {NAME}", "dns smtp.test", "tcp 203.0.113.41 2525",
              f"tcp {AT} 9999"]},

    {"id": "D33", "title": "QUIC of other versions, its hello in pieces",
     "options": OPTIONS,
     "try": [LOOKUP, *[["udp", AT, "443", how, first + "x" * 1180]
                       for how in ("connected", "unconnected")
                       for first in QUIC]],
     "says": [FOUND, *[{"errno": ("EPERM", "ECONNREFUSED")}] * 8],
     "prompt_ms": 1100, "sees": [f"dns {NAME}"],
     "audit": [deny(layer="kernel", address=AT, port=443, protocol="udp")],
     "control": {"try": [["udp", AT, "443", "connected", QUIC[0]]],
                 "options": ["--allow", f"udp/{AT}:443"],
                 "says": {"from": AT}, "sees": [f"udp {AT} 443"]}},

    {"id": "D32b", "title": "QUIC is refused, TCP is there, all in a second",
     "options": OPTIONS, "passes": True,
     "try": [LOOKUP, ["quic_then_tcp", AT, NAME, QUIC[0]]],
     "says": [FOUND, {"quic": ("EPERM", "ECONNREFUSED"), **OK}],
     "sees": [f"dns {NAME}", f"tcp {AT} 443"],
     "audit": [deny(layer="kernel", address=AT, port=443, protocol="udp"),
               allow(layer="tls", name=NAME, port=443)]},

    {"id": "D40", "title": "empty lines and records first",
     "options": OPTIONS,
     "try": [LOOKUP, *[raw(first + "GET / HTTP/1.1\\r\\nHost: evil.test"
                           "\\r\\n\\r\\n")
                       for first in ("\\r\\n", "\\n\\n", "  ")],
             raw("\\x16\\x03\\x01\\x00\\x00\\x16\\x03\\x01\\x00\\x00", "443"),
             raw("\\x15\\x03\\x01\\x00\\x02\\x01\\x00", "443")],
     "says": [FOUND, *[status(400, 403)] * 5], "sees": [f"dns {NAME}"],
     "control": HTTP},

    {"id": "D41", "title": "another name after a server that spoke first",
     "options": ["--allow", "smtp.test:2525"], "prompt_ms": 3000,
     "try": [["resolve", "smtp.test", "4"],
             ["banner_then", "203.0.113.41", "2525",
              "GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"]],
     "says": [found("203.0.113.41"),
              {"first": "220 smtp.test ESMTP\r\n",
               "then": lambda t: "250" not in t}],
     "sees": ["dns smtp.test", "tcp 203.0.113.41 2525"],
     "audit": [deny(name="evil.test")],
     "logs": {"net": lambda log: not any(
         "evil" in r.get("line", "") for r in log)},
     "control": {"try": [["resolve", "smtp.test", "4"],
                         ["banner_then", "203.0.113.41", "2525",
                          "EHLO me\\r\\n"]],
                 "says": [found("203.0.113.41"),
                          {"then": "250 EHLO me\r\n"}],
                 "sees": ["dns smtp.test", "tcp 203.0.113.41 2525"]}},

    {"id": "D40b", "title": "records that are no hello first",
     "options": [OPTIONS, ["--allow", NAME + ":8443"]],
     "try": [LOOKUP, *[["hello", AT, port, how, NAME]
                       for port in ("443", "8443")
                       for how in ("first", "alert", "data", "empty",
                                   "tail")], hello("ssl2", NAME)],
     "says": [FOUND, *[({"errno": ("ECONNRESET", "ECONNREFUSED")})] * 11],
     "sees": [f"dns {NAME}"], "late": [f"tcp {AT} 8443"],
     "control": HELLO},

    {"id": "D40c", "title": "one byte, then another name, on a port of its own",
     "options": ["--allow", NAME + ":8080"],
     "try": [LOOKUP, *[["late", AT, "8080", "20", *words] for words in (
         ("G", f"ET / HTTP/1.1\\r\\nHost: {SHARED}\\r\\n\\r\\n"),
         ("\\r", f"\\nGET / HTTP/1.1\\r\\nHost: {SHARED}\\r\\n\\r\\n"),
         (" ", f"GET / HTTP/1.1\\r\\nHost: {SHARED}\\r\\n\\r\\n"),
         ("P", f"RI / HTTP/1.1\\r\\nHost: {SHARED}\\r\\n\\r\\n"))]],
     "says": [FOUND, *[status(400, 403)] * 4],
     "sees": [f"dns {NAME}"], "late": [f"tcp {AT} 8080"],
     "logs": {"http": own_hosts},
     "audit": [deny(layer="http", name=SHARED, port=8080),
               deny(layer="http", reason="malformed", port=8080)],
     "control": {"options": ["--allow", NAME + ":8080"],
                 "try": [LOOKUP, ["late", AT, "8080", "20", "G",
                                  "ET / HTTP/1.1\\r\\nHost: "
                                  f"{NAME}\\r\\n\\r\\n"]],
                 "says": [FOUND, OK],
                 "sees": [f"dns {NAME}", f"tcp {AT} 8080"]}},

    {"id": "D41b", "title": "silence, then another name",
     "options": ["--allow", NAME + ":8080,8443"],
     "try": [LOOKUP, ["late", AT, "8080", "600",
                      f"GET / HTTP/1.1\\r\\nHost: {SHARED}\\r\\n\\r\\n"],
             ["late", AT, "8443", "600", "\\x16\\3\\1\\0\\4\\2\\0\\0\\0"]],
     "says": [FOUND, *[status(400, 403)] * 2], "prompt_ms": 2000,
     "sees": [f"dns {NAME}", f"tcp {AT} 8080", f"tcp {AT} 8443"],
     "logs": {"http": own_hosts},
     "audit": [deny(name=SHARED, port=8080), deny(layer="tls", port=8443)],
     "control": {"options": ["--allow", NAME + ":8080"], "prompt_ms": 2000,
                 "try": [LOOKUP, ["late", AT, "8080", "600",
                                  "GET / HTTP/1.1\\r\\nHost: "
                                  f"{NAME}\\r\\n\\r\\n"]],
                 "says": [FOUND, OK],
                 "sees": [f"dns {NAME}", f"tcp {AT} 8080"]}},

    {"id": "D42", "title": "another name in the second hello",
     "options": OPTIONS,
     "try": [LOOKUP, *[hello(how, NAME, SHARED) for how in
                       ("retry", "retry+junk", "retry+eager",
                        "retry+eager+junk")]],
     "says": [FOUND, *[RESET] * 4],
     "sees": [f"dns {NAME}", f"tcp {AT} 443"],
     "audit": [deny(layer="tls", reason="malformed", port=443)],
     "control": {"options": OPTIONS,
                 "try": [LOOKUP, *[hello(how, NAME, NAME) for how in
                                   ("retry", "retry+eager")]],
                 "says": [FOUND, *[SERVER] * 2],
                 "sees": [f"dns {NAME}", f"tcp {AT} 443"]}},

    {"id": "D28", "title": "a redirect to metadata", "needs": ["curl"],
     "options": [OPTIONS, OPEN],
     "try": [LOOKUP, ["program", "curl", "-sSL", "--max-time", "60",
                      f"http://{NAME}/to/http:%2f%2f169.254.169.254%2f"]],
     "says": [FOUND, {"code": 7}], "prompt_ms": 3000,
     "sees": [f"dns {NAME}"],
     "may": [f"tcp {AT} 80", "tcp 2001:db8:113::10 80"],
     "audit": [deny(layer="kernel", address="169.254.169.254",
                    reason="guard")],
     "control": {"options": ALLOW, "prompt_ms": 3000,
                 "try": [["program", "curl", "-sSL", "--max-time", "60",
                          f"http://{NAME}/to/http:%2f%2f{NAME}%2f"]],
                 "says": {"code": 0,
                          "out": lambda o: "hello from allowed" in o},
                 "sees": [f"dns {NAME}"],
                 "may": [f"tcp {AT} 80", "tcp 2001:db8:113::10 80"]}},
]
