#!/usr/bin/python3
"""Knocks at many doors at once, and says which opened.

SPDX-License-Identifier: Apache-2.0

    knock.py TARGET...      KIND/ADDRESS/PORT

    tcp, udp    connected sockets
    loose       UDP without connect(), broadcast allowed
    device      TCP, bound to the loopback's device
    direct      TCP without routes (SO_DONTROUTE)
    source      TCP from 127.0.0.1
    through     TCP with a loose source route (RFC 791 3.1): the host first
    connect     the explicit proxy inside, by CONNECT
    socks       the same by SOCKS 5

One line of JSON: "heard" are the doors from which a byte came, "open" those
of TCP that did not close either; how many were "refused", and were "silent"
(UDP); all that were "tried".
"""

import collections
import concurrent.futures
import json
import socket
import sys

PROXY = ("127.0.0.1", 64505)
WORDS = b"GET / HTTP/1.0\r\n\r\n"
ANSWER_S, SILENCE_S = 30, 0.5
WORKERS = 32
HOST4 = "192.0.2.2"
LSRR, IP_OPTIONS = 131, 4


def stream(address, port, how=None):
    """What a TCP connection brings."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    with socket.socket(found[0][0], socket.SOCK_STREAM) as s:
        s.settimeout(ANSWER_S)
        if how:
            how(s, found[0][4])
        s.connect(found[0][4])
        s.sendall(WORDS)
        return s.recv(64)


def device(s, _to):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")


def direct(s, _to):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)


def source(s, _to):
    s.bind(("127.0.0.1" if s.family == socket.AF_INET else "::1", 0))


def through(s, to):
    route = bytes([1, LSRR, 11, 4]) + socket.inet_aton(HOST4) + \
        socket.inet_aton(to[0])
    s.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, route)


def datagram(address, port, connected):
    found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)
    with socket.socket(found[0][0], socket.SOCK_DGRAM) as s:
        s.settimeout(SILENCE_S)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if connected:
            s.connect(found[0][4])
            s.send(WORDS)
        else:
            s.sendto(WORDS, found[0][4])
        return s.recv(64)


def asked(request, good):
    """What comes behind the proxy's own answer."""
    with socket.create_connection(PROXY, ANSWER_S) as s:
        for words in request:
            s.sendall(words)
        f = s.makefile("rb")
        return f.read1(64) if good(f) else b""


def by_connect(address, port):
    name = f"[{address}]" if ":" in address else address
    head = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}\r\n\r\n"

    def good(f):
        line = f.readline()
        while f.readline() not in (b"\r\n", b""):
            pass
        return line.split()[1:2] == [b"200"]
    return asked([head.encode()], good)


def by_socks(address, port):
    where = b"\3" + bytes([len(address)]) + address.encode()
    for kind, fam in ((b"\1", socket.AF_INET), (b"\4", socket.AF_INET6)):
        try:
            where = kind + socket.inet_pton(fam, address)
        except OSError:
            pass
    words = b"\5\1\0" + where + int(port).to_bytes(2, "big")

    def good(f):
        return f.read(2) == b"\5\0" and f.read(10)[1:2] == b"\0"
    return asked([b"\5\1\0", words], good)


KINDS = {
    "tcp": stream, "connect": by_connect, "socks": by_socks,
    "udp": lambda a, p: datagram(a, p, True),
    "loose": lambda a, p: datagram(a, p, False),
    "device": lambda a, p: stream(a, p, device),
    "direct": lambda a, p: stream(a, p, direct),
    "source": lambda a, p: stream(a, p, source),
    "through": lambda a, p: stream(a, p, through),
}


def knock(target):
    kind, address, port = target.split("/")
    try:
        return "heard" if KINDS[kind](address, port) else "refused"
    except TimeoutError:
        return "silent" if kind in ("udp", "loose") else "open"
    except OSError:
        return "refused"


def main(targets):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(knock, targets))
    count = collections.Counter(found)
    said = {which: [t for t, f in zip(targets, found, strict=True)
                    if f == which] for which in ("heard", "open")}
    print(json.dumps({**said, "refused": count["refused"],
                      "silent": count["silent"], "tried": len(found)}))


if __name__ == "__main__":
    main(sys.argv[1:])
