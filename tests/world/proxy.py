#!/usr/bin/python3
"""Proxies of the far side: honest ones, and ones that are not.

SPDX-License-Identifier: Apache-2.0

    proxy.py ADDRESS LOG

Says "ready" when all of them listen. What each was sent goes to LOG, a JSON
line a request. The honest ones connect to whatever they are asked for.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys

ADDRESS = "10.0.0.9"
HTTP, HTTP_LOGIN, SOCKS, SOCKS_LOGIN = 3128, 3129, 1080, 1081
USER, PASSWORD = "me", "s3cret:%"
LOGIN = "me:s3cret%3A%25@"  # as a URL says it
GRANT = b"HTTP/1.1 200 Connection established\r\n\r\n"

# Port: what comes back, in pieces, and what happens then.
HOSTILE = {
    4001: ("garbage", [b"\x00\xff\x80" * 100]),
    4002: ("half a head, then the end", [b"HTTP/1.1 200 Conn"]),
    4003: ("a head without an end", [b"HTTP/1.1 200 x\r\n", b"x" * 70000]),
    4004: ("the end at once", []),
    4005: ("407, always", [b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic "
                           b"realm=x\r\nContent-Length: 0\r\n\r\n"]),
    4006: ("407 for NTLM", [b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM"
                            b"\r\n\r\n"]),
    4007: ("403", [b"HTTP/1.1 403 Forbidden\r\n\r\n"]),
    4008: ("502", [b"HTTP/1.1 502 Bad Gateway\r\n\r\n"]),
    4009: ("to another place", [b"HTTP/1.1 302 x\r\nLocation: "
                                b"http://203.0.113.66/\r\n\r\n"]),
    4010: ("interim answers for ever", [b"HTTP/1.1 100 x\r\n\r\n"] * 3000),
    4011: ("the target's bytes in the same packet",
           [GRANT + b"SSH-2.0-World\r\n"]),
    4012: ("SOCKS: no method", [b"\x05\xff"]),
    4013: ("SOCKS: refused by its rules", [b"\x05\x00", b"\x05\x02\x00\x01"
                                           b"\0\0\0\0\0\0"]),
    4014: ("SOCKS: answers before it was asked",
           [b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0"]),
}
SLOW = 4020  # a byte now and then, and never an end


class Proxies:
    def __init__(self, log):
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, port, **what):
        """One write a line: readers see whole ones."""
        line = json.dumps({"event": "proxy", "port": port, **what})
        os.write(self.log, line.encode() + b"\n")

    async def relay(self, reader, writer, host, port, grant):
        there, back = await asyncio.open_connection(host, port)
        writer.write(grant)

        async def copy(source, sink):
            with contextlib.suppress(OSError):
                while data := await source.read(1 << 16):
                    sink.write(data)
                    await sink.drain()
                sink.write_eof()
        await asyncio.gather(copy(reader, back), copy(there, writer))
        back.close()

    async def http(self, reader, writer, here, login):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.note(here, head=head)
        verb, target, _ = head.split("\r\n")[0].split(" ")
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if login and f"Basic {wanted}" not in head:
            writer.write(HOSTILE[4005][1][0])
            return
        host, _, port = target.rpartition(":")
        try:
            if verb != "CONNECT":
                raise OSError("another method")
            await self.relay(reader, writer, host.strip("[]"), int(port),
                             GRANT)
        except OSError:
            writer.write(HOSTILE[4008][1][0])

    async def socks(self, reader, writer, here, login):
        _, n = await reader.readexactly(2)
        methods = await reader.readexactly(n)
        writer.write(b"\x05" + bytes([2 if login else 0]))
        if login:
            if 2 not in methods:
                return
            _, n = await reader.readexactly(2)
            user = (await reader.readexactly(n)).decode()
            n = (await reader.readexactly(1))[0]
            good = (user, (await reader.readexactly(n)).decode()) == \
                (USER, PASSWORD)
            writer.write(b"\x01" + (b"\0" if good else b"\1"))
            if not good:
                return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            n = (await reader.readexactly(1))[0]
            host = (await reader.readexactly(n)).decode()
        else:
            raw = await reader.readexactly(4 if kind == 1 else 16)
            host = socket.inet_ntop(
                socket.AF_INET if kind == 1 else socket.AF_INET6, raw)
        port, = struct.unpack(">H", await reader.readexactly(2))
        self.note(here, target=host, to=port)
        try:
            await self.relay(reader, writer, host, port,
                             b"\x05\0\0\x01" + bytes(6))
        except OSError:
            writer.write(b"\x05\x05\0\x01" + bytes(6))

    async def hostile(self, reader, writer, here, _login):
        if here == SLOW:
            for byte in GRANT[:-1] * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
            return
        what, pieces = HOSTILE[here]
        for i, piece in enumerate(pieces):
            if i == 0 or "SOCKS" in what:
                said = await reader.read(4096)
                self.note(here, head=said.decode("latin-1"))
            writer.write(piece)
            await writer.drain()

    def handler(self, serve, login=False):
        async def connection(reader, writer):
            here = writer.get_extra_info("sockname")[1]
            # what a peer that went away makes of a stream is of no interest
            with contextlib.suppress(OSError, ValueError,
                                     asyncio.IncompleteReadError):
                await serve(reader, writer, here, login)
                await writer.drain()
            writer.close()
        return connection


def far(world, argv, **how):
    """Start a program on the far side of the link."""
    return subprocess.Popen(
        ["nsenter", f"--net=/proc/{world.children[0]}/ns/net", "--", *argv],
        **how)


def start(world):
    """All of them, once in a world; what they log is among the world's."""
    if not hasattr(world, "proxies"):
        log = os.path.join(world.log_folder, "net.jsonl")
        world.proxies = far(world, ["/usr/bin/python3", "-B",
                                    os.path.abspath(__file__), ADDRESS, log],
                            stdout=subprocess.PIPE)
        if world.proxies.stdout.readline() != b"ready\n":
            raise OSError("the proxies did not start")


def told(records):
    """What proxies were asked, of a world's log."""
    return [r for r in records if r.get("event") == "proxy"]


async def main():
    address, log = sys.argv[1:]
    proxies = Proxies(log)

    async def listen(port, serve, login=False):
        await asyncio.start_server(proxies.handler(serve, login), address,
                                   port)
    await listen(HTTP, proxies.http)
    await listen(HTTP_LOGIN, proxies.http, True)
    await listen(SOCKS, proxies.socks)
    await listen(SOCKS_LOGIN, proxies.socks, True)
    for port in (*HOSTILE, SLOW):
        await listen(port, proxies.hostile)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
