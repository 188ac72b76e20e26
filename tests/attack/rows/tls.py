"""D: TLS, HTTP, and what a port may carry.

SPDX-License-Identifier: Apache-2.0
"""

from . import ALLOW, OPEN, allow, deny, found

AT = "203.0.113.10"
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

    {"id": "D28", "title": "a redirect to metadata", "needs": ["curl"],
     "options": [OPTIONS, OPEN],
     "try": [LOOKUP, ["program", "curl", "-sSL", "--max-time", "5",
                      f"http://{NAME}/to/http:%2f%2f169.254.169.254%2f"]],
     "says": [FOUND, {"code": 7}], "prompt_ms": 3000,
     "sees": [f"dns {NAME}"],
     "may": [f"tcp {AT} 80", "tcp 2001:db8:113::10 80"],
     "audit": [deny(layer="kernel", address="169.254.169.254",
                    reason="guard")],
     "control": {"options": ALLOW, "prompt_ms": 3000,
                 "try": [["program", "curl", "-sSL", "--max-time", "5",
                          f"http://{NAME}/to/http:%2f%2f{NAME}%2f"]],
                 "says": {"code": 0,
                          "out": lambda o: "hello from allowed" in o},
                 "sees": [f"dns {NAME}"],
                 "may": [f"tcp {AT} 80", "tcp 2001:db8:113::10 80"]}},
]
