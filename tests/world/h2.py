"""HTTP/2, as little as its clients need (RFC 9113).

SPDX-License-Identifier: Apache-2.0

    /echo         sends the body back, frame by frame, and ends in trailers
    any other     "hello from HOST at ADDRESS" when the request has ended

Header blocks are read by the library that curl has with it; answers are small
enough for any window.
"""

import ctypes
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
CONTINUATION = 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
STATUS = {200: b"\x88", 404: b"\x8d"}
TRAILER = b"\x00\x0bgrpc-status\x010"


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + \
        struct.pack("!BBI", kind, flags, stream) + payload


class Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("value", ctypes.c_void_p),
                ("namelen", ctypes.c_size_t), ("valuelen", ctypes.c_size_t),
                ("flags", ctypes.c_uint8)]


class Inflater:
    FINAL, EMIT = 1, 2

    def __init__(self):
        self.lib = ctypes.CDLL("libnghttp2.so.14")
        self.lib.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.state = ctypes.c_void_p()
        self.lib.nghttp2_hd_inflate_new(ctypes.byref(self.state))

    def __del__(self):
        self.lib.nghttp2_hd_inflate_del(self.state)

    def block(self, data):
        """The fields of one header block, as a list of pairs."""
        fields, flags = [], ctypes.c_int()
        while not flags.value & self.FINAL:
            pair, flags = Pair(), ctypes.c_int()
            n = self.lib.nghttp2_hd_inflate_hd2(
                self.state, ctypes.byref(pair), ctypes.byref(flags), data,
                ctypes.c_size_t(len(data)), 1)
            if n < 0:
                raise ConnectionError("bad header block")
            data = data[n:]
            if flags.value & self.EMIT:
                fields.append(tuple(
                    ctypes.string_at(p, size).decode("latin-1")
                    for p, size in ((pair.name, pair.namelen),
                                    (pair.value, pair.valuelen))))
        self.lib.nghttp2_hd_inflate_end_headers(self.state)
        return fields


class Connection:
    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.inflater, self.paths = Inflater(), {}
        self.here = writer.get_extra_info("sockname")
        self.peer = writer.get_extra_info("peername")
        self.address = self.here[0].removeprefix("::ffff:")

    async def serve(self, upgraded=None):
        """From behind the first empty line of the preface on."""
        if await self.reader.readexactly(6) != PREFACE[18:]:
            raise ConnectionError("no preface")
        self.writer.write(frame(SETTINGS, 0, 0))
        if upgraded:
            self.request(1, upgraded)
            self.answer(1)
        while True:
            head = await self.reader.readexactly(9)
            size = int.from_bytes(head[:3], "big")
            flags, stream = struct.unpack("!xxxxBI", head)
            payload = await self.reader.readexactly(size)
            await self.take(head[3], flags, stream, payload)
            await self.writer.drain()

    async def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        elif kind == HEADERS:
            await self.headers(flags, stream, payload)
        elif kind == DATA:
            self.data(flags, stream, payload)

    async def headers(self, flags, stream, payload):
        pad = payload[0] if flags & PADDED else 0
        payload = payload[bool(flags & PADDED):len(payload) - pad]
        payload = payload[5 if flags & PRIORITY else 0:]
        more = flags
        while not more & END_HEADERS:
            head = await self.reader.readexactly(9)
            more = head[4]
            payload += await self.reader.readexactly(
                int.from_bytes(head[:3], "big"))
        fields = self.inflater.block(payload)
        if stream not in self.paths:
            self.request(stream, dict(fields))
            if self.paths[stream][1] == "/echo":
                self.writer.write(frame(HEADERS, END_HEADERS, stream,
                                        STATUS[200]))
        if flags & END_STREAM:
            self.answer(stream)

    def request(self, stream, fields):
        host = fields.get(":authority", fields.get("host", ""))
        self.paths[stream] = (host.rsplit(":", 1)[0], fields.get(":path"))
        self.server.writer.put(
            method=fields.get(":method"), target=fields.get(":path"),
            version="HTTP/2", host=host or None, headers=fields, sni=None,
            tls=bool(self.writer.get_extra_info("ssl_object")),
            address=self.address, port=self.here[1],
            client=self.peer[0].removeprefix("::ffff:"),
            client_port=self.peer[1])

    def data(self, flags, stream, payload):
        if payload:
            grow = struct.pack("!I", len(payload))
            self.writer.write(frame(WINDOW_UPDATE, 0, 0, grow) +
                              frame(WINDOW_UPDATE, 0, stream, grow))
        if self.paths[stream][1] == "/echo":
            self.writer.write(frame(DATA, 0, stream, payload))
        if flags & END_STREAM:
            self.answer(stream)

    def answer(self, stream):
        host, path = self.paths[stream]
        if path == "/echo":
            self.writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream,
                                    TRAILER))
            return
        body = f"hello from {host} at {self.address}\n".encode()
        self.writer.write(
            frame(HEADERS, END_HEADERS, stream, STATUS[200]) +
            frame(DATA, END_STREAM, stream, body))
