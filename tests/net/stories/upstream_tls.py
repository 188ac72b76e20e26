"""Bring your own proxy, within TLS.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os

from world import judge, proxy, tlsproxy
from world.lib import pattern_digest

from . import Checks, helpers, kill, upstream
from .upstream import AT, CURL, FIRST, NAME, TLS, exeat, goes, reasons

PROXY = tlsproxy.NAME
ECHO = "203.0.113.9"
SIZE = 32 << 20
ZEROS = "83ee47245398adee79bd9c0a8bc57b821e92aba10f5f9ade8a5d1fae4d8c4302"
SQUID = upstream.SQUID.replace(
    "http_port {at}:3180",
    "https_port {at}:3190 tls-cert={tmp}/squid.pem") + "visible_hostname x\n"
# All of them open at once, each with bytes of its own; a few begin at a time.
MANY = """import asyncio, hashlib, sys
n, size, at = int(sys.argv[1]), 20000, sys.argv[2]
begins = asyncio.Semaphore(10)
async def begin():
    async with begins:
        reader, writer = await asyncio.open_connection(at, 7)
        writer.write(b"x")
        await reader.readexactly(1)
        return reader, writer
async def one(i, reader, writer):
    data = hashlib.shake_128(b"%d" % i).digest(size)
    async def write():
        writer.write(data)
        await writer.drain()
        writer.write_eof()
    back = (await asyncio.gather(reader.read(-1), write()))[0]
    writer.close()
    return back == data
async def main():
    all = await asyncio.gather(*(begin() for _ in range(n)))
    return sum(await asyncio.gather(*(one(i, *c) for i, c in
                                      enumerate(all))))
print("equal", asyncio.run(main()))
"""
# What came before the end, and which end it was.
TO_THE_END = """import socket
s = socket.create_connection(("{name}", 2525), 20)
n = 0
try:
    while data := s.recv(65536):
        n += len(data)
    print(n, "end")
except ConnectionResetError:
    print(n, "reset")
"""


def url(port, host=PROXY, login=""):
    return f"https://{login}{host}:{port}"


def shell(text):
    return ["sh", "-c", text]


def python(text, *args):
    return ["/usr/bin/python3", "-c", text, *args]


def wrong(world, mark, port, *names):
    """Packets of another way than the proxy's, and of other look-ups."""
    return goes(world.seen(mark), port, NAME, PROXY, *names)


def through(world, checks, what, where, port, command, *more, names=(), **how):
    mark = world.mark()
    r = exeat(world, where, command, *more, **how)
    packets = wrong(world, mark, port, *names)
    checks.check(f"{what}: gets there",
                 r.code == 0 and f"hello from {NAME}" in r.out, r)
    checks.check(f"{what}: by the proxy alone", not packets, packets)
    return r


# ---- honest ones ----

def honest(world, checks, log):
    idn = tlsproxy.IDN.encode("idna").decode()
    for what, where, port, sni, more in (
            ("a name", url(3443), 3443, PROXY, []),
            ("an address", url(3443, AT), 3443, None, []),
            ("IDN", url(3443, tlsproxy.IDN), 3443, idn, []),
            ("a long name", url(3443, tlsproxy.LONG), 3443, tlsproxy.LONG,
             []),
            ("credentials", url(3444, login=proxy.LOGIN), 3444, PROXY, []),
            ("TLS 1.2", url(3445), 3445, PROXY, []),
            ("small records", url(3446), 3446, PROXY, []),
            ("by name", url(3443), 3443, PROXY, ["--upstream-by", "name"]),
            ("the proxy resolves", url(3443, AT), 3443, None,
             ["--upstream-dns", "proxy"])):
        at = log.mark()
        r = through(world, checks, what, where, port, TLS, *more,
                    names=[idn, tlsproxy.LONG])
        told = log.since(at)
        checks.check("... and the handshake was right", any(
            x.get("sni") == sni and x.get("alpn") == "http/1.1" and
            x.get("tls") == ("TLSv1.2" if port == 3445 else "TLSv1.3")
            for x in told), told)
        shown = r.out + r.err + json.dumps(r.audit)
        checks.check("... and no password is shown", "s3cret" not in shown,
                     shown)
    through(world, checks, "env", "env", 3443, TLS,
            env={"https_proxy": url(3443)})
    r = exeat(world, url(3443), python(FIRST.format(name=NAME)))
    checks.check("a server that speaks first", "220 smtp.test" in r.out, r)
    mark = world.mark()
    r = exeat(world, url(3443), TLS, "--upstream-direct", NAME)
    packets = judge.judge_packets(
        judge.begun(world.seen(mark)), ["tcp 203.0.113.10 443"],
        [f"dns {NAME}", f"dns {PROXY}", f"tcp {AT} {tlsproxy.SILENT}"])
    checks.check("an exception goes direct", r.code == 0 and not packets,
                 packets, r)


def authorities(world, checks, _log):
    keys = os.path.join(world.root, "proxies")
    other = os.path.join(keys, "ca.pem")
    own = os.path.join(keys, "self.pem")
    through(world, checks, "an authority of the caller's", url(4103), 4103,
            TLS, "--ca", other)
    through(world, checks, "a certificate that is its own authority",
            url(4104), 4104, TLS, "--ca", own)
    through(world, checks, "the machine's count as well", url(3443), 3443, TLS,
            "--ca", other)
    r = exeat(world, url(4103), TLS, "--ca", own)
    checks.check("but no other's", r.code != 0 and any(
        "unknown authority" in x for x in reasons(r)), r)
    for what, where, path, says in (
            ("no such file", url(3443), "/nowhere", "No such file"),
            ("no certificate in it", url(3443), world.zone, "no certificate"),
            ("a key", url(3443), os.path.join(keys, "good.key"),
             "no certificate")):
        r = exeat(world, where, TLS, "--ca", path)
        checks.check(f"--ca, {what}: an error",
                     r.code == 125 and says in r.err, r)


# ---- bytes ----

def much(world, checks, _log):
    r = exeat(world, url(3443), shell(
        f"curl -sS https://{NAME}/bytes/{SIZE} | sha256sum"), timeout=120)
    checks.check("32 MB down", pattern_digest(SIZE) in r.out, r)
    r = exeat(world, url(3443), shell(
        f"head -c {SIZE} /dev/zero | curl -sS -T - http://{NAME}/x"),
              timeout=120)
    checks.check("32 MB up", f"{SIZE} {ZEROS}" in r.out, r)
    r = exeat(world, url(3443, AT), python(MANY, "200", ECHO), rules=[
        "--allow", ECHO], timeout=120)
    checks.check("200 connections at once, half-closed each",
                 "equal 200" in r.out, r)


def ends(world, checks, _log):
    last = python(TO_THE_END.format(name=NAME))
    r = exeat(world, url(tlsproxy.CUT), last)
    checks.check("cut off without close_notify: a reset, no end",
                 r.out.endswith(" reset\n"), r)
    r = exeat(world, url(tlsproxy.AFTER), python(
        "import socket\n"
        f"s = socket.create_connection(('{NAME}', 2525), 20)\n"
        "s.sendall(b'x')\n"
        "try: print('got', s.recv(100))\n"
        "except ConnectionResetError: print('reset')"))
    checks.check("plain text behind the handshake is nobody's",
                 "reset" in r.out and "got" not in r.out, r)
    r = exeat(world, url(tlsproxy.CLIENT), TLS)
    checks.check("one that wants a certificate of ours", r.code != 0 and any(
        "closed before" in x for x in reasons(r)), r)


# ---- ones that are not ----

def heard(log, at, port):
    return [x for x in log.since(at) if x["port"] == port]


def hostile(world, checks, log):
    for port, (what, says) in tlsproxy.HOSTILE.items():
        if port == tlsproxy.SILENT:
            continue
        mark, at = world.mark(), log.mark()
        r = exeat(world, url(port, login=proxy.LOGIN), TLS)
        packets = wrong(world, mark, port)
        checks.check(f"{what}: nothing goes another way", not packets,
                     packets)
        checks.check(f"{what}: refused, and said why", r.code != 0 and any(
            says in x for x in reasons(r)), r)
        if "at once" in what:
            continue
        # it may be slower than who was refused
        world.until(lambda at=at, port=port: heard(log, at, port), 30)
        told = heard(log, at, port)
        checks.check("... and it heard no word that was not for it",
                     told and "within" in what or
                     told and all("head" not in x and
                                  x.get("raw", "1603").startswith("1603")
                                  for x in told), told)


def silent(world):
    """One that says nothing, which takes until it is late: (child, audit)."""
    return world.start_exeat(
        [*upstream.RULES, "--upstream-proxy", url(tlsproxy.SILENT)],
        ["curl", "-sS", f"https://{NAME}/"])


def late(checks, child, audit):
    out, err = child.communicate(timeout=60)
    with open(audit, encoding="utf-8") as f:
        text = f.read()
    checks.check("silence: refused, and said why",
                 child.returncode != 0 and "no handshake of TLS" in text,
                 out, err, text)


def gone(world, checks, _log):
    """What holds TLS dies: so does the session, and nothing goes direct."""
    others = helpers().get("tls", [])
    child, _ = world.start_exeat(
        [*upstream.RULES, "--upstream-proxy", url(3443)],
        shell(f"curl -sS https://{NAME}/; echo ready; exec sleep 600"))
    for line in child.stdout:
        if b"ready" in line:
            break
    mark = world.mark()
    kill(set(helpers().get("tls", [])) - set(others))
    out, err = child.communicate(timeout=60)
    packets = judge.judge_packets(
        judge.begun(world.seen(mark)), [],
        [f"tcp {AT} 3443", f"tcp {AT} {tlsproxy.SILENT}"])
    checks.check("its process is gone: the session is over",
                 child.returncode == 125 and not packets, out, err, packets)


def shown(world, checks, _log):
    """What a policy file says of its proxy is shown, but for secrets."""
    path = os.path.join(world.tmp, "upstream-tls.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({"version": 1, "upstream_proxy":
                   f"https://{proxy.LOGIN}{PROXY}:3444",
                   "network_allowlist": [NAME, {
                       "rule": "other.test:443",
                       "upstream_proxy": "direct"}]}, f)
    r = world.run([os.environ["EXEAT"], "policy", "check", path])
    found = json.loads(r.out or "{}")
    checks.check("policy check shows the proxy, not the password",
                 found.get("upstream_proxy") ==
                 f"https://***:***@{PROXY}:3444" and
                 found.get("upstream_direct") == ["tcp/other.test:443"] and
                 "s3cret" not in r.out + r.err, r)
    with open(path, "w", encoding="ascii") as f:
        f.write(r.out)
    again = world.run([os.environ["EXEAT"], "policy", "check", path])
    checks.check("... in a form that is read again", again.out == r.out,
                 again)


def debian(world, checks, _log):
    """squid itself, which speaks TLS by another library."""
    tmp = world.folder("squid-tls")
    os.chmod(tmp, 0o777)
    passwd = upstream.password_file(tmp)
    keys = os.path.join(world.root, "proxies")
    with open(os.path.join(tmp, "squid.pem"), "wb") as out:
        for name in ("good.pem", "good.key"):
            with open(os.path.join(keys, name), "rb") as f:
                out.write(f.read())
    conf = os.path.join(tmp, "squid.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(SQUID.format(at=AT, tmp=tmp, passwd=passwd,
                             auth="/usr/lib/squid/basic_ncsa_auth"))
    upstream.packaged(world, checks, "squid within TLS",
                      ["squid", "-N", "-f", conf],
                      f"https://me:s3cret@{PROXY}:3190", 3190,
                      names=[PROXY])


def story(world):
    checks = Checks()
    proxy.start(world)
    tlsproxy.start(world)
    waits = silent(world)
    for part in (honest, authorities, much, ends, hostile, gone, shown,
                 debian):
        part(world, checks, world.logs["net"])
    late(checks, *waits)
    return checks.status()
