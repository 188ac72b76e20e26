"""Explicit proxies inside: HTTP and SOCKS, asked for or by --proxy-env.

SPDX-License-Identifier: Apache-2.0
"""

import shutil

from . import ALLOWED, ALLOWED6, CA, web
from world.lib import pattern_digest

SIZE = 64 << 20
ZEROS = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"
AT = "127.0.0.1:64505"
NAME = ["--allow", "allowed.test"]
ENV = [*NAME, "--proxy-env"]
URL = "https://allowed.test/"
HELLO = ["hello from allowed.test"]
HTTP = web("allowed.test", ALLOWED, ALLOWED6, 80)
HTTPS = web("allowed.test", ALLOWED, ALLOWED6)
PROXIED = {"name": "allowed.test", "learnt": "proxy", "verdict": "allow"}
ABC = ["3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"]
SHOW = "env | grep -i proxy | sort; echo \"[$JAVA_TOOL_OPTIONS]\""
PYTHON = "import urllib.request as u; print(u.urlopen({!r}).read())"

# One connection, requests back to back before the first answer is read.
PIPELINE = r"""
import socket
s = socket.create_connection(("127.0.0.1", 64505))
def get(host, path, more=""):
    return f"GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"
s.sendall((get("allowed.test", "/") + get("other.test", "/chunked/70000")
           + get("allowed.test", "/", "Connection: close\r\n")).encode())
data = b""
while piece := s.recv(65536):
    data += piece
print(data.count(b"HTTP/1.1 200"), data.count(b"Connection: keep-alive"),
      data.count(b"Connection: close"), len(data) > 70000,
      data.count(b"hello from allowed.test"))
"""


def shell(text):
    return ["sh", "-c", text]


def curl(*more):
    return ["curl", "-sS", *more]


def refused(name, command, code, name_asked="evil.test", **more):
    return {"name": name, "options": NAME, "run": command, "code": code,
            "under_s": 3,
            "audit": [{"layer": "proxy", "verdict": "deny",
                       "name": name_asked, "learnt": "proxy",
                       "hint": name_asked}], **more}


CASES = [
    # -- asked for --
    {"name": "HTTP", "options": NAME, "code": 0, "out": HELLO,
     "run": curl("-x", AT, "http://allowed.test/"), **HTTP,
     "audit": [{**PROXIED, "layer": "proxy", "port": 80}]},
    {"name": "CONNECT", "options": NAME, "run": curl("-x", AT, URL),
     "code": 0, "out": HELLO, **HTTPS,
     "audit": [{**PROXIED, "layer": "tls", "port": 443}]},
    {"name": "by IPv6", "options": NAME, "code": 0, "out": HELLO,
     "run": curl("-x", "http://[::1]:64505", URL), **HTTPS},
    {"name": "SOCKS with the name", "options": NAME, "code": 0,
     "out": HELLO, "run": curl("--socks5-hostname", AT, URL), **HTTPS,
     "audit": [PROXIED]},
    {"name": "SOCKS with the address", "options": NAME, "code": 0,
     "out": HELLO, "run": curl("--socks5", AT, URL), **HTTPS,
     "audit": [{"name": "allowed.test", "learnt": "sni", "layer": "tls"}]},
    {"name": "SOCKS with a password that nobody asked for", "options": NAME,
     "run": curl("--socks5-basic", "-x", f"socks5h://me:you@{AT}", URL),
     "code": 0, "out": HELLO, **HTTPS},
    {"name": "SOCKS 4", "options": NAME, "code": 97, "err": ["91"],
     "run": curl("--socks4a", AT, URL),
     "audit": [{"layer": "proxy", "verdict": "deny",
                "reason": "protocol"}]},
    {"name": "an address that a rule opens", "code": 0,
     "options": ["--allow", ALLOWED], "out": ["hello from"],
     "run": curl("-x", AT, f"http://{ALLOWED}/", "--next", "-sS", "-p", "-x",
                 AT, f"http://{ALLOWED}/", "--next", "-sS", "--socks5", AT,
                 f"http://{ALLOWED}/"),
     "sees": [f"tcp {ALLOWED} 80"]},
    {"name": "in open", "options": ["--net", "open"], "code": 0,
     "out": ["hello from other.test"],
     "run": curl("-x", AT, "https://other.test/"),
     **web("other.test", "203.0.113.11", "2001:db8:113::11")},

    # -- one client, many requests --
    {"name": "one connection to the proxy, changing targets", "code": 0,
     "options": [*NAME, "--allow", "other.test"],
     "run": curl("-x", AT, "-w", "%{num_connects};", "http://allowed.test/",
                 "http://other.test/", "http://allowed.test/chunked/100",
                 "-d", "x=y", "http://other.test/", "-o", "/dev/null",
                 "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null"),
     "out": ["1;0;0;0;"], "sees": ["dns allowed.test", "dns other.test"],
     "may": [f"tcp {ALLOWED} 80", f"tcp {ALLOWED6} 80",
             "tcp 203.0.113.11 80", "tcp 2001:db8:113::11 80"]},
    {"name": "pipelined requests", "code": 0,
     "options": [*NAME, "--allow", "other.test"],
     "run": ["/usr/bin/python3", "-c", PIPELINE], "out": ["3 2 1 True 2"],
     "sees": ["dns allowed.test", "dns other.test"],
     "may": [f"tcp {ALLOWED} 80", f"tcp {ALLOWED6} 80",
             "tcp 203.0.113.11 80", "tcp 2001:db8:113::11 80"]},

    # -- much, both ways, half-closed --
    {"name": "64 MB down by http://", "options": NAME, "code": 0,
     "run": shell(f"curl -sS -x {AT} http://allowed.test/bytes/{SIZE} | "
                  "sha256sum"), "out": [pattern_digest(SIZE)], **HTTP,
     "audit": [{**PROXIED, "bytes_in": lambda n: n > SIZE}]},
    {"name": "64 MB down by http://, chunked", "options": NAME, "code": 0,
     "run": shell(f"curl -sS -x {AT} http://allowed.test/chunked/{SIZE} | "
                  "sha256sum"), "out": [pattern_digest(SIZE)], **HTTP},
    {"name": "64 MB up by http://, chunked", "options": NAME, "code": 0,
     "run": shell(f"head -c {SIZE} /dev/zero | "
                  f"curl -sS -x {AT} -T - http://allowed.test/x"),
     "out": [f"{SIZE} {ZEROS}"], **HTTP,
     "audit": [{**PROXIED, "bytes_out": lambda n: n > SIZE}]},
    {"name": "64 MB down by CONNECT", "options": NAME, "code": 0,
     "run": shell(f"curl -sS -x {AT} https://allowed.test/bytes/{SIZE} | "
                  "sha256sum"), "out": [pattern_digest(SIZE)], **HTTPS},
    {"name": "64 MB up by SOCKS", "options": NAME, "code": 0,
     "run": shell(f"head -c {SIZE} /dev/zero | curl -sS --socks5-hostname "
                  f"{AT} -T - https://allowed.test/x"),
     "out": [f"{SIZE} {ZEROS}"], **HTTPS},
    {"name": "half-close by CONNECT", "code": 0,
     "options": ["--allow", "allowed.test:7007"],
     "run": shell(f"printf abc | nc -X connect -x {AT} -N allowed.test "
                  "7007"), "out": ABC,
     **web("allowed.test", ALLOWED, ALLOWED6, 7007)},
    {"name": "half-close by SOCKS", "code": 0,
     "options": ["--allow", "allowed.test:7007"],
     "run": shell(f"printf abc | nc -X 5 -x {AT} -N allowed.test 7007"),
     "out": ABC, **web("allowed.test", ALLOWED, ALLOWED6, 7007)},
    {"name": "a server that speaks first", "code": 0,
     "options": ["--allow", "smtp.test:25"],
     "run": shell("printf 'EHLO x\\r\\n' | "
                  f"nc -X 5 -x {AT} -N smtp.test 25"),
     "out": ["220 smtp.test ESMTP", "250 EHLO x"],
     **web("smtp.test", "203.0.113.41", "2001:db8:113::41", 25)},
    {"name": "a reset in the middle of a response", "options": NAME,
     "run": curl("-x", AT, "http://allowed.test/reset"),
     "code": lambda c: c in (18, 52, 56), **HTTP},

    # -- refusals --
    refused("HTTP: another name", curl("-x", AT, "http://evil.test/", "-w",
                                       "%{http_code}"), 0,
            out=["exeat: evil.test:80 refused: default",
                 "allowed by: --allow evil.test", "403"]),
    refused("CONNECT: another name", curl("-x", AT, "https://evil.test/"),
            56, err=["403"]),
    refused("SOCKS: another name",
            curl("--socks5-hostname", AT, "https://evil.test/"), 97,
            err=["(2)"]),
    refused("a port that the name does not have",
            curl("-x", AT, "http://allowed.test:22/"), 0,
            name_asked="allowed.test",
            audit=[{"layer": "proxy", "verdict": "deny", "port": 22,
                    "hint": "allowed.test:22"}],
            out=["--allow allowed.test:22"]),
    {"name": "in `blocked`", "options": [], "code": 0, "under_s": 3,
     "run": shell(f"curl -sS -x {AT} http://allowed.test/; "
                  f"curl -sS -x {AT} https://allowed.test/; "
                  f"curl -sS --socks5-hostname {AT} http://allowed.test/; "
                  "true"),
     "out": ["allowed.test:80 refused: blocked"], "err": ["403", "(2)"],
     "audit": [{"layer": "proxy", "verdict": "deny", "reason": "blocked",
                "name": "allowed.test"}]},
    {"name": "a target that refuses: 502", "code": 0,
     "options": ["--allow", "allowed.test:4444"],
     "run": curl("-x", AT, "http://allowed.test:4444/", "-w",
                 "%{http_code}"), "out": ["Connection refused", "502"],
     **web("allowed.test", ALLOWED, ALLOWED6, 4444),
     "audit": [{"verdict": "fail", "errno": "ECONNREFUSED",
                "name": "allowed.test"}]},
    {"name": "a target that refuses, by SOCKS: 5", "code": 97,
     "options": ["--allow", "allowed.test:4444"], "err": ["(5)"],
     "run": curl("--socks5-hostname", AT, "http://allowed.test:4444/"),
     **web("allowed.test", ALLOWED, ALLOWED6, 4444)},
    {"name": "a name that is allowed and does not exist: 502", "code": 56,
     "options": ["--allow", "none.test"], "sees": ["dns none.test"],
     "run": curl("-x", AT, "https://none.test/"), "err": ["502"]},

    {"name": "a budget counts what passes here, too", "options": [
        *NAME, "--max-download", "allowed.test=1M"],
     "run": shell(f"curl -sS -x {AT} -o x http://allowed.test/bytes/{SIZE}; "
                  f"wc -c < x; curl -sS -x {AT} http://allowed.test/"),
     "code": 0, "out": lambda out:
     0 < int(out.split()[0]) <= 1 << 20 and "budget" in out, **HTTP,
     "audit": [{"layer": "proxy", "verdict": "deny", "reason": "budget",
                "address": lambda a: bool(a)}]},

    # -- by the environment --
    {"name": "no variable without the option", "options": NAME, "code": 0,
     "run": shell(SHOW), "out": lambda out: out == "[]\n"},
    {"name": "no variable in `blocked`", "options": ["--proxy-env"],
     "code": 0, "run": shell(SHOW), "out": lambda out: out == "[]\n"},
    {"name": "the variables, and the caller's own over them",
     "options": [*ENV, "-e", "HTTPS_PROXY=mine", "-e", "ALL_PROXY="],
     "run": shell(SHOW), "code": 0,
     "out": [f"http_proxy=http://{AT}\n", f"HTTP_PROXY=http://{AT}\n",
             f"https_proxy=http://{AT}\n", "HTTPS_PROXY=mine\n",
             f"all_proxy=socks5h://{AT}\n", "ALL_PROXY=\n",
             "no_proxy=localhost,127.0.0.1,::1\n",
             "NO_PROXY=localhost,127.0.0.1,::1\n",
             "[-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=64505 "]},
    {"name": "--proxy-env: curl", "options": ENV, "run": curl(URL),
     "code": 0, "out": HELLO, **HTTPS, "audit": [PROXIED]},
    {"name": "--proxy-env: curl, http://", "options": ENV, "code": 0,
     "run": curl("http://allowed.test/"), "out": HELLO, **HTTP,
     "audit": [{**PROXIED, "layer": "proxy"}]},
    {"name": "--proxy-env: wget", "options": ENV, "code": 0, "out": HELLO,
     "run": ["wget", "-q", "-O-", URL, "http://allowed.test/"],
     "sees": ["dns allowed.test"], "may": HTTP["may"] + HTTPS["may"],
     "audit": [PROXIED, {**PROXIED, "layer": "proxy"}]},
    {"name": "--proxy-env: python", "options": ENV, "code": 0, "out": HELLO,
     "run": ["/usr/bin/python3", "-c", PYTHON.format(URL)], **HTTPS,
     "audit": [PROXIED]},
    {"name": "--proxy-env: git", "code": 0, "out": ["hello world"],
     "options": ["--allow", "git.test", "--proxy-env"],
     "run": shell("rm -rf demo && git clone -q https://git.test/demo.git "
                  "demo && cat demo/README"),
     **web("git.test", "203.0.113.42", "2001:db8:113::42"),
     "audit": [{"name": "git.test", "learnt": "proxy"}]},
    {"name": "--proxy-env: pip", "code": 0, "out": ["Saved"],
     "options": ["--allow", "index.test", "--allow", "files.index.test",
                 "-e", "PIP_INDEX_URL=https://index.test/simple/",
                 "--proxy-env"],
     "run": ["pip", "download", "--no-input", "--no-cache-dir",
             "--disable-pip-version-check", "--retries", "0", "--no-deps",
             "exeatdemo"],
     "sees": ["dns index.test", "dns files.index.test"],
     "may": ["tcp 203.0.113.43 443", "tcp 2001:db8:113::43 443",
             "tcp 203.0.113.44 443", "tcp 2001:db8:113::44 443"],
     "audit": [{"name": "index.test", "learnt": "proxy"},
               {"name": "files.index.test", "learnt": "proxy"}]},
    {"name": "--proxy-env: npm", "options": [*ENV, *CA], "code": 0,
     "run": ["npm", "ping", "--registry", URL, "--fetch-retries", "0"],
     "may": HTTPS["may"], "sees": ["dns allowed.test"],
     "audit": [PROXIED]},
    # -- and without: nothing depends on it --
    {"name": "NO_PROXY=*: the same wall", "under_s": 3, "code": 6,
     "options": [*ENV, "-e", "NO_PROXY=*", "-e", "no_proxy=*"],
     "run": curl("https://evil.test/"),
     "audit": [{"layer": "dns", "verdict": "deny", "name": "evil.test"}]},
    {"name": "env -i: allowed without a proxy", "options": ENV, "code": 0,
     "run": ["env", "-i", "curl", "-sS", URL], "out": HELLO, **HTTPS,
     "audit": [{"name": "allowed.test", "learnt": "sni"}]},
]

if shutil.which("java"):
    CASES.append(
        {"name": "--proxy-env: Java", "options": ENV, "code": 0,
         "run": shell("java -XshowSettings:properties -version 2>&1"),
         "out": ["http.proxyHost = 127.0.0.1", "https.proxyPort = 64505"]})
