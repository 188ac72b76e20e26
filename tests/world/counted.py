#!/usr/bin/python3
"""Much data at the speed of memory, of which no byte can be another.

SPDX-License-Identifier: Apache-2.0

    counted.py serve ADDRESS PORT   GET /N: N bytes; PUT: says if they are
    counted.py check N              reads them from stdin
    counted.py put HOST N           sends them there, prints what is answered

Each 64 KiB begin with their number; the rest is a known pattern. What is read
is compared a MiB at a time, so that two processors pass gigabytes in seconds.
"""

import hashlib
import http.client
import os
import socket
import struct
import sys

BLOCK, BLOCKS = 1 << 16, 16
CHUNK = BLOCK * BLOCKS


class Counted:
    """The stream, a chunk after the other."""

    def __init__(self, size):
        self.left, self.number = size, 0
        self.chunk = bytearray(hashlib.shake_128(b"counted").digest(BLOCK) *
                               BLOCKS)

    def next(self):
        """The next chunk, valid until the one after it; empty at the end."""
        for i in range(BLOCKS):
            struct.pack_into("!Q", self.chunk, i * BLOCK, self.number + i)
        self.number += BLOCKS
        n = min(self.left, CHUNK)
        self.left -= n
        return memoryview(self.chunk)[:n]

    def __iter__(self):
        while len(chunk := self.next()):
            yield chunk


def judge(size, read_into):
    """What is wrong with the bytes that read_into(buffer) gives."""
    buffer, got = memoryview(bytearray(CHUNK)), 0
    for wanted in Counted(size):
        n = 0
        while n < len(wanted) and (k := read_into(buffer[n:len(wanted)])):
            n += k
        if buffer[:n] != wanted[:n]:
            return f"other bytes after {got}"
        got += n
        if n < len(wanted):
            return f"ended after {got}"
    return f"{got} as sent"


def answer(sock):
    """The requests of one connection."""
    f = sock.makefile("rb", buffering=1 << 16)
    while line := f.readline():
        method, path, _ = line.decode("latin-1").split(" ")
        size = int(path[1:])
        while f.readline() not in (b"\r\n", b""):
            pass
        if method == "GET":
            sock.sendall(b"HTTP/1.1 200 Yes\r\nContent-Length: %d\r\n\r\n"
                         % size)
            for chunk in Counted(size):
                sock.sendall(chunk)
            continue
        said = judge(size, f.readinto1).encode()
        sock.sendall(b"HTTP/1.1 200 Yes\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(said), said))


def serve(address, port):
    server = socket.socket()
    # All of the world's listen on every address; one of one comes first.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, int(port)))
    server.listen()
    print("ready", flush=True)
    while True:
        sock, _ = server.accept()
        if os.fork() == 0:
            try:
                answer(sock)
            finally:
                os._exit(0)
        sock.close()


def check(size):
    print(judge(int(size), sys.stdin.buffer.raw.readinto))


def put(host, size):
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", "/" + size, body=iter(Counted(int(size))),
                       headers={"Content-Length": size})
    print(connection.getresponse().read().decode())


if __name__ == "__main__":
    {"serve": serve, "check": check, "put": put}[sys.argv[1]](*sys.argv[2:])
