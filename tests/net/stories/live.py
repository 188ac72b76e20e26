"""The policy of a session changes while its runs live.

SPDX-License-Identifier: Apache-2.0

What lives is held by world/hold.py, inside; the session by drive.c.
"""

import json
import os
import time

from world import judge, lib
from world.space import skip

from . import Checks, equip
from .sessions import Drive

ADDRESS, NAMED, OTHER, EVIL = ("203.0.113.9", "203.0.113.10", "203.0.113.11",
                               "203.0.113.66")
TCP, UDP = f"tcp/{ADDRESS}/9999", f"udp/{ADDRESS}/9999"
BY_NAME = "tcp/allowed.test/9999"
AT_ONCE_S = 1.0
FLIPS, FLIP_S = 30, 0.05
CHANGES = 40
BOTH = 4                  # of them last until the client has been there


class Session(Drive):
    """A session whose policy changes, and its audit."""

    def __init__(self, world, work, rule):
        self.world = world
        self.audit = world.new_audit()
        self.hold = os.path.join(work, "hold.py")
        super().__init__(world, work, rule, self.audit)

    def policy(self, mode, allow="-", deny="-"):
        self.say("policy", mode, allow, deny)
        return self.hear()

    def in_force(self):
        self.say("inforce")
        return json.loads(self.hear())

    def begin(self, run, *targets, mode="-", rules="-"):
        command = f"exec /usr/bin/python3 -B {self.hold} {' '.join(targets)}"
        said = self.start(run, mode, rules, command)
        return self.line(run) if said == "started" else said

    def attempt(self, run, target):
        self.tell(run, "try " + target)
        return self.line(run).removeprefix(target + " ")

    def alive(self, run):
        self.tell(run, "alive")
        return self.line(run)

    def stop(self, run):
        self.tell(run, "stop")
        return self.wait(run)

    def records(self):
        return lib.read_audit(self.audit)


def refused_now(checks, session, title, run, change, targets):
    """After `change` these end, within a second, with an error."""
    watch = session.world.stopwatch()
    said = change()
    ended = sorted(session.line(run) for _ in targets)
    prompt = watch.within(AT_ONCE_S)
    good = said == "changed" and prompt and all(
        e.startswith(f"ended {t} E") and not e.endswith("EPIPE")
        for e, t in zip(ended, sorted(targets), strict=True))
    checks.check(f"{title} within a second", good, said, ended,
                 watch.took())


def told(checks, session, title, *wanted):
    wrong = judge.judge_audit(session.records(), wanted)
    checks.check(f"{title}: the audit says so", not wrong, *wrong,
                 *session.records())


def nothing_to(checks, world, mark, title, *addresses):
    packets = [lib.describe(p) for p in world.seen(mark)
               if p.get("dst") in addresses]
    checks.check(f"{title}: nothing leaves any more", not packets, packets)


def revoked(world, checks, work):
    """H1: a rule goes while flows by it live; another one's stay."""
    session = Session(world, work, ADDRESS)
    said = session.policy("allowlist", f"{ADDRESS},allowed.test:9999")
    checks.check("revoke: rules come while nothing runs", said == "changed",
                 said)
    up = session.begin("r", TCP, UDP, BY_NAME)
    checks.check("revoke: flows live", up == "up 3", up)
    refused_now(checks, session, "revoke: they end", "r",
                lambda: session.policy("allowlist", "allowed.test:9999"),
                [TCP, UDP])
    mark = world.mark()
    alive = session.alive("r")
    checks.check("revoke: what is allowed lives on", alive == "alive 1",
                 alive)
    checks.check("revoke: and can be had anew",
                 (got := session.attempt("r", BY_NAME)) == "ok", got)
    checks.check("revoke: what is refused cannot",
                 (got := session.attempt("r", TCP)) == "ECONNREFUSED", got)
    nothing_to(checks, world, mark, "revoke", ADDRESS)
    end = session.stop("r")
    checks.check("revoke: the run never noticed", end[0] == "end 0", end)
    checks.check("revoke: the session closes", session.end() == 0)
    told(checks, session, "revoke",
         {"verdict": "deny", "reason": "policy", "address": ADDRESS,
          "layer": "tcp"},
         {"verdict": "deny", "reason": "policy", "address": ADDRESS,
          "layer": "udp"},
         {"verdict": "allow", "address": ADDRESS, "layer": "tcp",
          "bytes_out": lambda n: n > 0})


def shut(world, checks, work):
    """H2: open to blocked, and back, in the same namespace."""
    session = Session(world, work, "-")
    checks.check("shut: opened", session.policy("open") == "changed")
    up = session.begin("r", TCP, UDP, BY_NAME)
    checks.check("shut: flows live", up == "up 3", up)
    refused_now(checks, session, "shut: every flow ends", "r",
                lambda: session.policy("blocked"), [TCP, UDP, BY_NAME])
    mark = world.mark()
    for target, want in ((TCP, "ECONNREFUSED"), (UDP, "EPERM"),
                         ("name/other.test", "EAI")):
        got = session.attempt("r", target)
        checks.check(f"shut: {target} is refused", got == want, got)
    packets = world.seen(mark)
    checks.check("shut: nothing leaves", not packets,
                 *map(lib.describe, packets))
    checks.check("shut: open again", session.policy("open") == "changed")
    for target in (TCP, UDP, "name/other.test"):
        got = session.attempt("r", target)
        checks.check(f"shut: {target} is open again", got == "ok", got)
    session.stop("r")
    checks.check("shut: the session closes", session.end() == 0)
    told(checks, session, "shut",
         *({"verdict": "deny", "reason": "policy", "address": ADDRESS,
            "layer": layer} for layer in ("tcp", "udp")))


def opened(world, checks, work):
    """A posture that began as blocked is opened under its run."""
    session = Session(world, work, "-")
    up = session.begin("r")
    checks.check("opened: blocked first", up == "up 0" and
                 session.in_force()["network_mode"] == "blocked", up)
    got = session.attempt("r", TCP)
    checks.check("opened: refused", got == "ECONNREFUSED", got)
    said = session.policy("allowlist", f"{ADDRESS},allowed.test:9999")
    checks.check("opened: changed", said == "changed", said)
    for target in (TCP, UDP, BY_NAME):
        got = session.attempt("r", target)
        checks.check(f"opened: {target} is open", got == "ok", got)
    session.stop("r")
    checks.check("opened: the session closes", session.end() == 0)


def kept(world, checks, work):
    """H5: what is no policy, or passes the bound, changes nothing."""
    session = Session(world, work, ADDRESS)
    before = session.in_force()
    up = session.begin("r", TCP)
    checks.check("kept: a flow lives", up == "up 1", up)
    for mode, allow, deny, part in (
            ("allowlist", "a..b", "-", "a..b"),
            ("allowlist", "*.com", "-", "wide"),
            ("sideways", "-", "-", "network_mode"),
            ("blocked", "allowed.test", "-", "blocked"),
            ("allowlist", "allowed.test", "!x", "deny"),
            ("-", "-", "evil.test", "network_mode")):
        said = session.policy(mode, allow, deny)
        checks.check(f"kept: {mode} {allow} {deny} is refused",
                     said.startswith("error") and part in said, said)
    checks.check("kept: the old one is in force",
                 session.in_force() == before)
    alive = session.alive("r")
    checks.check("kept: the flow lives", alive == "alive 1", alive)
    session.stop("r")
    checks.check("kept: the session closes", session.end() == 0)


def emptied(world, checks, work):
    """H6 and H7: an empty list; a deny rule for every name."""
    session = Session(world, work, ADDRESS)
    up = session.begin("r", TCP)
    checks.check("emptied: a flow lives", up == "up 1", up)
    refused_now(checks, session, "emptied: it ends", "r",
                lambda: session.policy("allowlist", "{}"), [TCP])
    mark = world.mark()
    got = [session.attempt("r", t) for t in (TCP, UDP, "name/allowed.test")]
    checks.check("emptied: everything is refused",
                 got == ["ECONNREFUSED", "EPERM", "EAI"], got)
    said = session.policy("allowlist", f"allowed.test:9999,{ADDRESS}", "*")
    checks.check("deny *: changed", said == "changed", said)
    got = session.attempt("r", "name/allowed.test")
    checks.check("deny *: no name, though one is allowed", got == "EAI", got)
    packets = world.seen(mark)
    checks.check("deny *: nothing left", not packets,
                 *map(lib.describe, packets))
    got = session.attempt("r", TCP)
    checks.check("deny *: an address is no name", got == "ok", got)
    session.stop("r")
    checks.check("emptied: the session closes", session.end() == 0)
    told(checks, session, "deny *",
         {"verdict": "deny", "layer": "dns", "name": "allowed.test",
          "reason": "deny_rule", "rule": "*"})


def own_lists(world, checks, work):
    """A run with a list of its own has as much of it as the bound leaves."""
    session = Session(world, work, "203.0.113.0/24")
    up = session.begin("r", TCP, f"tcp/{NAMED}/9999", mode="allowlist",
                       rules=f"{ADDRESS},{NAMED}")
    checks.check("own list: flows live", up == "up 2", up)
    refused_now(checks, session, "own list: what exceeds the bound ends", "r",
                lambda: session.policy("allowlist", f"{NAMED},{OTHER}"),
                [TCP])
    for address, want in ((NAMED, "ok"), (ADDRESS, "ECONNREFUSED"),
                          (OTHER, "ECONNREFUSED")):
        got = session.attempt("r", f"tcp/{address}/9999")
        checks.check(f"own list: {address} {want}", got == want, got)
    said = session.start("w", "allowlist", ADDRESS, "true")
    checks.check("own list: the bound has moved",
                 said.startswith("error") and ADDRESS in said, said)
    said = session.begin("x", f"tcp/{OTHER}/9999")
    checks.check("own list: a run without one has the new policy",
                 said == "up 1", said)
    session.stop("x")
    session.policy("open")
    got = session.attempt("r", f"tcp/{OTHER}/9999")
    checks.check("own list: nothing gets wider", got == "ECONNREFUSED", got)
    session.stop("r")
    checks.check("own list: the session closes", session.end() == 0)


def dialled(world, mark, address):
    """Wait until a client that opens one after the other has been there: the
    third one begins when the second, which is of this policy, has ended."""
    world.until(lambda: sum(
        p.get("dst") == address and p.get("flags") == "S"
        for p in world.log("sniff", mark)) > 2)


def flipping(world, checks, work):
    """Back and forth: never more than one of the two allows."""
    session = Session(world, work, "-")
    one, two = f"{ADDRESS},allowed.test:9999", f"{OTHER},shared.test:9999"
    session.policy("allowlist", one)
    targets = [f"{p}/{a}/9999" for p in ("tcp", "udp")
               for a in (ADDRESS, OTHER, EVIL)]
    mark = world.mark()
    up = session.begin("r", "hammer", *targets, "tcp/evil.test/9999",
                       "tcp/allowed.test/9999")
    checks.check("flipping: the client is there", up.startswith("up"), up)
    said = set()
    for i in range(FLIPS):
        now = world.mark()
        said.add(session.policy("allowlist", one if i % 2 else two))
        if i < BOTH:
            dialled(world, now, ADDRESS if i % 2 else OTHER)
        else:
            time.sleep(FLIP_S)
    checks.check("flipping: every change is made", said == {"changed"}, said)
    last = world.mark()
    world.until(lambda: sum(p.get("dst") == ADDRESS
                            for p in world.log("sniff", last)) > 50)
    session.tell("r", "stop")
    counts = dict(x.rsplit("=", 1) for x in session.line("r").split())
    session.wait("r")
    mine = {ADDRESS, OTHER, NAMED, "2001:db8:113::10", lib.RESOLVER}
    wrong = [lib.describe(p) for p in world.seen(mark)
             if p.get("dst") not in mine or "evil" in lib.describe(p)]
    checks.check("flipping: nothing that neither allows", not wrong,
                 wrong[:9])
    checks.check("flipping: both were in force", all(
        int(counts[f"tcp/{a}/9999"]) > 0 for a in (ADDRESS, OTHER)), counts)
    checks.check("flipping: and reached", int(counts[f"tcp/{EVIL}/9999"]) == 0,
                 counts)
    late = [lib.describe(p) for p in world.seen(last)
            if p.get("dst") == OTHER and "S" in p.get("flags", "")]
    checks.check("flipping: the last one holds", not late, late[:9])
    checks.check("flipping: the session closes", session.end() == 0)


def proxied(world, checks, work):
    """Flows by the explicit proxy end, and live on, as any other."""
    session = Session(world, work, "-")
    going = [f"{p}/{h}/9999" for p in ("connect", "socks")
             for h in (ADDRESS, "other.test")]
    staying = [f"{p}/allowed.test/9999" for p in ("connect", "socks")]
    session.policy("allowlist",
                   f"allowed.test:9999,other.test:9999,{ADDRESS}")
    up = session.begin("r", *going, *staying)
    checks.check("proxied: flows live", up == "up 6", up)
    refused_now(checks, session, "proxied: they end", "r",
                lambda: session.policy("allowlist",
                                       f"allowed.test:9999,{OTHER}:1"), going)
    alive = session.alive("r")
    checks.check("proxied: what is allowed lives on", alive == "alive 2",
                 alive)
    # of an address that SOCKS is given, a name within may yet decide
    for target in going:
        got = session.attempt("r", target)
        checks.check(f"proxied: {target} is refused",
                     got in ("ECONNREFUSED", "ECONNRESET"), got)
    for target in staying:
        got = session.attempt("r", target)
        checks.check(f"proxied: {target} can be had anew", got == "ok", got)
    session.stop("r")
    checks.check("proxied: the session closes", session.end() == 0)
    told(checks, session, "proxied",
         {"verdict": "deny", "reason": "policy", "address": ADDRESS},
         {"verdict": "deny", "reason": "policy", "name": "other.test"})


def unbroken(world, checks, work):
    """What both policies allow is never refused, however often they change."""
    session = Session(world, work, "-")
    both = "allowed.test:9999,shared.test:80,shared.test:9999"
    lists = (f"{both},{OTHER}", f"{both},other.test:9999,tcp/{EVIL}:1")
    targets = [BY_NAME, "tcp/shared.test/9999", "name/allowed.test",
               "connect/allowed.test/9999"]
    session.policy("allowlist", lists[0])
    up = session.begin("r", "steady", *targets)
    checks.check("unbroken: the client is there", up == f"up {len(targets)}",
                 up)
    said = {session.policy("allowlist", lists[i % 2])
            for i in range(1, 1 + CHANGES)}
    checks.check("unbroken: every change is made", said == {"changed"}, said)
    session.tell("r", "stop")
    results = json.loads(session.line("r"))
    session.wait("r")
    refusals = [r for r in session.records() if r.get("verdict") == "deny"]
    for target in targets:
        checks.check(f"unbroken: {target}", set(results[target]) == {"ok"},
                     results, *refusals)
    checks.check("unbroken: the session closes", session.end() == 0)


def story(world):
    if not os.access(os.environ.get("EXEAT_DRIVE", ""), os.X_OK):
        skip("the session driver is not built")
    checks = Checks()
    work = equip(world, "work")
    world.put(work, os.path.join(os.path.dirname(lib.__file__), "hold.py"))
    for part in (revoked, shut, opened, kept, emptied, own_lists, flipping,
                 proxied, unbroken):
        part(world, checks, work)
    return checks.status()
