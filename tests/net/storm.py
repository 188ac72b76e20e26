"""Does everything that is wrong to the gate at once, then asks if it lives.

SPDX-License-Identifier: Apache-2.0

    storm.py SEED SECONDS

Runs as the payload. Sockets are opened, spoken to in pieces, half-closed, cut
and reset in a random order; afterwards the three things that the policy
allows must work as before: one line "alive" says that they do.
"""

import errno
import os
import random
import resource
import socket
import struct
import sys
import time

ALLOWED, OPENED = "203.0.113.10", "203.0.113.50"
ADDRESSES = (ALLOWED, OPENED, "203.0.113.66", "2001:db8:113::10",
             "203.0.113.101")
PORTS = (80, 443, 25, 2525, 7, 8080, 1, 53)
NAMES = ("allowed.test", "x{}.wild.test", "evil.test", "slow.test",
         "drop.test", "deep.test", "loop1.test", "big.test", "tc.test")
KEEP = 400                # sockets at a time
AFTER_S = 120             # for the gate to recover


def query(rng, name, qtype=None):
    labels = b"".join(bytes([len(x)]) + x for x in name.encode().split(b"."))
    head = struct.pack("!HHHHHH", rng.getrandbits(16), 0x100, 1, 0, 0, 0)
    kind = qtype or rng.choice((1, 28, 65, 16, 255))
    return head + labels + b"\0" + struct.pack("!HH", kind, 1)


def hello(name):
    """The beginning of a ClientHello that names somebody."""
    sni = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0,
                      len(name)) + name.encode()
    body = b"\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0" + \
        struct.pack("!H", len(sni)) + sni
    body = b"\1" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack("!H", len(body)) + body


class Storm:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.open = []
        self.done = {}

    def words(self):
        rng = self.rng
        name = rng.choice(NAMES).format(rng.getrandbits(16))
        ask = query(rng, name)
        return rng.choice((
            f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode() *
            rng.choice((1, 1, 30)),
            b"POST / HTTP/1.1\r\nHost: allowed.test\r\n"
            b"Content-Length: 100000\r\n\r\n" + bytes(rng.randrange(100001)),
            hello(name), hello("allowed.test") + os.urandom(300),
            struct.pack("!H", len(ask)) + ask,
            (struct.pack("!H", len(ask)) + ask) * 70,
            os.urandom(rng.randrange(1, 70000)), b"G", b"\x16", b"\0\1"))

    def tcp(self):
        to = self.rng.choice(ADDRESSES)
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setblocking(False)
        self.open.append(s)
        s.connect_ex((to, self.rng.choice(PORTS)))

    def udp(self):
        rng = self.rng
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        self.open.append(s)
        for _ in range(rng.randrange(1, 20)):
            data = bytes(rng.choice((0, 1, 1400, 9000, 65507)))
            s.sendto(data, (rng.choice(ADDRESSES[:3]),
                            rng.choice((9999, 9999, rng.randrange(1, 65536)))))

    def dns(self):
        rng = self.rng
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        self.open.append(s)
        for _ in range(rng.randrange(1, 40)):
            name = rng.choice(NAMES).format(rng.getrandbits(32))
            ask = bytearray(query(rng, name))
            if rng.random() < 0.3:
                ask[rng.randrange(len(ask))] = rng.getrandbits(8)
            if rng.random() < 0.2:
                del ask[rng.randrange(len(ask)):]
            s.sendto(ask, (rng.choice(("192.0.0.5", "8.8.8.8")), 53))

    def talk(self):
        s = self.rng.choice(self.open)
        data = self.words()
        s.send(data[:self.rng.randrange(1, len(data) + 1)])

    def hear(self):
        self.rng.choice(self.open).recv(1 << 16)

    def half(self):
        self.rng.choice(self.open).shutdown(
            self.rng.choice((socket.SHUT_WR, socket.SHUT_WR, socket.SHUT_RD)))

    def drop(self):
        s = self.open.pop(self.rng.randrange(len(self.open)))
        if self.rng.random() < 0.5 and s.type == socket.SOCK_STREAM:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
        s.close()

    def step(self):
        begin = (self.tcp, self.udp, self.dns)
        more = (self.talk, self.talk, self.talk, self.hear, self.half,
                self.drop)
        if len(self.open) >= KEEP:
            what = self.drop
        else:
            what = self.rng.choice(begin + (more if self.open else ()))
        self.done[what.__name__] = self.done.get(what.__name__, 0) + 1
        try:
            what()
        except OSError as e:
            if e.errno in (errno.EMFILE, errno.ENFILE) and self.open:
                self.drop()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
        for s in self.open:
            s.close()


def http_works():
    with socket.create_connection((ALLOWED, 80), 5) as s:
        s.sendall(b"GET / HTTP/1.0\r\nHost: allowed.test\r\n\r\n")
        return s.recv(12) == b"HTTP/1.1 200"


def udp_works():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((OPENED, 9999))
        s.send(b"well?")
        return s.recv(16) == b"well?"


def dns_works():
    return socket.gethostbyname("allowed.test") == ALLOWED


def works(what, until):
    """It may take a moment: what the storm left has its time-outs."""
    while True:
        try:
            if what():
                return True
            last = "another answer"
        except OSError as e:
            last = e
        if time.monotonic() > until:
            print(f"{what.__name__}: no: {last}", flush=True)
            return False


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    socket.gethostbyname("allowed.test")
    storm = Storm(int(sys.argv[1]))
    storm.run(float(sys.argv[2]))
    print("did", *(f"{k}:{v}" for k, v in sorted(storm.done.items())),
          f"(descriptors: {soft})", flush=True)
    until = time.monotonic() + AFTER_S
    if all([works(w, until) for w in (dns_works, http_works, udp_works)]):
        print("alive", flush=True)


main()
