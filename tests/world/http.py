"""HTTP and TLS of the test internet: every host answers every path.

SPDX-License-Identifier: Apache-2.0

    GET  /bytes/N       N bytes of a known pattern; /chunked/N: in chunks
    GET  /slow/MS       waits first
    GET  /status/CODE   that status;  /to/URL  redirects there
    GET  /reset         resets the connection in the middle of the body
    GET  /events/ID/N   N events, each behind an acknowledgement of the last
    GET  /ack/ID        is one
    GET  /ws            echoes WebSocket frames
    GET  /101           says that it switched, and goes on in HTTP/1
    HTTP/2              by its preface, or by upgrade: see h2.py
    PUT, POST any       answers the body's length and SHA-256
    index.test          a package index; files.index.test the files
    what a story stored for a host (store.py), before all else of it
    git.test            one repository, by git http-backend
    metadata addresses  a secret
    anything else       "hello from HOST at ADDRESS"
"""

import asyncio
import base64
import hashlib
import os
import socket
import struct
import urllib.parse

from . import fixtures, h2, store

CHUNK = 1 << 16
HEAD_LIMIT = 1 << 16
METADATA = ("169.254.", "fd00:ec2:", "fd20:ce:", "100.100.100.200",
            "168.63.129.16", "192.0.0.192", "fe80::a9fe")
SECRET = "metadata-secret"


def pattern(n, at=0):
    """n bytes of the pattern that starts anew every 64 KiB."""
    return _PATTERN[at:at + n]


_PATTERN = hashlib.shake_128(b"exeat").digest(CHUNK)


def pattern_digest(n):
    h = hashlib.sha256()
    for at in range(0, n, CHUNK):
        h.update(pattern(min(CHUNK, n - at)))
    return h.hexdigest()


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


class Gone(Exception):
    pass


class Server:
    def __init__(self, folder, writer):
        self.folder, self.writer = folder, writer
        self.store = store.Store(folder)
        self.fixtures, self.acks = {}, {}

    async def connection(self, reader, writer):
        try:
            while await self.request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, Gone,
                asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def request(self, reader, writer):
        """One request; False when the connection is to end."""
        head = await reader.readuntil(b"\r\n\r\n")
        if head == h2.PREFACE[:len(head)]:
            return await h2.Connection(self, reader, writer).serve()
        lines = head.decode("latin-1").split("\r\n")
        method, target, version = (lines[0].split(" ") + ["", ""])[:3]
        headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(":")
            if key:
                headers[key.strip().lower()] = value.strip()
        ssl_object = writer.get_extra_info("ssl_object")
        here = writer.get_extra_info("sockname")
        peer = writer.get_extra_info("peername")
        r = Request(self, reader, writer, method, target, headers,
                    plain(here[0]))
        self.writer.put(
            method=method, target=target, version=version,
            host=headers.get("host"), headers=headers,
            sni=getattr(ssl_object, "world_sni", None), tls=bool(ssl_object),
            address=plain(here[0]), port=here[1], client=plain(peer[0]),
            client_port=peer[1])
        await r.answer()
        await writer.drain()
        return headers.get("connection", "").lower() != "close" and \
            version == "HTTP/1.1" and not r.last


class Request:
    def __init__(self, server, reader, writer, method, target, headers,
                 address):
        self.server, self.reader, self.writer = server, reader, writer
        self.method, self.headers = method, headers
        self.address, self.last = address, False
        self.host = headers.get("host", "").rsplit(":", 1)[0].lower()
        self.path, _, self.query = target.partition("?")

    async def answer(self):
        if self.headers.get("upgrade") == "h2c" and self.path != "/101":
            return await self.h2c()
        if self.path == "/101":
            return self.head(101)
        if self.path == "/ws" and "upgrade" in self.headers:
            return await self.websocket()
        found = self.server.store.find(self.host, self.path)
        if found is not None:
            return self.stored(found)
        if self.host == "git.test":
            return await self.git()
        if self.method in ("PUT", "POST"):
            return await self.sink()
        if self.address.startswith(METADATA):
            return self.send(SECRET.encode())
        if self.host in ("index.test", "files.index.test"):
            return self.packages()
        return await self.page()

    async def page(self):
        what, _, arg = self.path[1:].partition("/")
        if what == "bytes":
            return await self.bytes(int(arg))
        if what == "chunked":
            return await self.chunked(int(arg))
        if what == "reset":
            return self.reset()
        if what == "events":
            return await self.events(*arg.split("/"))
        if what == "ack":
            self.ack(arg).set()
        if what == "status":
            return self.send(b"status\n", status=int(arg))
        if what == "to":
            return self.send(b"", status=302,
                             location=urllib.parse.unquote(arg))
        if what == "slow":
            await asyncio.sleep(int(arg) / 1000)
        self.send(f"hello from {self.host} at {self.address}\n".encode())

    def head(self, status, **headers):
        lines = [f"HTTP/1.1 {status} World"]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def send(self, body, status=200, **headers):
        headers.setdefault("content_type", "text/plain")
        self.head(status, content_length=len(body), **headers)
        if self.method != "HEAD":
            self.writer.write(body)

    async def bytes(self, n):
        self.head(200, content_length=n)
        for at in range(0, n, CHUNK):
            self.writer.write(pattern(min(CHUNK, n - at)))
            await self.writer.drain()

    async def chunked(self, n):
        self.head(200, transfer_encoding="chunked")
        for at in range(0, n, CHUNK):
            data = pattern(min(CHUNK, n - at))
            self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await self.writer.drain()
        self.writer.write(b"0\r\n\r\n")

    def ack(self, name):
        return self.server.acks.setdefault(name, asyncio.Event())

    async def events(self, name, count):
        """Server-Sent Events that nobody on the way may keep back."""
        self.head(200, content_type="text/event-stream", connection="close")
        self.last = True
        for i in range(int(count)):
            self.writer.write(b"data: %d\n\n" % i)
            await self.writer.drain()
            await self.ack(name).wait()
            self.ack(name).clear()

    def reset(self):
        self.head(200, content_length=1000000)
        self.writer.write(b"begin")
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
        raise Gone

    async def body(self):
        """Yields the request's body in pieces."""
        if self.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                size = int((await self.reader.readuntil(b"\r\n"))
                           .partition(b";")[0], 16)
                data = await self.reader.readexactly(size + 2)
                if size == 0:
                    return
                yield data[:-2]
        left = int(self.headers.get("content-length", "0"))
        while left:
            data = await self.reader.read(min(left, CHUNK))
            if not data:
                raise Gone
            left -= len(data)
            yield data

    async def sink(self):
        h, n = hashlib.sha256(), 0
        async for data in self.body():
            h.update(data)
            n += len(data)
        self.send(f"{n} {h.hexdigest()}\n".encode())

    def packages(self):
        index = self.server.fixtures.get("index")
        if index is None:
            index = self.server.fixtures["index"] = fixtures.package_index()
        found = index.get((self.host, self.path))
        if found is None:
            return self.send(b"no such page\n", status=404)
        self.send(found[1], content_type=found[0])

    def stored(self, found):
        status, headers, body = store.conditional(self.headers, found)
        if status == 304:
            return self.head(status, **headers)
        self.send(body, status, **headers)

    async def git(self):
        """The Common Gateway Interface of git http-backend (RFC 3875)."""
        root = os.path.join(self.server.folder, "git")
        if not os.path.isdir(root):
            fixtures.repository(root)
        data = b"".join([x async for x in self.body()])
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root,
               "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.method,
               "PATH_INFO": self.path, "QUERY_STRING": self.query,
               "CONTENT_TYPE": self.headers.get("content-type", ""),
               "CONTENT_LENGTH": str(len(data)), "HOME": root,
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*",
               "HTTP_CONTENT_ENCODING":
                   self.headers.get("content-encoding", ""),
               "GIT_PROTOCOL": self.headers.get("git-protocol", "")}
        child = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=env, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE)
        out, _ = await child.communicate(data)
        head, _, body = out.partition(b"\r\n\r\n")
        headers, status = {}, 200
        for line in head.decode().split("\r\n"):
            key, _, value = line.partition(": ")
            if key == "Status":
                status = int(value.split()[0])
            elif key:
                headers[key.replace("-", "_").lower()] = value
        self.send(body, status=status, **headers)

    async def h2c(self):
        """RFC 7540 3.2: the request is stream 1 of what follows."""
        self.last = True
        async for _ in self.body():
            pass
        self.head(101, upgrade="h2c", connection="Upgrade")
        await self.reader.readuntil(b"\r\n\r\n")
        await h2.Connection(self.server, self.reader, self.writer).serve(
            {":path": self.path, "host": self.host})

    async def websocket(self):
        """RFC 6455, as little as an echo needs."""
        key = self.headers.get("sec-websocket-key", "")
        magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = hashlib.sha1((key + magic).encode()).digest()
        self.head(101, upgrade="websocket", connection="Upgrade",
                  sec_websocket_accept=base64.b64encode(accept).decode())
        self.last = True
        while True:
            first, size = await self.reader.readexactly(2)
            size &= 0x7f
            if size == 126:
                size = struct.unpack("!H", await self.reader.readexactly(2))[0]
            mask = await self.reader.readexactly(4)
            data = await self.reader.readexactly(size)
            data = bytes(b ^ mask[i & 3] for i, b in enumerate(data))
            length = bytes([size]) if size < 126 else \
                b"\x7e" + struct.pack("!H", size)
            self.writer.write(bytes([first]) + length + data)
            await self.writer.drain()
            if first & 15 == 8:
                return
