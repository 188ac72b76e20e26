#!/usr/bin/python3
"""The inside witness: tries one thing, and says what came of it in JSON.

SPDX-License-Identifier: Apache-2.0

Runs inside the sandbox (and outside, to show that the thing works at all),
alone, with the standard library only. Each function below is a probe; its
arguments are strings, its result a dict, printed as one line. An OSError is a
result as well: {"errno": NAME, "step": where}.
"""

import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import resource
import select
import socket
import ssl
import struct
import subprocess
import sys
import termios
import time

TIMEOUT = 30.0
SILENCE = 0.5             # where nothing is expected to come
libc = ctypes.CDLL(None, use_errno=True)


class Step:
    """Where we are, for the report of a failure."""
    now = ""


def step(name):
    Step.now = name


def check(value):
    """The result of a system call through ctypes."""
    if value < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return value


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def dial(address, port, fam=None):
    step("socket")
    s = socket.socket(fam or family(address), socket.SOCK_STREAM)
    s.settimeout(TIMEOUT)
    step("connect")
    s.connect((address, int(port)))
    return s


def read_all(s, limit=65536):
    out = b""
    while len(out) < limit and (data := s.recv(65536)):
        out += data
    return out


def text(data):
    return data.decode("latin-1")


# ---- TCP ----

def tcp(address, port, send="", *more):
    """Connect, send, read what comes first."""
    with dial(address, port) as s:
        if send:
            step("send")
            s.sendall(unescape(send))
        if "shut" in more:
            s.shutdown(socket.SHUT_WR)
        step("read")
        data = read_all(s) if "all" in more else s.recv(65536)
        return {"data": text(data), "eof": not data}


def unescape(escaped):
    return escaped.encode("latin-1").decode("unicode_escape") \
        .encode("latin-1")


def banner_then(address, port, send):
    """Wait for the server's first words, then speak."""
    with dial(address, port) as s:
        step("banner")
        first = s.recv(4096)
        step("send")
        s.sendall(unescape(send))
        step("read")
        try:
            then = s.recv(4096)
        except ConnectionError:
            then = b""
        return {"first": text(first), "then": text(then)}


def mapped(address, port):
    """An IPv4 address through an IPv6 socket."""
    with dial("::ffff:" + address, port, socket.AF_INET6) as s:
        step("read")
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return {"data": text(read_all(s))}


def duplex(address, port, size):
    """Send `size` bytes to an echo server and read them back meanwhile."""
    size = int(size)
    block = hashlib.shake_128(b"duplex").digest(1 << 20)
    sent, got = hashlib.sha256(), hashlib.sha256()
    out_left = in_left = size
    pending = memoryview(b"")
    with dial(address, port) as s:
        s.setblocking(False)
        step("copy")
        while in_left:
            want_out = [s] if out_left or pending else []
            r, w, _ = select.select([s], want_out, [], TIMEOUT)
            if not r and not w:
                raise TimeoutError(errno.ETIMEDOUT, "stuck")
            if w:
                if not pending:
                    pending = memoryview(block)[:min(len(block), out_left)]
                    sent.update(pending)
                    out_left -= len(pending)
                pending = pending[s.send(pending):]
            if r:
                data = s.recv(1 << 18)
                if not data:
                    break
                got.update(data)
                in_left -= len(data)
    return {"equal": in_left == 0 and sent.digest() == got.digest(),
            "missing": in_left}


def websocket(address, port, host):
    """An upgrade and one frame each way (RFC 6455)."""
    with dial(address, port) as s:
        f = s.makefile("rb")
        step("upgrade")
        s.sendall(f"GET /ws HTTP/1.1\r\nHost: {host}\r\n"
                  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                  "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        status = f.readline()
        while f.readline().strip():
            pass
        step("frame")
        mask, word = b"\1\2\3\4", b"hello"
        s.sendall(bytes([0x81, 0x80 | len(word)]) + mask +
                  bytes(b ^ mask[i & 3] for i, b in enumerate(word)))
        size = f.read(2)[1]
        return {"status": int(status.split()[1]), "echo": text(f.read(size))}


def http(address, port, *hosts):
    """One request for each host on one connection: their status codes."""
    done = []
    with dial(address, port) as s:
        f = s.makefile("rb")
        for host in hosts:
            try:
                status = _request(s, f, host)
            except (OSError, ValueError) as e:
                status = type(e).__name__
            done.append(status)
            if not isinstance(status, int):
                break
    return {"status": done}


def _request(s, f, host):
    step("request")
    s.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    line = f.readline()
    if not line:
        return "closed"
    size = 0
    while (head := f.readline().strip()):
        key, _, value = head.partition(b":")
        if key.lower() == b"content-length":
            size = int(value)
    f.read(size)
    return int(line.split()[1])


def late(address, port, ms, first, *then):
    """Silence, then words, one segment each with the same silence between."""
    with dial(address, port) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for words in (first, *then):
            time.sleep(int(ms) / 1000)
            step("send")
            s.sendall(unescape(words))
        step("read")
        data = s.recv(65536)
        return {"data": text(data), "eof": not data}


def crowd(address, port, count, host):
    """Many that begin a request and never end it; then one that does."""
    begun = []
    try:
        for _ in range(int(count)):
            begun.append(dial(address, port))
            step("begin")
            begun[-1].sendall(b"GET / HT")
        return http(address, port, host)
    finally:
        for s in begun:
            s.close()


def quic_then_tcp(address, sni, payload):
    """What a browser does: QUIC first, TLS over TCP when that is refused."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(TIMEOUT)
        s.connect((address, 443))
        try:
            s.send(unescape(payload).ljust(1200, b"\0"))
            s.recv(65536)
            return {"quic": "answered"}
        except OSError as e:
            refused = errno.errorcode.get(e.errno, repr(e))
    return {"quic": refused, **tls(address, "443", sni)}


# ---- ClientHellos by hand (RFC 8446 4.1.2) ----

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891"
                      "c2a211167abb8c5e079e09e2c8a8339c")


def hello_extension(kind, data):
    return struct.pack("!HH", kind, len(data)) + data


def vector(data, size=2):
    return len(data).to_bytes(size, "big") + data


def server_name(*names):
    return hello_extension(0, vector(b"".join(
        b"\0" + vector(n.encode("latin-1")) for n in names)))


def client_hello(names, how=(), share=True):
    """The message. how: "twice" a second extension, "ech", "big", "pq"."""
    exts = server_name(*names) if names else b""
    if "twice" in how:
        exts += server_name(*names)
    if "ech" in how:
        exts += hello_extension(0xfe0d, b"\0\0\1\0\1\7" +
                                vector(bytes(32)) + vector(os.urandom(144)))
    new = b"\x11\xec" if "pq" in how else b""  # X25519MLKEM768
    exts += hello_extension(43, b"\2\3\4") + \
        hello_extension(10, vector(new + b"\0\x1d")) + \
        hello_extension(13, b"\0\4\4\3\x08\4")
    point = b"\x09" + bytes(31)
    key = b"\0\x1d" + vector(point) if share else b""
    if share and new:  # zeros are a key of ML-KEM
        key = new + vector(bytes(1184) + point) + key
    exts += hello_extension(51, vector(key))
    if "big" in how:
        exts += hello_extension(21, bytes(17000))
    body = b"\3\3" + bytes(range(32)) + vector(bytes(range(32)), 1) + \
        vector(b"\x13\1\x13\2\x13\3") + b"\1\0" + vector(exts)
    return b"\1" + vector(body, 3)


def record(data, kind=22, size=16384):
    return b"".join(bytes([kind, 3, 1]) + vector(data[i:i + size])
                    for i in range(0, len(data), size))


def hello_bytes(names, how):
    message = client_hello(names, how, "retry" not in how)
    if "small" in how:
        return record(message, size=100)
    if "first" in how:
        return record(b"\1", 20) + record(message)
    if "alert" in how:
        return record(b"\1\0", 21) + record(message)
    if "data" in how:
        return record(b"junk", 23) + record(message)
    if "empty" in how:
        return b"\x16\3\1\0\0" + record(message)
    if "tail" in how:
        return record(message + b"\1")
    if "ssl2" in how:
        return b"\x80\x2e\1\3\1\0\x15\0\0\0\x10" + bytes(37)
    return record(message)


def read_handshake(f):
    """The server's next handshake message: (type, is it a retry?)."""
    while True:
        head = f.read(5)
        if len(head) < 5:
            raise ConnectionResetError(errno.ECONNRESET, "end of file")
        data = f.read(int.from_bytes(head[3:], "big"))
        if head[0] == 22:
            return data[0], data[6:38] == RETRY
        if head[0] == 21:
            raise ConnectionResetError(errno.ECONNRESET, "alert")


def hello(address, port, how, *names):
    """A hello for the names, and what the server says to it.

    how, joined by "+": see client_hello() and hello_bytes(); "retry": without
    a key, so that a second hello is asked for, which is for the last name;
    "junk": with early data between; "eager": not waiting to be asked.
    """
    how = how.split("+")
    second = record(client_hello(names[-1:], how))
    first = hello_bytes(names[:1] if "retry" in how else names, how)
    junk = record(b"early", 23) if "junk" in how else b""
    with dial(address, port) as s:
        f = s.makefile("rb")
        step("hello")
        s.sendall(first + junk + (second if "eager" in how else b""))
        kind, retry = read_handshake(f)
        if "retry" not in how or not retry:
            return {"message": kind, "retry": retry}
        step("second hello")
        if "eager" not in how:
            s.sendall(junk + second)
        kind, retry = read_handshake(f)
        return {"message": kind, "retry": retry}


# ---- HTTP/2 without TLS ----

H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
H2_DATA, H2_HEADERS, H2_SETTINGS, H2_CONTINUATION = 0, 1, 4, 9


def h2_frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + \
        struct.pack("!BBI", kind, flags, stream) + payload


def h2_fields(*fields):
    """Literals without indexing, names too (RFC 7541 6.2.2)."""
    return b"".join(b"\0" + bytes([len(x)]) + x.encode() +
                    bytes([len(y)]) + y.encode() for x, y in fields)


def h2_ask(stream, host, how, first):
    """The frames of one request."""
    kind = "host" if "host" in how else ":authority"
    fields = [(":method", "POST" if "echo" in how else "GET"),
              (":scheme", "http"), (":path", "/echo" if "echo" in how
                                    else "/")]
    ends = 0 if "echo" in how else 1
    block = h2_fields(*fields, (kind, host))
    if "indexed" in how:
        # Once in full, then everything but the name by its index, and the
        # name's own name by index 62 (RFC 7541 6.2.1).
        block = block.replace(b"\0", b"\x40") if first else \
            b"\xc1\xc0\xbf\x7e" + bytes([len(host)]) + host.encode()
    if "split" not in how:
        return h2_frame(H2_HEADERS, 4 | ends, stream, block)
    return h2_frame(H2_HEADERS, 8 | 32 | ends, stream,
                    b"\3\0\0\0\0\x10" + block[:7] + bytes(3)) + \
        b"".join(h2_frame(H2_CONTINUATION, 0, stream, block[i:i + 9])
                 for i in range(7, len(block), 9)) + \
        h2_frame(H2_CONTINUATION, 4, stream)


def h2_read(f):
    head = f.read(9)
    if len(head) < 9:
        raise ConnectionResetError(errno.ECONNRESET, "end of file")
    flags, stream = struct.unpack("!xxxxBI", head)
    return head[3], flags, stream, f.read(int.from_bytes(head[:3], "big"))


def h2_answer(f, stream):
    """To the end of a stream: (headers came, data)."""
    headers, data, flags = 0, b"", 0
    while not flags & 1 or at != stream:
        kind, flags, at, payload = h2_read(f)
        flags *= kind in (H2_DATA, H2_HEADERS)
        headers += (kind, at) == (H2_HEADERS, stream)
        if (kind, at) == (H2_DATA, stream):
            data += payload
    return headers, data


def h2(address, port, how, *hosts):
    """One request for each host, each when the one before was answered.

    how: "plain", or joined by "+": "host" the field of HTTP/1, "split" in many
    frames, "indexed" by the table, "once" all of it in one segment, "wait" for
    the server's settings, as gRPC does, "echo" a stream both ways, "upgrade"
    from HTTP/1.
    """
    how = how.split("+")
    with dial(address, port) as s:
        f = s.makefile("rb")
        first = 3 if "upgrade" in how else 1
        begin = h2_upgrade(s, f, hosts[0]) if first == 3 else b""
        begin += H2_PREFACE + h2_frame(H2_SETTINGS, 0, 0)
        if "wait" in how:
            step("settings")
            s.sendall(begin)
            while h2_read(f)[0] != H2_SETTINGS:
                pass
            begin = b""
        answers = []
        asks = [h2_ask(first + 2 * i, host, how, i == 0)
                for i, host in enumerate(hosts)]
        if "once" in how:
            asks = [b"".join(asks)] + [b""] * (len(asks) - 1)
        for i, ask in enumerate(asks):
            try:
                step("request")
                s.sendall(begin + ask)
                begin = b""
                answers.append(h2_exchange(s, f, first + 2 * i, how))
            except OSError as e:
                answers.append(errno.errorcode[e.errno])
                break
        return {"answers": answers}


def h2_upgrade(s, f, host):
    step("upgrade")
    s.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: h2c\r\n"
              "Connection: Upgrade, HTTP2-Settings\r\n"
              "HTTP2-Settings: AAMAAABk\r\n\r\n".encode())
    if b" 101 " not in f.readline():
        raise ConnectionResetError(errno.ECONNRESET, "no upgrade")
    while f.readline().strip():
        pass
    return b""


def h2_exchange(s, f, stream, how):
    if "echo" not in how:
        return text(h2_answer(f, stream)[1])
    got = b""
    for word in (b"one", b"two", b"three"):
        s.sendall(h2_frame(H2_DATA, 0, stream, word))
        while not got.endswith(word):
            kind, _, at, payload = h2_read(f)
            if (kind, at) == (H2_DATA, stream):
                got += payload
    s.sendall(h2_frame(H2_DATA, 1, stream))
    headers, rest = h2_answer(f, stream)
    return text(got + rest) + (" and trailers" if headers else "")


def tls(address, port, sni="", *how):
    """A handshake and a request; "drip" sends the hello byte by byte."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = context.wrap_bio(into, out, server_hostname=sni or None)
    with dial(address, port) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step("handshake")
        _drive(obj.do_handshake, s, into, out, "drip" in how)
        step("request")
        obj.write(f"GET / HTTP/1.1\r\nHost: {sni or address}\r\n"
                  "Connection: close\r\n\r\n".encode())
        data = _drive(lambda: obj.read(65536), s, into, out, False)
        return {"data": text(data)}


def _drive(call, s, into, out, drip):
    """Run one TLS operation to its end over the socket."""
    while True:
        try:
            value, again = call(), False
        except ssl.SSLWantReadError:
            value, again = None, True
        data = out.read()
        for i in range(0, len(data), 1 if drip else max(len(data), 1)):
            s.sendall(data[i:i + 1] if drip else data)
        if not again:
            return value
        data = s.recv(65536)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "end of file")
        into.write(data)


# ---- names ----

def resolve(name, fam="any"):
    """What a program gets: getaddrinfo()."""
    families = {"any": 0, "4": socket.AF_INET, "6": socket.AF_INET6}
    try:
        found = socket.getaddrinfo(name, None, families[fam],
                                   socket.SOCK_STREAM)
    except socket.gaierror as e:
        names = {getattr(socket, n): n for n in dir(socket)
                 if n.startswith("EAI_")}
        return {"error": names.get(e.errno, str(e.errno))}
    return {"addresses": sorted({f[4][0] for f in found})}


TYPES = {"A": 1, "NULL": 10, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
         "HTTPS": 65, "ANY": 255}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN",
          4: "NOTIMP", 5: "REFUSED"}


def wire_name(name):
    return b"".join(bytes([len(x)]) + x.encode()
                    for x in name.split(".") if x) + b"\0"


def dns(server, how, kind, *names):
    """A query made by hand. how: udp, tcp, then +edns=[CODE:]HEX, +chaos, ...
    """
    flags = how.split("+")
    qclass = 3 if "chaos" in flags else 1
    body = b"".join(wire_name(n) + struct.pack("!HH", TYPES[kind], qclass)
                    for n in names)
    head_flags = 0x0100
    if "response" in flags:
        head_flags |= 0x8000
    for f in flags:
        if f.startswith("opcode="):
            head_flags |= int(f[7:]) << 11
    options = [f[5:] for f in flags if f.startswith("edns=")]
    extra = b""
    for o in options:
        code, _, value = o.rpartition(":")
        data = bytes.fromhex(value)
        extra = b"\0" + struct.pack("!HHIHHH", 41, 1232, 0, len(data) + 4,
                                    int(code or 65001), len(data)) + data
    query = struct.pack("!6H", 0x4242, head_flags, len(names), 0, 0,
                        1 if extra else 0) + body + extra
    if flags[0] == "tcp":
        with dial(server, 53) as s:
            s.sendall(struct.pack("!H", len(query)) + query)
            step("read")
            answer = s.recv(65536)[2:]
    else:
        with socket.socket(family(server), socket.SOCK_DGRAM) as s:
            s.settimeout(SILENCE if "response" in flags else TIMEOUT)
            step("send")
            s.sendto(query, (server, 53))
            step("read")
            answer = s.recv(65536)
    return _answer(answer)


def _answer(data):
    if len(data) < 12:
        return {"rcode": None, "short": len(data)}
    ident, flags, qd, an, ns, more = struct.unpack_from("!6H", data)
    at = 12
    for _ in range(qd):
        at = _skip_name(data, at) + 4
    records = []
    for _ in range(an):
        at = _skip_name(data, at)
        kind, _, ttl, size = struct.unpack_from("!HHIH", data, at)
        rdata = data[at + 10:at + 10 + size]
        at += 10 + size
        records.append({"type": kind, "ttl": ttl, "rdata": _show(kind, rdata)})
    said = {"rcode": RCODES.get(flags & 15, flags & 15), "id": ident,
            "answers": len(records), "records": records}
    if ns == 0 and more == 1 and data[at:at + 3] == b"\0\0\51":
        said.update(_extended(data[at + 11:]))
    return said


def _extended(options):
    """The extended error (RFC 8914) of an answer, if there is one."""
    while len(options) >= 4:
        code, size = struct.unpack_from("!HH", options)
        if code == 15 and size >= 2:
            return {"ede": struct.unpack_from("!H", options, 4)[0],
                    "why": text(options[6:4 + size])}
        options = options[4 + size:]
    return {}


def made_up(suffix, count):
    """Names as a tunnel would have them."""
    return [hashlib.sha256(str(i).encode()).hexdigest()[:26] + "." + suffix
            for i in range(count)]


def tunnel(server, suffix, count):
    """Different names below one, one after the other."""
    return _ask_all(server, made_up(suffix, int(count)))


def again(server, name, count):
    """The same name, time after time."""
    return _ask_all(server, [name] * int(count))


def _ask_all(server, names):
    rcodes = {}
    for name in names:
        answer = dns(server, "udp+edns=00", "A", name)
        rcodes[answer["rcode"]] = rcodes.get(answer["rcode"], 0) + 1
    return {"rcodes": rcodes, "last": answer}


def pair(server, name):
    """A and AAAA from one socket, neither waiting for the other (musl)."""
    with socket.socket(family(server), socket.SOCK_DGRAM) as s:
        s.settimeout(TIMEOUT)
        for ident, kind in ((1, "A"), (2, "AAAA")):
            step("send")
            s.sendto(struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) +
                     wire_name(name) + struct.pack("!HH", TYPES[kind], 1),
                     (server, 53))
        found = {}
        for _ in range(2):
            step("read")
            answer = _answer(s.recv(65536))
            found[answer["id"]] = answer
    return {"A": found[1], "AAAA": found[2]}


def pieces(server, *names):
    """Queries by TCP, one behind the other, in single bytes."""
    out = b""
    for ident, name in enumerate(names):
        query = struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + \
            wire_name(name) + struct.pack("!HH", 1, 1)
        out += struct.pack("!H", len(query)) + query
    with dial(server, 53) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step("send")
        for i in range(len(out)):
            s.sendall(out[i:i + 1])
        f, found = s.makefile("rb"), {}
        for _ in names:
            step("read")
            size = struct.unpack("!H", f.read(2))[0]
            answer = _answer(f.read(size))
            found[answer["id"]] = answer["rcode"]
    return {"rcodes": [found.get(i) for i in range(len(names))]}


def _show(kind, rdata):
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, rdata)
    if kind == 28:
        return socket.inet_ntop(socket.AF_INET6, rdata)
    return rdata.hex()


def _skip_name(data, at):
    while data[at]:
        if data[at] >= 0xc0:
            return at + 2
        at += 1 + data[at]
    return at + 1


# ---- UDP, ICMP, odd sockets ----

def udp(address, port, how="unconnected", payload="ping"):
    """how: unconnected, connected, many; "silent": no answer will come."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(SILENCE if how == "silent" else TIMEOUT)
        data = unescape(payload)
        to = (address, int(port))
        if how == "connected":
            step("connect")
            s.connect(to)
            step("send")
            s.send(data)
        elif how == "many":
            step("send")
            _sendmmsg(s, to, data)
        else:
            step("send")
            s.sendto(data, to)
        step("read")
        answer, peer = s.recvfrom(65536)
        return {"data": text(answer), "from": peer[0]}


def _sendmmsg(s, to, data):
    """Two datagrams in one system call, which Python does not know."""
    host = socket.inet_pton(family(to[0]), to[0])
    if len(host) == 4:
        name = struct.pack("=HH", socket.AF_INET, socket.htons(to[1])) + host \
            + bytes(8)
    else:
        name = struct.pack("=HHI", socket.AF_INET6, socket.htons(to[1]), 0) \
            + host + bytes(4)
    name_buf = ctypes.create_string_buffer(name, len(name))
    data_buf = ctypes.create_string_buffer(data, len(data))
    iov = ctypes.create_string_buffer(
        struct.pack("=QQ", ctypes.addressof(data_buf), len(data)), 16)
    header = struct.pack("=QI4xQQQQi4x", ctypes.addressof(name_buf), len(name),
                         ctypes.addressof(iov), 1, 0, 0, 0) + bytes(8)
    messages = ctypes.create_string_buffer(header * 2, len(header) * 2)
    check(libc.sendmmsg(s.fileno(), messages, 2, 0))


def ping(address, how="datagram"):
    """ICMP by the unprivileged datagram socket; "either": connected, and by
    a raw one if that is to be had."""
    six = ":" in address
    secret = b"secret-in-ping"
    step("socket")
    with _echo_socket(six, how == "either") as s:
        s.settimeout(TIMEOUT)
        if how == "either":
            step("connect")
            s.connect((address, 0))
        step("send")
        s.sendto(_echo(six, secret), (address, 0))
        step("read")
        while secret not in (data := s.recv(1024)):
            pass
        return {"data": text(data)}


def _echo_socket(six, raw):
    domain, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else \
        (socket.AF_INET, socket.IPPROTO_ICMP)
    if raw:
        try:
            return socket.socket(domain, socket.SOCK_RAW, protocol)
        except PermissionError:
            pass
    return socket.socket(domain, socket.SOCK_DGRAM, protocol)


def _echo(six, data):
    """An echo request; of ICMPv6 the kernel makes the checksum."""
    head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 1, 1)
    words = struct.unpack(f"!{(len(head) + len(data)) // 2}H", head + data)
    total = sum(words)
    total = (total & 0xffff) + (total >> 16)
    return head[:2] + struct.pack("!H", 0 if six else 0xffff - total) + \
        head[4:] + data


def open_socket(domain, kind, protocol="0"):
    """May such a socket be made at all?"""
    step("socket")
    fd = check(libc.socket(int(domain), int(kind), int(protocol)))
    os.close(fd)
    return {"made": True}


def vsock(cid, port):
    step("socket")
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
        s.settimeout(TIMEOUT)
        step("connect")
        s.connect((int(cid), int(port)))
        return {"made": True}


SYS_IO_URING_SETUP = 425


def io_uring():
    """A ring would go round a filter on socket calls."""
    step("setup")
    params = ctypes.create_string_buffer(120)
    os.close(check(libc.syscall(SYS_IO_URING_SETUP, 4, params)))
    return {"made": True}


def bind_send(source, address, port):
    """UDP with a source that is not ours: every address is local inside."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(TIMEOUT)
        step("bind")
        s.bind((source, 0))
        step("send")
        s.sendto(b"forged", (address, int(port)))
        step("read")
        return {"data": text(s.recv(1024))}


def neighbour(server, name):
    """Sit at a resolver's address, hear questions to it, forge answers."""
    said = {"bound": [], "heard": 0, "forged": 0}
    sockets = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        s = socket.socket(family(server), kind)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            s.bind((server, 53))
            said["bound"].append(kind.name)
        except OSError:
            pass
        s.setblocking(False)
        sockets.append(s)
    victim = socket.socket(family(server), socket.SOCK_DGRAM)
    victim.bind(("127.0.0.1", 0))
    try:
        sockets[0].sendto(b"forged", victim.getsockname())
    except OSError as e:
        said["errno"] = errno.errorcode.get(e.errno)
    said["udp"] = dns(server, "udp", "A", name)["records"]
    said["tcp"] = dns(server, "tcp", "A", name)["records"]
    ready, _, _ = select.select([sockets[0]], [], [], 0)
    said["heard"] = len(ready)
    ready, _, _ = select.select([victim], [], [], 0.2)
    said["forged"] = len(ready)
    for s in (*sockets, victim):
        s.close()
    return said


def bind_ports(*ports):
    """Which of these ports can be had, by any flag and address?"""
    got = []
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for address in ("0.0.0.0", "127.0.0.1", "203.0.113.10", "::",
                            "::1", "2001:db8:113::10"):
                if _hears(kind, address, int(port)):
                    got.append(f"{kind.name} {address} {port}")
    return {"got": got}


def _hears(kind, address, port):
    """Does a socket there get what is sent elsewhere?"""
    with socket.socket(family(address), kind) as s:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            s.bind((address, port))
            if kind == socket.SOCK_STREAM:
                s.listen()
        except OSError:
            return False
        far = "2001:db8:113::10" if ":" in address else "203.0.113.10"
        for to in (53, 443) if kind == socket.SOCK_STREAM else (53, 9999):
            with socket.socket(family(address), kind) as c:
                c.settimeout(0.1)
                try:
                    c.connect((far, to))
                    c.send(b"x")
                except OSError:
                    pass
        return bool(select.select([s], [], [], 0.05)[0])


def simultaneous(address, port):
    """Both ends of a TCP connection send a SYN: a socket to itself."""
    with socket.socket(family(address), socket.SOCK_STREAM) as s:
        s.settimeout(TIMEOUT)
        step("bind")
        s.bind((address, int(port)))
        step("connect")
        s.connect((address, int(port)))
        return {"peer": s.getpeername()[0]}


# ---- confinement ----

def program(*argv):
    """Run a program; a name without "/" is looked for in PATH."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=TIMEOUT)
    except FileNotFoundError:
        return {"missing": argv[0]}
    except subprocess.TimeoutExpired:
        return {"timeout": True}
    return {"code": done.returncode, "out": text(done.stdout)[-2000:],
            "err": text(done.stderr)[-2000:]}


NFT_MSG_DELTABLE, NFT_MSG_GETTABLE, NFNL_SUBSYS_NFTABLES = 2, 1, 10
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 16, 17


def nftables():
    """Delete every table by netlink, no program needed."""
    step("socket")
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    with s:
        s.settimeout(TIMEOUT)

        def message(kind, flags, seq, resource):
            body = struct.pack("!BBH", 0, 0, resource)
            return struct.pack("=IHHII", 16 + len(body), kind, flags, seq,
                               0) + body
        batch = message(NFNL_MSG_BATCH_BEGIN, 1, 1, NFNL_SUBSYS_NFTABLES) + \
            message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, 5, 2, 0) + \
            message(NFNL_MSG_BATCH_END, 1, 3, NFNL_SUBSYS_NFTABLES)
        step("send")
        s.send(batch)
        step("read")
        return _netlink_error(s.recv(65536))


def _netlink_error(data):
    size, kind = struct.unpack_from("=IH", data)
    code = struct.unpack_from("=i", data, 16)[0] if kind == 2 else 0
    if code:
        raise OSError(-code, os.strerror(-code))
    return {"done": True}


def link_add():
    """A route and a link by rtnetlink: is the namespace ours to re-plumb?"""
    step("socket")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.settimeout(TIMEOUT)
        kind = b"dummy\0\0\0"
        info = struct.pack("=HH", 4 + 4 + len(kind), 18) + \
            struct.pack("=HH", 4 + 6, 1) + kind
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + info
        step("send")
        s.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
        step("read")
        return _netlink_error(s.recv(65536))


CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000


def in_child(argv):
    """What a probe says that would change us."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(w, json.dumps(run(argv)).encode())
        os._exit(0)
    os.close(w)
    with open(r, "rb") as f:
        said = json.loads(f.read())
    os.waitpid(pid, 0)
    return said


def nested(address, port):
    """Namespaces of our own, then the network from there."""
    return in_child(["nest", address, port])


def nest(address, port):
    step("unshare")
    uid = os.getuid()
    check(libc.unshare(CLONE_NEWUSER))
    for name, value in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1")):
        with open("/proc/self/" + name, "w", encoding="ascii") as f:
            f.write(value)
    step("nftables")
    gained = []
    try:
        nftables()
        gained.append("nftables")
    except OSError:
        pass
    step("unshare network")
    check(libc.unshare(CLONE_NEWNET))
    try:
        with dial(address, port):
            gained.append("connect")
    except OSError:
        pass
    return {"gained": gained}


def unix_bind(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        step("bind")
        s.bind(path)
    os.unlink(path)
    return {"made": True}


def unix_address(path):
    """An abstract name is written with an @."""
    return "\0" + path[1:] if path.startswith("@") else path


def unix_connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        step("connect")
        s.connect(unix_address(path))
    return {"made": True}


SYS_PIDFD_OPEN, SYS_PIDFD_GETFD, PTRACE_ATTACH = 434, 438, 16


def others(*which):
    """Everybody we can see, and what we can do to them; "own": to a child."""
    if which == ("own",):
        child = subprocess.Popen(["tail", "-f", "/dev/null"])
        try:
            return {"gained": _try_process(child.pid)}
        finally:
            child.kill()
            child.wait()
    seen, gained = [], []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        pid = int(entry)
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                seen.append(f.read().strip())
        except OSError:
            continue
        gained += _try_process(pid)
    return {"seen": seen, "gained": gained}


def _try_process(pid):
    gained = []

    def attempt(name, call):
        try:
            call()
            gained.append(f"{name} {pid}")
        except OSError:
            pass

    def getfd():
        fd = check(libc.syscall(SYS_PIDFD_OPEN, pid, 0))
        try:
            for n in range(32):
                if libc.syscall(SYS_PIDFD_GETFD, fd, n, 0) >= 0:
                    return
            check(-1)
        finally:
            os.close(fd)

    def enter(name):
        def call():
            fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
            check(libc.setns(fd, 0))
        return call
    attempt("ptrace", lambda: check(libc.ptrace(PTRACE_ATTACH, pid, 0, 0)))
    attempt("mem", lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)))
    attempt("pidfd_getfd", getfd)
    for file in ("environ", "maps"):
        attempt(file, lambda f=file: os.close(
            os.open(f"/proc/{pid}/{f}", os.O_RDONLY)))
    attempt("fd", lambda: [os.readlink(f"/proc/{pid}/fd/{n}")
                           for n in os.listdir(f"/proc/{pid}/fd")])
    for name in ("user", "net", "mnt"):
        attempt("setns " + name, enter(name))
    return gained


def setuid_bits(folder):
    """Every way to make a file setuid."""
    path = os.path.join(folder, "setuid-probe")
    gained, refused = [], {}

    def attempt(name, call):
        try:
            call()
        except OSError as e:
            refused[name] = errno.errorcode.get(e.errno, str(e.errno))
        if os.path.exists(path) and os.stat(path).st_mode & 0o6000:
            gained.append(name)
        if os.path.exists(path):
            os.unlink(path)

    def make():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755))

    def made(call):
        def both():
            make()
            call()
        return both
    raw = path.encode()
    attempt("chmod", made(lambda: os.chmod(path, 0o4755)))
    attempt("setgid", made(lambda: os.chmod(path, 0o2755)))
    attempt("fchmod", made(lambda: _fchmod(path)))
    attempt("fchmodat2", made(lambda: check(
        libc.syscall(452, -100, raw, 0o4755, 0))))
    attempt("open", lambda: os.close(
        os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755)))
    attempt("creat", lambda: os.close(check(libc.creat(raw, 0o4755))))
    attempt("mknod", lambda: os.mknod(path, 0o104755))
    how = struct.pack("=QQQ", os.O_CREAT | os.O_WRONLY, 0o4755, 0)
    attempt("openat2", lambda: os.close(check(
        libc.syscall(437, -100, raw, how, len(how)))))
    return {"gained": gained, "refused": refused}


def _nested_root():
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(0x10000000))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                       ("gid_map", f"0 {gid} 1")):
        with open("/proc/self/" + name, "w", encoding="ascii") as f:
            f.write(text)


def file_caps(folder):
    """File capabilities, as root of a nested user namespace."""
    path = os.path.join(folder, "caps-probe")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755))
    if os.getuid() != 0:
        _nested_root()
    raw, key = path.encode(), b"security.capability"
    v2 = struct.pack("<5I", 0x02000001, 0x80, 0, 0, 0)
    v3 = struct.pack("<6I", 0x03000001, 0x80, 0, 0, 0, 0)
    gained, refused = [], {}

    def attempt(name, call):
        try:
            check(call())
        except OSError as e:
            refused[name] = errno.errorcode.get(e.errno, str(e.errno))
        if "security.capability" in os.listxattr(path):
            gained.append(name)
            os.removexattr(path, "security.capability")
    fd = os.open(path, os.O_RDONLY)
    for value in (v2, v3):
        n = len(value)
        attempt(f"set{n}", lambda v=value, n=n: libc.setxattr(
            raw, key, v, n, 0))
        attempt(f"lset{n}", lambda v=value, n=n: libc.lsetxattr(
            raw, key, v, n, 0))
        attempt(f"fset{n}", lambda v=value, n=n: libc.fsetxattr(
            fd, key, v, n, 0))
        pointer = ctypes.create_string_buffer(value)
        args = struct.pack("=QII", ctypes.addressof(pointer), n, 0)
        attempt(f"at{n}", lambda a=args: libc.syscall(
            463, -100, raw, 0, key, a, len(a)))
    os.close(fd)
    os.unlink(path)
    return {"gained": gained, "refused": refused}


def _fchmod(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(fd, 0o4755)
    finally:
        os.close(fd)


TIOCSETD = 0x5423
SYS_IOCTL = {"x86_64": 16, "aarch64": 29}


def discipline(number, high):
    """A line discipline on a terminal of our own; the kernel does not look at
    the upper half of an ioctl's number."""
    step("terminal")
    fds = os.openpty()
    step("set")
    try:
        check(libc.syscall(
            SYS_IOCTL[os.uname().machine], fds[1],
            ctypes.c_ulong(TIOCSETD | int(high) << 32),
            ctypes.byref(ctypes.c_int(int(number)))))
    finally:
        os.close(fds[0])
        os.close(fds[1])
    return {"made": True}


def typed(number, high):
    """As above: a key is put into the input of the terminal that is ours."""
    return in_child(["type_key", number, high])


def type_key(number, high):
    step("terminal")
    fds = os.openpty()
    os.setsid()
    fcntl.ioctl(fds[1], termios.TIOCSCTTY, 0)
    step("type")
    check(libc.syscall(
        SYS_IOCTL[os.uname().machine], fds[1],
        ctypes.c_ulong(int(number, 16) | int(high) << 32),
        ctypes.byref(ctypes.c_char(b"x"))))
    return {"made": True}


def reopen(fd, how):
    """A descriptor that we were given, opened in another mode."""
    path = f"/proc/self/fd/{fd}"
    step("open")
    if how == "truncate":
        os.truncate(path, 0)
        return {"made": True}
    flags = 0
    for name in how.split("|"):
        flags |= getattr(os, name)
    os.close(os.open(path, flags))
    return {"made": True}


# ---- other protocols, and datagrams as large as they come ----

def speak(domain, kind, protocol, address, port):
    """Any socket that takes an address: send a word, read the answer."""
    step("socket")
    with socket.socket(int(domain), int(kind), int(protocol)) as s:
        s.settimeout(TIMEOUT)
        step("connect")
        s.connect((address, int(port)))
        step("send")
        s.send(b"secret word")
        step("read")
        return {"data": text(s.recv(1024))}


def large(address, port, *sizes):
    """Datagrams of these sizes to an echo: which came back whole?"""
    whole = []
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(TIMEOUT)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        s.connect((address, int(port)))
        for size in map(int, sizes):
            data = hashlib.shake_128(b"large").digest(size)
            step(f"send {size}")
            s.send(data)
            step(f"read {size}")
            whole.append(s.recv(65536) == data)
    return {"whole": whole}


IPV6_HOPOPTS, IPV6_RTHDR, IPV6_DSTOPTS = 54, 57, 59


def extension(name, address, port, hidden):
    """UDP with an IPv6 extension header; a routing one names `hidden`."""
    inner = socket.inet_pton(socket.AF_INET6, hidden)
    option, value = {
        "hop": (IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0])),
        "destination": (IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0])),
        "source-route": (IPV6_RTHDR, bytes([0, 2, 0, 1, 0, 0, 0, 0]) + inner),
        "home": (IPV6_RTHDR, bytes([0, 2, 2, 1, 0, 0, 0, 0]) + inner),
        "segments": (IPV6_RTHDR, bytes([0, 4, 4, 1, 1, 0, 0, 0]) + inner +
                     socket.inet_pton(socket.AF_INET6, address)),
    }[name]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.settimeout(SILENCE)
        step("option")
        s.setsockopt(socket.IPPROTO_IPV6, option, value)
        step("send")
        s.sendto(b"routed", (address, int(port)))
        step("read")
        return {"data": text(s.recv(1024))}


def closed_port(address, port):
    """The second call on a connected socket tells what became of the first."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(TIMEOUT)
        s.connect((address, int(port)))
        step("send")
        s.send(b"anybody?")
        step("read")
        return {"data": text(s.recv(1024))}


def own_listener(address):
    """A listener of ours on every address, reached by this one."""
    with socket.create_server(("::", 0), family=socket.AF_INET6,
                              dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with dial(address, port) as s:
            listener.accept()[0].sendall(b"own")
            step("read")
            return {"data": text(s.recv(16))}


def write(path, *lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    return {"wrote": path}


def status():
    """Who we are: ids, capabilities, flags."""
    with open("/proc/self/status", encoding="ascii") as f:
        lines = dict(x.rstrip("\n").split(":\t", 1) for x in f if ":\t" in x)
    return {k: lines.get(k) for k in ("Uid", "Gid", "Groups", "CapEff",
                                      "CapPrm", "CapBnd", "NoNewPrivs",
                                      "Seccomp")}


# ---- terminals, files that are shown, limits ----

TERMINALS = ("/dev/tty", "/dev/tty0", "/dev/tty1", "/dev/console", "/dev/vcs",
             "/dev/vcsa", "/dev/ttyS0", "/dev/ptmx/../pts/0", "/dev/uinput",
             "/proc/1/fd/0", "/proc/1/fd/1", "/proc/1/fd/2")
TIOCCONS, TIOCVHANGUP = 0x541d, 0x5437


def _attempts():
    """(names of what worked, what tries one)"""
    gained = []

    def attempt(name, call):
        try:
            call()
            gained.append(name)
        except (OSError, ValueError):
            pass
    return gained, attempt


def _opened(path, flags=os.O_RDWR):
    os.close(os.open(path, flags | os.O_NOCTTY))


def terminals(*how):
    """Every terminal that we find, and what can be done to the one on stdin.
    "all": also what would do harm outside."""
    return in_child(["each_terminal", *how])


def each_terminal(*how):
    gained, attempt = _attempts()
    found = sorted(x for x in os.listdir("/dev/pts") if x.isdigit())
    for path in (*TERMINALS, *("/dev/pts/" + x for x in found)):
        attempt("open " + path, lambda p=path: _opened(p))
    attempt("foreground", lambda: os.tcsetpgrp(0, os.getpgrp()))
    if "all" in how and not _capable(gained):
        attempt("console", lambda: fcntl.ioctl(0, TIOCCONS))
        attempt("hang up", lambda: fcntl.ioctl(0, TIOCVHANGUP))
        attempt("hang up ours", lambda: check(libc.vhangup()))
        os.setsid()
        attempt("take", lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        attempt("steal", lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 1))
    return {"gained": gained, "terminals": found, "tty": os.isatty(0)}


def _capable(gained):
    """With a capability we could, and where nothing confines us that would do
    harm to the machine: it is said, and not done."""
    able = int(status()["CapEff"], 16) != 0
    if able:
        gained.append("capable")
    return able


FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
SYS_OPEN_TREE, SYS_MOUNT_SETATTR = 428, 442
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2
OPEN_TREE_CLONE, AT_RECURSIVE = 1, 0x8000


def changed(path):
    """Every way to change a file, or what stands at its place. It may be one of
    the machine's, and nothing confine us: what succeeds changes nothing."""
    gained, attempt = _attempts()
    _by_descriptor(path, attempt)
    _by_name(path, attempt)
    if not _capable(gained):
        _by_mount(os.path.dirname(path).encode(), path.encode(), attempt)
    return {"gained": gained}


def _by_descriptor(path, attempt):
    fd = os.open(path, os.O_RDONLY)
    own, now = f"/proc/self/fd/{fd}", os.fstat(fd)

    def flags():
        value = fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8))
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, value)

    def memory(by):
        with mmap.mmap(by, 1, mmap.MAP_SHARED, mmap.PROT_WRITE):
            pass

    def memory_again():
        other = os.open(own, os.O_RDWR)
        try:
            memory(other)
        finally:
            os.close(other)
    for name, how in (("write", os.O_WRONLY), ("both", os.O_RDWR),
                      ("append", os.O_WRONLY | os.O_APPEND)):
        attempt(name, lambda h=how: _opened(path, h))
        attempt(name + " again", lambda h=how: _opened(own, h))
    attempt("map", lambda: memory(fd))
    attempt("map again", memory_again)
    attempt("fchmod", lambda: os.fchmod(fd, now.st_mode & 0o7777))
    attempt("fchown", lambda: os.fchown(fd, now.st_uid, now.st_gid))
    attempt("flags", flags)
    os.close(fd)


def _by_name(path, attempt):
    folder, now = os.path.dirname(path), os.stat(path)
    free = path + ".not-there"

    def remove(call):
        try:
            call(free)
        except FileNotFoundError:
            pass  # it may be done, and there is nothing to do it to
    attempt("chmod", lambda: os.chmod(path, now.st_mode & 0o7777))
    attempt("chown", lambda: os.chown(path, now.st_uid, now.st_gid))
    attempt("time", lambda: os.utime(path, ns=(now.st_atime_ns,
                                               now.st_mtime_ns)))
    attempt("length", lambda: os.truncate(path, now.st_size))
    attempt("rename", lambda: os.rename(path, path))
    attempt("remove", lambda: remove(os.unlink))
    attempt("remove folder", lambda: remove(os.rmdir))
    attempt("unnamed", lambda: os.close(os.open(
        folder, os.O_TMPFILE | os.O_RDWR, 0o600)))


def _by_mount(folder, raw, attempt):
    """Without a capability none of these can do anything."""
    attr = struct.pack("=4Q", 0, MS_RDONLY, 0, 0)
    for what, where in (("file", raw), ("folder", folder)):
        attempt("remount " + what, lambda w=where: check(libc.mount(
            None, w, None, MS_REMOUNT | MS_BIND, None)))
        attempt("unmount " + what, lambda w=where: check(
            libc.umount2(w, MNT_DETACH)))
        attempt("bind " + what, lambda w=where: check(libc.mount(
            w, w, None, MS_BIND, None)))
        attempt("attributes of " + what, lambda w=where: check(libc.syscall(
            SYS_MOUNT_SETATTR, -100, w, AT_RECURSIVE, attr, len(attr))))
        attempt("tree of " + what, lambda w=where: os.close(check(
            libc.syscall(SYS_OPEN_TREE, -100, w, OPEN_TREE_CLONE))))
    attempt("root", lambda: os.chroot("/tmp"))
    attempt("pivot", lambda: check(libc.pivot_root(b"/tmp", b"/tmp")))
    attempt("namespace", lambda: check(libc.unshare(CLONE_NEWNS)))


PRIO_PROCESS, IOPRIO_SET, IOPRIO_REALTIME = 0, 251, 1 << 13


def limits():
    """Every limit above what it is, and what else is scarce."""
    return in_child(["each_limit"])


def each_limit():
    gained, attempt = _attempts()
    able = _capable(gained)
    for name in (x for x in dir(resource) if x.startswith("RLIMIT_")):
        which = getattr(resource, name)
        for pid in [0] if able else [0, 1]:
            soft, hard = resource.prlimit(pid, which)
            if pid == 1:  # the first process of the run has its own
                attempt(f"{name} of 1, as it is", lambda p=pid, w=which,
                        s=soft, h=hard: resource.prlimit(p, w, (s, h)))
            if hard == resource.RLIM_INFINITY:
                continue
            for soft in (hard, hard + 1):
                attempt(f"{name} of {pid}", lambda p=pid, w=which, s=soft,
                        h=hard + 1: resource.prlimit(p, w, (s, h)))
    attempt("nice", lambda: os.setpriority(PRIO_PROCESS, 0, -20))
    attempt("real time", lambda: os.sched_setscheduler(
        0, os.SCHED_FIFO, os.sched_param(1)))
    attempt("disk", lambda: check(libc.syscall(
        IOPRIO_SET, 1, 0, IOPRIO_REALTIME)))
    attempt("unkillable", lambda: _written("/proc/self/oom_score_adj",
                                           "-1000"))
    for name in ("/sys/fs/cgroup/cgroup.procs", "/proc/sys/kernel/pid_max"):
        attempt(name, lambda p=name: _opened(p, os.O_WRONLY))
    return {"gained": gained}


def _written(path, word):
    with open(path, "w", encoding="ascii") as f:
        f.write(word)


PROBES = {f.__name__: f for f in (
    tcp, banner_then, duplex, websocket, mapped, http, h2, tls, hello,
    late, crowd, quic_then_tcp, resolve, dns,
    tunnel, again, pair, pieces, neighbour, bind_ports, simultaneous, udp,
    ping, open_socket, vsock, io_uring, bind_send, program, nftables,
    link_add, nested, nest, unix_bind,
    unix_connect, others, setuid_bits, file_caps, discipline, typed, type_key,
    reopen, write, status, terminals, each_terminal, changed, limits,
    each_limit)}


PROBES.update((f.__name__, f) for f in (speak, large, extension, closed_port,
                                        own_listener))


def run(argv):
    begin = time.monotonic()
    try:
        result = PROBES[argv[0]](*argv[1:])
    except socket.timeout:
        result = {"errno": "ETIMEDOUT", "step": Step.now}
    except OSError as e:
        result = {"errno": errno.errorcode.get(e.errno, repr(e)),
                  "step": Step.now}
    result["ms"] = round((time.monotonic() - begin) * 1000, 1)
    return result


if __name__ == "__main__":
    # Several probes in one sandbox: separated by an argument "--".
    todo, part = [], []
    for arg in sys.argv[1:] + ["--"]:
        if arg == "--":
            todo.append(part)
            part = []
        else:
            part.append(arg)
    for probe in todo:
        print(json.dumps(run(probe)), flush=True)
