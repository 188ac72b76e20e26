"""A world to test in, and the three witnesses.

SPDX-License-Identifier: Apache-2.0

World makes the namespaces' two sides; its process is the host's root. Commands
of the *caller* (the user of the product) run by World.run() and World.exeat().
What happened is read from the program's output, from the sniffer's and the
servers' logs (World.seen(), World.log()), and from the product's audit.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

from . import fixtures, internet, sniffer
from .http import pattern_digest
from .pulse import Pulse, Stopwatch
from .record import Log, Watch, Writer
from .space import KINDS, enter, skip, unshare_net

HERE = os.path.dirname(os.path.abspath(__file__))
LOGS = ("dns", "http", "net", "host", "sniff")
HOST4, GATE4, RESOLVER = "192.0.2.2", "192.0.2.1", "192.0.2.53"
HOST6, GATE6 = "2001:db8:ffff::2", "2001:db8:ffff::1"
HOST_MAC, GATE_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"
CALLER_UID = 1000         # of an ordinary caller
OWNER_UID = 12345         # of the work dir when the caller is real root
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MOUNT_POINTS = ("/mnt", "/media", "/srv")   # of no program's files
# Neighbour discovery, group membership: the link's own noise.
LINK_NOISE = {("icmp6", t) for t in (133, 134, 135, 136, 143)}
TIMEOUT = 120             # of a command that hangs
BARRIER_S, BARRIER_TRIES = 30, 60     # how long a mark may take, tries

__all__ = ["KINDS", "World", "Result", "enter", "skip", "pattern_digest"]


class Result:
    """What one command left: its output, and the product's audit."""

    def __init__(self, code, out, err, watch, audit):
        self.code, self.out, self.err = code, out, err
        self.took, self.late = watch.took(), watch.late()
        self.audit = audit

    def within(self, seconds):
        """Did it take no more, but for what the machine took?"""
        return self.took <= seconds + self.late

    def __str__(self):
        lines = [f"exit {self.code} after {self.took:.2f} s "
                 f"({self.late:.2f} s granted)"]
        for name, text in (("stdout", self.out), ("stderr", self.err)):
            lines += [f"  {name}: {x}" for x in text[-3000:].splitlines()]
        lines += [f"  audit: {json.dumps(x)}" for x in self.audit[-20:]]
        return "\n".join(lines)


class World:
    def __init__(self, kind, ipv6=True, zone=None):
        self.kind, self.ipv6 = kind, ipv6
        self.children = []
        self._audits = 0
        self._folders(zone or os.path.join(HERE, "zone.json"))
        self.watch = Watch(self.log_folder)
        self.logs = {n: Log(self._log_path(n)) for n in LOGS}
        self._writers = {n: Writer(self._log_path(n)) for n in LOGS}
        self._link()
        self._start_sniffer()
        self._start_host()
        self._start_pulse()

    # ---- making it ----

    def _log_path(self, name):
        return os.path.join(self.log_folder, name + ".jsonl")

    def _folders(self, zone):
        """A file system of our own, so that nothing can stay behind."""
        point = _mount_point()
        _mount("tmpfs", point, "-t", "tmpfs", "-o", "mode=755")
        self.root = os.path.join(point, "world")
        self.log_folder = os.path.join(self.root, "log")
        self.tmp = os.path.join(self.root, "tmp")
        self.zone = zone
        for folder in (self.root, self.log_folder):
            os.mkdir(folder)
        os.mkdir(self.tmp)
        os.chmod(self.tmp, 0o1777)
        self.home = self.folder("home")
        fixtures.certificates(self.root, self._certified_names())
        self.ca = os.path.join(self.root, "ca.pem")
        if os.path.isdir("/etc/ssl/certs"):
            _mount("tmpfs", "/etc/ssl/certs", "-t", "tmpfs", "-o", "mode=755")
            fixtures.trust_folder("/etc/ssl/certs", self.ca)
        self._etc("hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self._etc("resolv.conf",
                  f"search corp.test\nnameserver {RESOLVER}\n")

    def _etc(self, name, text):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        _mount(path, os.path.realpath("/etc/" + name), "--bind")

    def _certified_names(self):
        with open(self.zone, encoding="ascii") as f:
            names = [n for n in json.load(f) if "_" not in n]
        return [f"DNS:{n}" for n in names] + ["IP:203.0.113.50",
                                              "IP:2001:db8:113::50"]

    def _fork(self, body):
        """A child that runs body(ready); returns once it was ready."""
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(r)
                body(lambda: os.write(w, b"r"))
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(w)
        self.children.append(pid)
        return pid, r

    @staticmethod
    def _ready(r):
        word = os.read(r, 1)
        os.close(r)
        if not word:
            raise OSError("a server of the world died")

    def _link(self):
        start_r, start_w = os.pipe()

        def far(ready):
            import asyncio
            unshare_net()
            _quiet_ipv6()
            os.write(far_w, b"n")
            os.read(start_r, 1)
            internet.batch(
                ["link set lo up",
                 f"address add {GATE4}/30 dev net0",
                 f"address add {GATE6}/64 dev net0 nodad",
                 "address add fe80::a9fe:a9fe/64 dev net0 nodad",
                 "address add fe80::53/64 dev net0 nodad",
                 "link set net0 up",
                 f"neigh add {HOST4} lladdr {HOST_MAC} dev net0",
                 f"neigh add {HOST6} lladdr {HOST_MAC} dev net0",
                 *internet.routes()])
            asyncio.run(internet.serve(self.root, self.zone, self._writers,
                                       ready))

        far_r, far_w = os.pipe()
        pid, r = self._fork(far)
        os.read(far_r, 1)
        _quiet_ipv6()
        # Outside, anybody may ping: inside it must be the product's doing.
        _sysctl("ipv4/ping_group_range",
                "0 2147483647" if self.kind == "root" else "0 0")
        if not self.ipv6:
            _sysctl("ipv6/conf/default/disable_ipv6", 1)
        commands = [
            "link set lo up",
            f"link add wan0 address {HOST_MAC} type veth "
            f"peer name net0 address {GATE_MAC} netns {pid}",
            f"address add {HOST4}/30 dev wan0", "link set wan0 up",
            f"neigh add {GATE4} lladdr {GATE_MAC} dev wan0",
            f"route add default via {GATE4}"]
        if self.ipv6:
            commands += [
                f"address add {HOST6}/64 dev wan0 nodad",
                f"neigh add {GATE6} lladdr {GATE_MAC} dev wan0",
                f"route add default via {GATE6}"]
        try:
            internet.batch(commands)
        except OSError as e:
            if "Unknown device type" in str(e):
                skip("this kernel has no veth")
            raise
        os.write(start_w, b"g")
        self._ready(r)
        for fd in (start_r, start_w, far_r, far_w):
            os.close(fd)

    def _start_sniffer(self):
        sock, ring = sniffer.open_ring("wan0")

        def listen(ready):
            ready()
            sniffer.run(sock, ring, self._writers["sniff"])
        _, r = self._fork(listen)
        self._ready(r)
        sock.close()
        ring.close()

    def _start_host(self):
        def host(ready):
            import asyncio
            asyncio.run(internet.serve_host(self._writers["host"], ready))
        _, r = self._fork(host)
        self._ready(r)

    def _start_pulse(self):
        self._pulse = Pulse()
        _, r = self._fork(self._pulse.run)
        self._ready(r)

    def stopwatch(self):
        return Stopwatch(self._pulse)

    # ---- the caller ----

    def as_caller(self):
        """What stands before a command line of the caller's."""
        if self.kind == "user":
            return ["unshare", "--user", f"--map-user={CALLER_UID}",
                    f"--map-group={CALLER_UID}", "--"]
        return []

    def folder(self, name):
        """A folder of the caller's, empty; the same name is the same one."""
        path = os.path.join(self.tmp, name)
        os.makedirs(path, exist_ok=True)
        if self.kind == "root":
            os.chown(path, OWNER_UID, OWNER_UID)
        return path

    def put(self, folder, source, name=None):
        """Copy a file into a folder of the caller's."""
        path = os.path.join(folder, name or os.path.basename(source))
        shutil.copy(source, path)
        if self.kind == "root":
            os.chown(path, OWNER_UID, OWNER_UID)
        return path

    def environment(self, extra=None):
        env = {"PATH": SYSTEM_PATH, "HOME": self.home, "TMPDIR": self.tmp,
               "LANG": "C.UTF-8"}
        for key, value in os.environ.items():
            if key.startswith(("ASAN_", "UBSAN_", "LSAN_", "EXEAT_")):
                env[key] = value
        env.update(extra or {})
        return env

    def start(self, argv, env=None, cwd=None, stdin=subprocess.DEVNULL,
              under=()):
        """Start a command of the caller's, `under` a program that becomes it;
        its pid is the command's own."""
        return subprocess.Popen(
            [*self.as_caller(), *under, *argv], env=self.environment(env),
            cwd=cwd or self.home, stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def run(self, argv, timeout=TIMEOUT, stdin=None, audit=None, **how):
        """Run a command of the caller's to its end; stdin: bytes or a file."""
        watch = self.stopwatch()
        is_file = hasattr(stdin, "fileno")
        child = self.start(argv, stdin=stdin if is_file else subprocess.PIPE,
                           **how)
        try:
            out, err = child.communicate(None if is_file else stdin or b"",
                                         timeout)
            code = child.returncode
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err += b"\n(killed by the test: it took too long)"
            code = -signal.SIGKILL
        return Result(code, out.decode("utf-8", "backslashreplace"),
                      err.decode("utf-8", "backslashreplace"), watch,
                      read_audit(audit))

    def new_audit(self):
        self._audits += 1
        return os.path.join(self.tmp, f"audit-{self._audits}.jsonl")

    def exeat(self, options, command, **how):
        """exeat run OPTIONS --audit FILE -- COMMAND"""
        audit = self.new_audit()
        return self.run([product(), "run", *options, "--audit", audit, "--",
                         *command], audit=audit, **how)

    def start_exeat(self, options, command, **how):
        """The same, started only: (child, audit file)."""
        audit = self.new_audit()
        return self.start([product(), "run", *options, "--audit", audit, "--",
                           *command], **how), audit

    # ---- the witnesses ----

    def writer(self, name):
        """What appends to a log, for services that a test adds."""
        return self._writers[name]

    def until(self, condition, timeout=30.0):
        return self.watch.until(condition, timeout)

    def mark(self):
        """Now, in every log: give it to seen() and log()."""
        self.barrier()
        return {name: log.mark() for name, log in self.logs.items()}

    def log(self, name, mark):
        return self.logs[name].since(mark[name])

    def barrier(self):
        """Return when all that was sent so far has been logged."""
        nonce = os.urandom(8)
        since = {n: self.logs[n].mark() for n in ("sniff", "net")}

        def arrived():
            return all(any(r.get("head") == nonce.hex() and _is_mark(r)
                           for r in self.log(n, since)) for n in since)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            # Again and again: under a flood one datagram may be dropped.
            for _ in range(BARRIER_TRIES):
                s.sendto(nonce, (GATE4, internet.MARK_PORT))
                if self.until(arrived, BARRIER_S / BARRIER_TRIES):
                    return
        raise AssertionError("the sniffer or the servers are blind")

    def seen(self, mark):
        """Packets that left the host since the mark, without link noise."""
        self.barrier()
        out = []
        before = {_flow(r) for r in self.logs["sniff"].read()[:mark["sniff"]]
                  if "S" in r.get("flags", "")}
        for r in self.log("sniff", mark):
            if r.get("lost"):
                raise AssertionError(f"the sniffer lost {r['lost']} packets")
            noise = r["proto"] == "arp" or \
                (r["proto"], r.get("type")) in LINK_NOISE
            # the end of a connection that began, and was judged, before
            late = r["proto"] == "tcp" and not r.get("bytes") and \
                "S" not in r.get("flags", "S") and _flow(r) in before
            if not noise and not late and not _is_mark(r):
                out.append(r)
        return out

    def close(self):
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)


def _flow(record):
    return tuple(record.get(k) for k in ("src", "sport", "dst", "dport"))


def _is_mark(record):
    return internet.MARK_PORT in (record.get("dport"), record.get("port"))


def _mount_point():
    """A folder of the system that nothing of the test lies in."""
    needed = [HERE, *(os.path.realpath(v) for k, v in os.environ.items()
                      if k.startswith("EXEAT") and v.startswith("/"))]
    for point in MOUNT_POINTS:
        if os.path.isdir(point) and not any(
                path.startswith(point + "/") for path in needed):
            return point
    skip(f"none of {' '.join(MOUNT_POINTS)} is there and free")


def _mount(source, target, *options):
    subprocess.run(["mount", *options, source, target], check=True)


def _sysctl(name, value):
    with open("/proc/sys/net/" + name, "w", encoding="ascii") as f:
        f.write(str(value))


def _quiet_ipv6():
    """Links made from now on speak of their own accord as little as can be."""
    _sysctl("ipv6/conf/default/dad_transmits", 0)
    _sysctl("ipv6/conf/default/router_solicitations", 0)


def product():
    """The program under test."""
    path = os.environ.get("EXEAT", "")
    if not path:
        raise SystemExit("EXEAT names the program to test")
    if not os.access(path, os.X_OK):
        skip(f"{path} is not built")
    return path


def read_audit(path):
    if path is None or not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def describe(packet):
    """A packet of the sniffer's in one line."""
    to = packet.get("dst", "?")
    name = sniffer.question(packet) if packet.get("dport") == 53 else None
    return (f"{packet['proto']} {to}"
            f"{':%d' % packet['dport'] if 'dport' in packet else ''}"
            f"{' ' + packet.get('flags', '') if 'flags' in packet else ''}"
            f"{' asks ' + name if name else ''}")


def main(body, ipv6=True, callers=KINDS):
    """Enter a world for each of these kinds of callers and run body(World)."""
    def inside(kind):
        world = World(kind, ipv6)
        print(f"# caller: {kind}", flush=True)
        return body(world)
    enter(inside, callers)
