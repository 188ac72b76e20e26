"""Bring your own proxy: honest ones, Debian's, and ones that are not.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import shutil
import socket
import subprocess

from world import judge, proxy, tlsproxy

from . import Checks

AT = proxy.ADDRESS
NAME, TARGET = "allowed.test", "203.0.113.10"
RULES = ["--allow", NAME, "--allow", NAME + ":2525"]
# which family a curl prefers differs
CURL = ["curl", "-4", "-sS", "-m", "60"]
TLS = [*CURL, f"https://{NAME}/"]
# As people run them, on ports of their own.
SQUID = """http_port {at}:3180
acl all src 0.0.0.0/0
auth_param basic program {auth} {passwd}
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
pid_filename none
cache_log {tmp}/squid.log
access_log none
cache deny all
coredump_dir {tmp}
shutdown_lifetime 0 seconds
"""
TINYPROXY = """Port 3181
Listen {at}
Timeout 60
MaxClients 20
LogLevel Critical
BasicAuth me s3cret
"""
DANTE = """logoutput: {tmp}/dante.log
internal: {at} port = 3182
external: {at}
socksmethod: none
clientmethod: none
user.privileged: {user}
user.unprivileged: {user}
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""
# One id in a user namespace: they refuse to be root, or need not be.
PLAIN = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]


def exeat(world, url, command, *more, rules=RULES, **how):
    return world.exeat([*rules, "--upstream-proxy", url, *more], command,
                       **how)


def goes(packets, port, *names):
    """What is not of the proxy's, nor a look-up of these names."""
    return judge.judge_packets(
        judge.begun(packets), [f"tcp {AT} {port}"],
        # the slow ones hear late that nobody listens
        [f"tcp {AT} {proxy.SLOW}", f"tcp {AT} {tlsproxy.SILENT}",
         *(f"dns {n}" for n in names)])


def reasons(result, verdict="fail"):
    return [r.get("reason", "") for r in result.audit
            if r.get("verdict") == verdict and r.get("layer") != "dns"]


def through(world, checks, what, url, port, command=TLS, *more, names=(),
            **how):
    mark = world.mark()
    r = exeat(world, url, command, *more, **how)
    packets = world.seen(mark)
    checks.check(f"{what}: gets there",
                 r.code == 0 and f"hello from {NAME}" in r.out, r)
    wrong = goes(packets, port, *names,
                 *([] if "proxy" in more else [NAME]))
    checks.check(f"{what}: by the proxy alone", not wrong, wrong)
    return r


# ---- honest ones ----

def ours(world, checks, log):
    user = proxy.LOGIN
    for url, port, says in (
            (f"http://{AT}:3128", 3128, f"CONNECT {TARGET}:443"),
            (f"http://{user}{AT}:3129", 3129, f"CONNECT {TARGET}:443"),
            (f"socks5://{AT}", 1080, TARGET),
            (f"socks5://{user}{AT}:1081", 1081, TARGET),
            (f"socks5h://{user}{AT}:1081", 1081, NAME)):
        at = log.mark()
        r = through(world, checks, url.replace(user, "USER@"), url, port)
        told = json.dumps(log.since(at))
        checks.check("... and it is told what it should be", says in told,
                     told)
        shown = r.out + r.err + json.dumps(r.audit)
        checks.check("... and no password is shown",
                     "s3cret" not in shown, shown)
    at = log.mark()
    through(world, checks, "by name", f"http://{AT}:3128", 3128, TLS,
            "--upstream-by", "name")
    checks.check("... and it is told the name",
                 f"CONNECT {NAME}:443" in json.dumps(log.since(at)))
    at = log.mark()
    through(world, checks, "open, by name", f"socks5h://{AT}", 1080, TLS,
            "--net", "open", rules=[])
    checks.check("... and it is told the name of the address",
                 NAME in json.dumps(log.since(at)))
    for more in ([], ["--upstream-by", "name"], ["--upstream-dns", "proxy"]):
        through(world, checks, f"the explicit proxy inside {more}",
                f"http://{AT}:3128", 3128, TLS, "--proxy-env", *more)
    for more in ([], ["--upstream-dns", "proxy"]):
        at = log.mark()
        through(world, checks, f"a name inside, a name outside {more}",
                f"socks5h://{user}{AT}:1081", 1081, TLS, "--proxy-env",
                *more)
        told = json.dumps(log.since(at))
        checks.check("... and it is told the name alone",
                     NAME in told and TARGET not in told, told)
    r = exeat(world, f"http://{AT}:3128",
              ["/usr/bin/python3", "-c", FIRST.format(name=NAME)])
    checks.check("a server that speaks first", "220 smtp.test" in r.out, r)


FIRST = """import socket
s = socket.create_connection(("{name}", 2525), 60)
print(s.recv(100).decode())
"""


def synthetic(world, checks, log):
    url = f"http://{AT}:3128"
    at = log.mark()
    r = through(world, checks, "the proxy resolves", url, 3128, TLS,
                "--upstream-dns", "proxy")
    checks.check("... and is told the name",
                 f"CONNECT {NAME}:443" in json.dumps(log.since(at)))
    checks.check("... which had an address of 198.18.0.0/15",
                 any(x.get("address", "").startswith("198.18.")
                     for x in r.audit), r)
    mark = world.mark()
    r = exeat(world, url, [*CURL, "https://evil.test/"],
              "--upstream-dns", "proxy")
    checks.check("another name: refused, nothing leaves",
                 r.code == 6 and not judge.begun(world.seen(mark)), r)
    mark = world.mark()
    r = exeat(world, url, [*CURL, "--resolve", f"{NAME}:443:198.18.0.77",
                           f"https://{NAME}/"], "--upstream-dns", "proxy")
    checks.check("an address that was not given: refused",
                 r.code != 0 and not judge.begun(world.seen(mark)), r)
    r = exeat(world, url, ["sh", "-c", f"getent ahostsv4 {NAME} && "
                           + " ".join([*CURL, "--connect-to",
                                       f"evil.test:443:{NAME}:443",
                                       "https://evil.test/"])],
              "--upstream-dns", "proxy")
    checks.check("another name on a given address: refused",
                 r.code != 0 and "198.18." in r.out, r)


def exceptions(world, checks, _log):
    url = f"http://{AT}:3128"
    for what, more, how in (
            ("an option", ["--upstream-direct", NAME], {}),
            ("a range", ["--upstream-direct", "203.0.113.0/24"], {})):
        mark = world.mark()
        r = exeat(world, url, TLS, *more, **how)
        wrong = judge.judge_packets(judge.begun(world.seen(mark)),
                                    [f"tcp {TARGET} 443"], [f"dns {NAME}"])
        checks.check(f"direct by {what}", r.code == 0 and not wrong, wrong, r)
    mark = world.mark()
    policy = os.path.join(world.tmp, "upstream.json")
    with open(policy, "w", encoding="ascii") as f:
        json.dump({"version": 1, "upstream_proxy": url, "network_allowlist": [
            {"rule": NAME + ":443", "upstream_proxy": "direct"},
            NAME + ":80"]}, f)
    r = world.exeat(["--policy", policy], TLS)
    wrong = judge.judge_packets(judge.begun(world.seen(mark)),
                                [f"tcp {TARGET} 443"], [f"dns {NAME}"])
    checks.check("direct by a rule of the policy file",
                 r.code == 0 and not wrong, wrong, r)
    mark = world.mark()
    r = world.exeat(["--policy", policy], [*CURL, f"http://{NAME}/"])
    wrong = goes(world.seen(mark), 3128, NAME)
    checks.check("... and another rule's by the proxy",
                 r.code == 0 and not wrong, wrong, r)
    mark = world.mark()
    r = world.exeat([*RULES, "--upstream-proxy", "env"], TLS,
                    env={"https_proxy": f"{AT}:3128",
                         "no_proxy": "localhost,other.test,10.0.0.0/8"})
    wrong = goes(world.seen(mark), 3128, NAME)
    checks.check("env: the proxy, and what goes direct is said",
                 r.code == 0 and not wrong and
                 "not by the proxy: *.other.test" in r.err, wrong, r)
    path = os.path.join(world.tmp, "url")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"http://{proxy.LOGIN}{AT}:3129\nnot this\n")
    through(world, checks, "@FILE", "@" + path, 3129)


# ---- ones that are not ----

WANTED = {4001: "does not speak", 4002: "closed before", 4003: "not speak",
          4004: "closed before", 4005: "HTTP 407", 4006: "Basic",
          4007: "HTTP 403", 4008: "HTTP 502", 4009: "HTTP 302",
          4010: "does not speak", 4012: "none of our ways",
          4013: "SOCKS reply 2", 4014: "does not speak"}


def hostile(world, checks, _log):
    for port, (what, _) in proxy.HOSTILE.items():
        scheme = "socks5" if "SOCKS" in what else "http"
        url = f"{scheme}://u:p@{AT}:{port}"
        mark = world.mark()
        r = exeat(world, url, TLS)
        wrong = goes(world.seen(mark), port, NAME)
        checks.check(f"{what}: nothing goes another way", not wrong, wrong)
        if port in WANTED:
            checks.check(f"{what}: refused, and said why",
                         r.code != 0 and
                         any(WANTED[port] in x for x in reasons(r)), r)
    r = exeat(world, f"http://{AT}:4011",
              ["/usr/bin/python3", "-c", FIRST.format(name=NAME)])
    checks.check("bytes behind the head are the target's",
                 "SSH-2.0-World" in r.out, r)
    mark = world.mark()
    r = exeat(world, f"http://{AT}:{proxy.SLOW}",
              ["curl", "-sS", "-m", "2", f"https://{NAME}/"])
    wrong = goes(world.seen(mark), proxy.SLOW, NAME)
    checks.check("a slow one: nothing goes another way",
                 r.code != 0 and not wrong, wrong, r)


# ---- Debian's ----

def listens(port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex((AT, port)) == 0


def packaged(world, checks, what, argv, url, port, plain=True, names=()):
    """One of Debian's proxies, if it is installed."""
    if not shutil.which(argv[0]):
        print(f"# {argv[0]} is not installed", flush=True)
        if os.environ.get("EXEAT_MUST_RUN") == "1":
            checks.check(f"{what} is installed", False)
        return
    child = proxy.far(world, [*(PLAIN if plain else []), *argv],
                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if not world.until(lambda: listens(port)):
            checks.check(f"{what} starts", False, child.poll())
            return
        through(world, checks, what, url, port, names=names)
        through(world, checks, what + ", by name", url, port, TLS,
                "--upstream-by", "name", names=names)
        if "@" in url:
            r = exeat(world, url.replace("s3cret", "wrong"), TLS)
            checks.check(f"{what}: with another password refused",
                         r.code != 0 and reasons(r), r)
    finally:
        child.terminate()
        child.wait()


def password_file(folder):
    """For squid: me, s3cret."""
    path = os.path.join(folder, "passwd")
    crypt = subprocess.run(["openssl", "passwd", "-apr1", "s3cret"],
                           capture_output=True, text=True, check=True).stdout
    with open(path, "w", encoding="ascii") as f:
        f.write("me:" + crypt)
    return path


def debian(world, checks, _log):
    tmp = world.folder("proxies")
    os.chmod(tmp, 0o777)
    places = {"at": AT, "tmp": tmp, "user": "root",
              "auth": "/usr/lib/squid/basic_ncsa_auth",
              "passwd": password_file(tmp)}
    confs = {}
    for name, text in (("squid", SQUID), ("tiny", TINYPROXY),
                       ("dante", DANTE)):
        confs[name] = os.path.join(tmp, name + ".conf")
        with open(confs[name], "w", encoding="ascii") as f:
            f.write(text.format(**places))
    packaged(world, checks, "squid", ["squid", "-N", "-f", confs["squid"]],
             f"http://me:s3cret@{AT}:3180", 3180)
    packaged(world, checks, "tinyproxy", ["tinyproxy", "-d", "-c",
                                          confs["tiny"]],
             f"http://me:s3cret@{AT}:3181", 3181)
    packaged(world, checks, "dante", ["danted", "-f", confs["dante"]],
             f"socks5://{AT}:3182", 3182, plain=False)
    packaged(world, checks, "microsocks",
             ["microsocks", "-i", AT, "-p", "3183", "-u", "me", "-P",
              "s3cret"], f"socks5://me:s3cret@{AT}:3183", 3183)


def story(world):
    checks = Checks()
    proxy.start(world)
    for part in (ours, synthetic, exceptions, hostile, debian):
        part(world, checks, world.logs["net"])
    return checks.status()
