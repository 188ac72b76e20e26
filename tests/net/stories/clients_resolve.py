"""How real resolvers ask, and what it costs when an answer is not there.

SPDX-License-Identifier: Apache-2.0

Static programs of two C libraries, the options of resolv.conf, dig and delv;
clients that race addresses, one of which goes nowhere; hellos of TLS that are
too large for a record; and clients that are refused, at once.
"""

import os

from world import judge
from world.servers import lacking

from . import Checks, equip

NAME, AT, AT6 = "allowed.test", "203.0.113.10", "2001:db8:113::10"
EVIL = "203.0.113.66"
A_ONLY, DUAL = "203.0.113.35", "203.0.113.37"
CA = "/etc/ssl/certs/ca-certificates.crt"
OPTIONS = ("single-request", "single-request-reopen", "edns0", "use-vc",
           "timeout:9 attempts:1", "rotate ndots:3")
TRIES = 5
# A resolver's time-out is 5 s, Happy Eyeballs' step 0.25 s (RFC 8305 5).
NOTHING_S, STEP_S = 0.2, 0.75
TIMES = """for i in $(seq %d); do
	curl -sS -4 -o /dev/null -w 'v4 %%{time_total}\\n' "http://$1/"
	curl -sS -o /dev/null -w 'any %%{time_total}\\n' "http://$1/"
	curl -sS -o /dev/null -w 'dead %%{time_total}\\n' "http://$2/"
done
""" % TRIES
# OpenSSL's own hello, of 20 KB: more protocols than anybody has.
LARGE = """
import socket, ssl, sys
context = ssl.create_default_context()
context.set_alpn_protocols([f"{i:0>200}" for i in range(100)] + ["http/1.1"])
s = context.wrap_socket(socket.create_connection((sys.argv[1], 443)),
                        server_hostname=sys.argv[1])
print(s.selected_alpn_protocol())
"""
PYTHON = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())
"""
NODE = """
fetch(process.argv[1]).then(r => r.text()).then(console.log)
	.catch(e => { console.log(e.cause.code); process.exit(9) });
"""
# Of libraries that ask the resolver themselves (c-ares, in node).
NODE_CARES = """
const { resolve4, resolve6 } = require("dns/promises");
const name = process.argv[1];
Promise.all([resolve4(name), resolve6(name)]).then(r => console.log(r.flat()));
"""
# How long each took to fail, and how.
REFUSED = """for url in $1 $2; do
	curl -sS -o /dev/null -w '%%{time_total}\\n' "$url"
done 2>&1
nc -w 5 %s 22 </dev/null || echo "nc $?"
wget -q -t 1 -O /dev/null "$1" || echo "wget $?"
""" % EVIL
AT_ONCE_S = 1


class Resolve:
    def __init__(self, world, checks):
        self.world, self.checks = world, checks
        self.work = equip(world, "work")

    def inside(self, what, options, command, *parts, code=0, may=()):
        options = ["-w", self.work, "-e", f"NODE_EXTRA_CA_CERTS={CA}",
                   *options]
        mark = self.world.mark()
        r = self.world.exeat(options, command, timeout=60)
        wrong = judge.judge_packets(self.world.seen(mark), [], list(may))
        wrong += [f"{p!r} is not in it" for p in parts
                  if p not in r.out + r.err]
        self.checks.check(what, r.code == code and not wrong, *wrong, r)
        return r


def allow(*names):
    return [x for name in names for x in ("--allow", name)]


def to(name, *addresses, ports=(80, 443)):
    return [f"dns {name}"] + [f"tcp {a} {p}" for a in addresses
                              for p in ports]


def static(r):
    """Programs that no library of the system's has a hand in."""
    for kind in ("libc", "musl"):
        path = os.path.join(os.environ.get("EXEAT_CLIENTS", ""),
                            f"getname_{kind}")
        if lacking(r.checks, path):
            continue
        program = "./" + os.path.basename(r.world.put(r.work, path))
        may = to(NAME, AT, AT6)
        r.inside(f"static, {kind}", allow(NAME), [program, NAME, "80"],
                 f"hello from {NAME}", may=may)
        for name, address in (("a-only.test", A_ONLY),
                              ("aaaa-only.test", "2001:db8:113::36")):
            r.inside(f"static, {kind}: {name}", allow(name),
                     [program, name, "80"], f"{name} at {address}",
                     may=to(name, address))
        for how, options in (("another name", allow(NAME)), ("blocked", [])):
            done = r.inside(f"static, {kind}: {how}", options,
                            [program, "evil.test", "80"], "evil.test: ",
                            code=3)
            r.checks.check(f"static, {kind}: {how}: at once", done.within(5),
                           done)


def options(r):
    may = to(NAME, AT, AT6)
    for option in OPTIONS:
        r.inside(f"options {option}",
                 ["-e", f"RES_OPTIONS={option}", *allow(NAME)],
                 ["curl", "-sS", f"https://{NAME}/"], f"hello from {NAME}",
                 may=may)
    r.inside("c-ares, in node", allow(NAME), ["node", "-e", NODE_CARES, NAME],
             AT, AT6, may=may)


def dig(r):
    if lacking(r.checks, "dig", "delv", "host", "nslookup"):
        return
    names = ("big.test", "tc.test", NAME)
    script = "; ".join(("dig +noall +answer +dnssec +nsid +subnet=192.0.2.0/24"
                        f" {NAME}", f"dig +short +noedns {NAME}",
                        f"dig +short +bufsize=512 {names[0]} | wc -l",
                        f"dig +short +notcp {names[1]}",
                        f"delv -i +short {NAME}", f"host -t A {NAME}",
                        f"nslookup {NAME}", f"dig +short MX {NAME}",
                        "dig +ednsopt=100:00 evil.test"))
    r.inside("dig, delv, host, nslookup", allow(*names), ["sh", "-c", script],
             f"IN\tA\t{AT}", f"\n{AT}\n", "\n203.0.113.33\n",
             f"{NAME} has address {AT}", f"Address: {AT6}", "EDE: ",
             may=[f"dns {n}" for n in names])


def fastest(out):
    """{kind: the least of its times}"""
    found = {}
    for line in out.splitlines():
        kind, seconds = line.split()
        found.setdefault(kind, []).append(float(seconds))
    return {kind: min(times) for kind, times in found.items()
            if len(times) == TRIES}


def missing_families(r):
    """What is not there costs nothing, what does not answer one step."""
    names = ("a-only.test", "dual.test")
    may = to(names[0], A_ONLY) + to(names[1], DUAL, "2001:db8:dead::37")
    done = r.inside("curl: one family, and two", allow(*names),
                    ["sh", "-c", TIMES, "sh", *names], may=may)
    least = fastest(done.out)
    grace = done.late / TRIES
    r.checks.check("no AAAA costs nothing", {"v4", "any"} <= set(least) and
                   least["any"] < least["v4"] + NOTHING_S + grace, least)
    r.checks.check("an AAAA that goes nowhere costs a step",
                   {"v4", "dead"} <= set(least) and
                   least["dead"] < least["v4"] + STEP_S + grace, least)
    url = f"https://{names[1]}/"
    for what, command in (
            ("curl, quicker", ["curl", "-sS", "--happy-eyeballs-timeout-ms",
                               "50", url]),
            ("wget", ["wget", "-q", "-O-", url]),
            ("node", ["node", "-e", NODE, url]),
            ("python", ["/usr/bin/python3", "-c", PYTHON, url])):
        r.inside(f"{what}: an AAAA that goes nowhere", allow(names[1]),
                 command, f"hello from {names[1]} at {DUAL}", may=may)


def hellos(r):
    probe = ["/usr/bin/python3", "probe.py", "resolve", NAME, "4"]
    for how in ("pq", "pq+ech", "pq+ech+big", "pq+small"):
        probe += ["--", "hello", AT, "443", how, NAME]
    r.inside("hellos of post-quantum size, GREASE, over a record", allow(NAME),
             probe, *['"message": 2'] * 4, may=to(NAME, AT))
    r.inside("OpenSSL: a hello of 20 KB", allow(NAME),
             ["/usr/bin/python3", "-c", LARGE, NAME], "http/1.1",
             may=to(NAME, AT, AT6))


def refused(r):
    """Nobody waits for a time-out."""
    urls = [f"http://{EVIL}/", f"https://[{AT6.replace('::10', '::66')}]/"]
    for how, rules in (("blocked", []), ("another address", allow(AT))):
        done = r.inside(f"refused, {how}", rules,
                        ["sh", "-c", REFUSED, "sh", *urls], "nc 1", "wget 4")
        took = [float(x) for x in done.out.split()
                if x.replace(".", "", 1).isdigit() and "." in x]
        r.checks.check(f"refused, {how}: at once", len(took) == len(urls) and
                       max(took) < AT_ONCE_S + done.late, done)


def story(world):
    checks = Checks()
    resolve = Resolve(world, checks)
    for part in (static, options, dig, missing_families, hellos, refused):
        part(resolve)
    return checks.status()
