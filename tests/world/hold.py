#!/usr/bin/python3
"""Flows that are kept busy, and what becomes of them. Runs inside.

SPDX-License-Identifier: Apache-2.0

    hold.py TARGET...       keep them busy: "up N", then "ended TARGET ERROR"
                            for each that ends. Lines of stdin: "try TARGET",
                            answered "TARGET RESULT"; "alive": "alive N",
                            those that answered since; "stop"
    hold.py hammer TARGET...    open each again and again, until a line comes
    hold.py steady TARGET...    the same, but a name is looked up once; then
                            how often what came of it, as JSON

TARGET is PROTOCOL/HOST/PORT, or name/HOST for a lookup. PROTOCOL is tcp, udp,
or connect or socks: TCP by the explicit proxy inside.
"""

import errno
import json
import socket
import sys
import threading
import time

PATIENCE_S = 60
PROXY = ("127.0.0.1", 64505)
counts, over = {}, set()


def say(*words):
    print(*words, flush=True)


def error_name(e):
    if isinstance(e, socket.gaierror):
        return "EAI"
    if isinstance(e, TimeoutError):
        return "ETIMEDOUT"
    return errno.errorcode.get(e.errno, str(e))


def find(target):
    protocol, host, port = target.split("/")
    if protocol in ASK_PROXY:
        return (socket.AF_INET, socket.SOCK_STREAM, 0,
                (protocol, host, int(port)), PROXY)
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    return socket.getaddrinfo(host, int(port), type=kind)[0]


def by_connect(s, host, port):
    s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n"
              .encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := s.recv(1)):
        head += byte
    return b" 200 " in head


def by_socks(s, host, port):
    s.sendall(b"\5\1\0\5\1\0\3" + bytes([len(host)]) + host.encode() +
              port.to_bytes(2, "big"))
    data = b""
    while len(data) < 12 and (byte := s.recv(1)):
        data += byte
    return data[:4] == b"\5\0\5\0"


ASK_PROXY = {"connect": by_connect, "socks": by_socks}


def reach(found):
    s = socket.socket(found[0], found[1])
    s.settimeout(PATIENCE_S)
    s.connect(found[4])
    if found[4] == PROXY:
        protocol, *there = found[3]
        if not ASK_PROXY[protocol](s, *there):
            s.close()
            raise ConnectionRefusedError(errno.ECONNREFUSED, "by the proxy")
    return s


def ask(s):
    """One round trip."""
    s.sendall(b"\0hold\0")
    if not s.recv(4096):
        raise ConnectionResetError(errno.EPIPE, "end of file")


def attempt(target, found=None):
    try:
        if target.startswith("name/"):
            socket.getaddrinfo(target[5:], None)
        else:
            with reach(found or find(target)) as s:
                ask(s)
    except OSError as e:
        return error_name(e)
    return "ok"


def keep(target, s):
    try:
        while True:
            ask(s)
            counts[target] = counts.get(target, 0) + 1
            time.sleep(0.005)
    except OSError as e:
        over.add(target)
        say("ended", target, error_name(e))


def answering(targets):
    """How many go on: each has ended, or is heard of again."""
    before = dict(counts)

    def again(target):
        return counts.get(target, 0) > before.get(target, 0)
    while not all(t in over or again(t) for t in targets):
        time.sleep(0.005)
    return sum(t not in over for t in targets)


def hold(targets):
    flows = [(t, reach(find(t))) for t in targets]
    for _, s in flows:
        ask(s)
    say("up", len(flows))
    for flow in flows:
        threading.Thread(target=keep, args=flow, daemon=True).start()
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "stop":
            return
        if word == "try":
            say(rest[0], attempt(rest[0]))
        if word == "alive":
            say("alive", answering([t for t, _ in flows]))


def hammer(targets):
    done = threading.Event()
    opened = dict.fromkeys(targets, 0)

    def strike(target):
        while not done.is_set():
            opened[target] += attempt(target) == "ok"

    threads = [threading.Thread(target=strike, args=(t,)) for t in targets]
    for t in threads:
        t.start()
    say("up", len(threads))
    sys.stdin.readline()
    done.set()
    for t in threads:
        t.join()
    say(*(f"{t}={n}" for t, n in opened.items()))


def steady(targets):
    done = threading.Event()
    results = {t: {} for t in targets}

    def strike(target):
        name = target.startswith("name/")
        found = None if name else find(target)
        mine = results[target]
        while not done.is_set():
            result = attempt(target, found)
            mine[result] = mine.get(result, 0) + 1

    threads = [threading.Thread(target=strike, args=(t,)) for t in targets]
    for t in threads:
        t.start()
    say("up", len(threads))
    sys.stdin.readline()
    done.set()
    for t in threads:
        t.join()
    say(json.dumps(results))


if sys.argv[1:2] == ["hammer"]:
    hammer(sys.argv[2:])
elif sys.argv[1:2] == ["steady"]:
    steady(sys.argv[2:])
else:
    hold(sys.argv[1:])
