"""I: bring your own proxy.

SPDX-License-Identifier: Apache-2.0
"""

from world import proxy, tlsproxy

from . import ALLOW, OPEN, RESET, allow, deny

AT = proxy.ADDRESS
HTTP = f"http://{AT}:{proxy.HTTP}"
LOGIN = f"http://{proxy.LOGIN}{AT}:{proxy.HTTP_LOGIN}"
NAME, TARGET = "allowed.test", "203.0.113.10"
HELLO = {"data": lambda d: "hello" in d or "200" in d}
TLS = [["tls", NAME, "443", NAME]]
DNS = [f"dns {NAME}"]
GET = "GET / HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"
# How often the password is in what a payload can read of anybody; in two
# forms, which are not in this line.
LOOK = """{ env; set; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline
mount; cat /etc/resolv.conf /etc/hosts; find / -xdev -newer /proc/1 \\
-type f -exec cat {} + | head -c 1000000; ls -lR /run /tmp; } 2>&1 |
grep -acE 's3cre[t]|bWU6czNjcm[V]0'"""


def by(url, *options):
    return [*options, "--upstream-proxy", url]


def proxies(world, _work):
    return proxy.start(world)


def tls_proxies(world, _work):
    proxy.start(world)
    tlsproxy.start(world)


def tls(port):
    return f"https://{proxy.LOGIN}{tlsproxy.NAME}:{port}"


def unheard(records):
    """no proxy was told a word before it was known to be ours"""
    return not any("head" in r or
                   not r.get("raw", "1603").startswith("1603")
                   for r in records if r.get("port") in tlsproxy.HOSTILE)


def ours_alone(records):
    """the proxy saw our credentials once, and nothing of the payload's"""
    heads = [r["head"] for r in proxy.told(records) if "head" in r]
    return bool(heads) and not any(
        "stolen" in h or "Via" in h or h.count("Proxy-Authorization") != 1
        for h in heads)


def named(records):
    """the proxy was told the name"""
    return any(f"CONNECT {NAME}:" in r.get("head", "")
               for r in proxy.told(records))


def row(**keys):
    return {"before": proxies, "options": by(HTTP, *ALLOW), **keys}


CONTROL = {"options": by(HTTP, *ALLOW), "try": TLS, "says": HELLO,
           "sees": [f"tcp {AT} {proxy.HTTP}"], "may": DNS}
FORGED = ("GET /forged HTTP/1.1\\r\\nHost: allowed.test\\r\\n"
          "Proxy-Authorization: Basic stolen\\r\\nVia: 1.1 stolen\\r\\n"
          "Connection: close\\r\\n\\r\\n")

ROWS = [
    row(id="I1", title="the upstream proxy is down",
        options=by(f"http://{AT}:3999", *ALLOW),
        **{"try": [*TLS, ["tcp", NAME, "80", GET]],
           "says": RESET, "sees": [f"tcp {AT} 3999"], "may": DNS,
           "audit": [{"verdict": "fail", "name": NAME,
                      "errno": "ECONNREFUSED", "reason": lambda r:
                      r.startswith("upstream_proxy: not reached")}]},
        allows=True, control=CONTROL),

    row(id="I1b", title="the upstream proxy refuses, or talks nonsense",
        options=[by(f"http://{AT}:4001", *ALLOW),
                 by(f"http://{AT}:4005", *ALLOW),
                 by(f"http://{AT}:4009", *ALLOW),
                 by(f"socks5://{AT}:4012", *ALLOW)],
        **{"try": TLS, "says": RESET,
           "may": [*DNS, *(f"tcp {AT} {p}"
                           for p in (4001, 4005, 4009, 4012))],
           "audit": [{"verdict": "fail", "reason": lambda r:
                      r.startswith("upstream_proxy: ")}]},
        control=CONTROL),

    row(id="I1c", title="an https:// proxy that is not the one",
        before=tls_proxies,
        options=[by(tls(p), *ALLOW) for p in (4101, 4102, 4103, 4104, 4105)],
        **{"try": TLS, "says": RESET,
           "may": [*DNS, f"dns {tlsproxy.NAME}",
                   *(f"tcp {AT} {p}" for p in range(4101, 4106))],
           "audit": [{"verdict": "fail", "reason": lambda r:
                      r.startswith("upstream_proxy: its certificate") or
                      r == "upstream_proxy: does not speak TLS"}],
           "logs": {"net": unheard}},
        control={"options": by(tls(tlsproxy.HTTPS_LOGIN), *ALLOW),
                 "try": TLS, "says": HELLO,
                 "sees": [f"tcp {AT} {tlsproxy.HTTPS_LOGIN}"],
                 "may": [*DNS, f"dns {tlsproxy.NAME}"]}),

    row(id="I3", title="NO_PROXY inside",
        options=by(HTTP, *ALLOW, "-e", "NO_PROXY=*", "-e", "no_proxy=*",
                   "-e", "https_proxy="),
        **{"try": TLS, "says": HELLO, "sees": [f"tcp {AT} {proxy.HTTP}"],
           "may": DNS, "audit": [allow(layer="tls", name=NAME)]},
        control={"options": by(HTTP, *ALLOW, "--upstream-direct", NAME),
                 "try": TLS, "says": HELLO, "sees": [f"tcp {TARGET} 443"],
                 "may": DNS}),

    row(id="I4", title="the proxy's credentials",
        options=by(LOGIN, *ALLOW),
        **{"try": [["program", "/bin/sh", "-c", LOOK], *TLS],
           "says": [{"out": "0\n"}, HELLO], "prompt_ms": 10000,
           "sees": [f"tcp {AT} {proxy.HTTP_LOGIN}"], "may": DNS,
           "audit": [allow(layer="tls", name=NAME)],
           "logs": {"net": ours_alone}},
        control={"options": by(LOGIN, *ALLOW, "-e", "SEEN=s3cret"),
                 "try": [["program", "/bin/sh", "-c", LOOK]],
                 "says": {"out": lambda n: int(n) > 0},
                 "prompt_ms": 10000}),

    row(id="I6", title="the proxy itself, by the payload",
        options=[by(HTTP, *ALLOW, "--allow", f"{AT}:3128"),
                 by(HTTP, *OPEN, "--allow", f"{AT}"),
                 by(HTTP, "--allow", f"{AT}", "--upstream-direct", AT)],
        **{"try": [["tcp", AT, "3128",
                    "CONNECT 203.0.113.66:80 HTTP/1.1\\r\\n\\r\\n"]],
           "says": RESET,
           "audit": [deny(address=AT, port=3128, reason="own_address")]},
        control={"options": by(HTTP, "--allow", "10.0.0.1"),
                 "try": [["tcp", "10.0.0.1", "80",
                          "GET / HTTP/1.0\\r\\n\\r\\n", "all"]],
                 "says": HELLO, "sees": [f"tcp {AT} {proxy.HTTP}"]}),

    row(id="I6b", title="what the proxy's private address does not open",
        options=[by(HTTP, *ALLOW), by(HTTP, *OPEN)],
        **{"try": [["tcp", AT, "3128"], ["tcp", "10.0.0.1", "80"]],
           "says": {"errno": "ECONNREFUSED", "step": "connect"},
           "audit": [deny(address=AT, port=3128),
                     deny(address="10.0.0.1", port=80)]},
        control=CONTROL),

    row(id="I7", title="UDP where there is an upstream proxy",
        options=[by(HTTP, *OPEN), by(HTTP, "--allow", "udp/203.0.113.9")],
        **{"try": [["udp", "203.0.113.9", "9999", "silent"]],
           "says": {"errno": lambda e: e is not None},
           "prompt_ms": 1900,
           "audit": [deny(layer="udp", reason="upstream_proxy")]},
        control={"options": by(HTTP, *OPEN, "--upstream-direct",
                               "203.0.113.9"),
                 "try": [["udp", "203.0.113.9", "9999"]],
                 "says": {"data": "ping"}, "sees": ["udp 203.0.113.9 9999"]}),

    row(id="I7b", title="names where the proxy resolves",
        options=by(HTTP, *ALLOW, "--upstream-dns", "proxy"),
        **{"try": [["resolve", "evil.test"], *TLS], "allows": True,
           "says": [{"error": "EAI_NONAME"}, HELLO],
           "sees": [f"tcp {AT} {proxy.HTTP}"],
           "logs": {"net": named},
           "audit": [deny(layer="dns", name="evil.test")]},
        control={**CONTROL, "sees": [f"tcp {AT} {proxy.HTTP}", *DNS],
                 "may": []}),

    row(id="D30b", title="Proxy-Authorization and Via from inside",
        options=by(LOGIN, *ALLOW),
        **{"try": [["tcp", NAME, "80", FORGED, "all"]], "says": HELLO,
           "sees": [f"tcp {AT} {proxy.HTTP_LOGIN}"], "may": DNS,
           "audit": [allow(layer="http", name=NAME)],
           "logs": {"net": ours_alone}},
        control={"options": ALLOW, "try": [["tcp", NAME, "80", FORGED,
                                            "all"]],
                 "says": HELLO, "sees": [f"tcp {TARGET} 80"], "may": DNS}),
]
