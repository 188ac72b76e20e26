"""What rows share that are about somebody else: a session that lives, the far
side of the link, services of the host's own.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import selectors
import signal
import socket
import subprocess

from world import lib

KNOCK = os.path.join(os.path.dirname(lib.__file__), "knock.py")
GATE_TCP = (64501, 64502, 64505)
GATE_UDP = (64503, 64504)
# On loopback inside; the resolver and the host's alias, on no interface.
INSIDE = ("127.0.0.1", "::1", "192.0.0.2", "fd5a:8f3c:e7a1::2", "192.0.0.5",
          "192.0.0.6", "0.0.0.0", "::")
HOSTS = (lib.HOST4, lib.HOST6)
LISTEN = "0A"


def knocks(targets):
    """A probe: all of them, from the work dir."""
    return ["program", "/usr/bin/python3", "-B", "{work}/knock.py", *targets]


def carry(world, work):
    world.put(work, KNOCK)


def parsed(out):
    try:
        return json.loads(out)
    except ValueError:
        return {}


def nothing_heard(count):
    def check(out):
        said = parsed(out)
        return said.get("tried") == count and not said["heard"] and \
            not said["open"]
    check.__doc__ = f"tried {count}, heard of none, and none stayed open"
    return {"code": 0, "out": check}


def everything_heard(count):
    def check(out):
        said = parsed(out)
        return said.get("tried") == count == len(said["heard"])
    check.__doc__ = f"heard of all {count}"
    return {"code": 0, "out": check}


# ---- the host's network, as it sees itself ----

def host_sockets():
    """Every socket that something can be sent to."""
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw",
                 "raw6"):
        try:
            with open("/proc/net/" + name, encoding="ascii") as f:
                rows = [line.split() for line in f][1:]
        except FileNotFoundError:
            continue
        found |= {(name, r[1]) for r in rows
                  if not name.startswith("tcp") or r[3] == LISTEN}
    return found


def far_side(world, argv):
    """Run a command of root's on the other end of the link."""
    here = os.readlink("/proc/self/ns/net")
    far = next(p for p in world.children
               if os.readlink(f"/proc/{p}/ns/net") != here)
    return subprocess.run(["nsenter", f"--net=/proc/{far}/ns/net", "--",
                           *argv], capture_output=True, text=True,
                          timeout=lib.TIMEOUT, check=False)


class HostServices:
    """TCP and UDP on every address of the host's; who comes is logged."""

    def __init__(self, world, port):
        sockets = []
        for family, address in ((socket.AF_INET, "0.0.0.0"),
                                (socket.AF_INET6, "::")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                s = socket.socket(family, kind)
                if family == socket.AF_INET6:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    s.listen()
                sockets.append(s)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _serve(sockets, world.writer("host"))
            finally:
                os._exit(1)
        for s in sockets:
            s.close()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(sockets, log):
    selector = selectors.DefaultSelector()
    for s in sockets:
        selector.register(s, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            s = key.fileobj
            if s.type == socket.SOCK_DGRAM:
                data, peer = s.recvfrom(2048)
                log.put(event="datagram", proto="udp", client=peer[0])
                s.sendto(data, peer)
            else:
                c, peer = s.accept()
                log.put(event="accept", proto="tcp", client=peer[0])
                c.sendall(b"host-secret\n")
                c.close()


# ---- another session ----

# Its own listener, at the port that everybody knocks at; who comes is said.
LISTENER = """
import socket
s = socket.create_server(("::", 7777), family=socket.AF_INET6,
                         dualstack_ipv6=True)
print("up", flush=True)
while True:
    c = s.accept()[0]
    print("somebody came", flush=True)
    c.sendall(b"the other session\\n")
    c.close()
"""


class Living:
    """An open session that has all the gate's sockets and one of its own."""

    def __init__(self, world, name):
        self.child, self.audit = world.start_exeat(
            ["-w", world.folder("living-" + name), "--net", "open"],
            ["/usr/bin/python3", "-u", "-c", LISTENER])
        if self.child.stdout.readline() != b"up\n":
            raise AssertionError("the other session did not begin: "
                                 f"{self.child.stderr.read()!r}")

    def complaints(self):
        """What it noticed, of which there should be nothing; ends it."""
        out = []
        if self.child.poll() is not None:
            out.append(f"the other session ended: {self.child.returncode}")
        self.close()
        said = self.child.stdout.read()
        if said:
            out.append(f"the other session heard: {said!r}")
        return out + [f"the other session's audit has {r}"
                      for r in lib.read_audit(self.audit)
                      if r["layer"] != "lifecycle"]

    def close(self):
        # It passes the signal on, and ends with its command.
        self.child.terminate()
        self.child.wait()
