#!/usr/bin/python3
"""Much data at the speed of memory, of which no byte can be another.

SPDX-License-Identifier: Apache-2.0

    counted.py serve ADDRESS PORT   GET /N: N bytes; PUT: says if they are
    counted.py get HOST N           asks for them, prints if they are
    counted.py put HOST N           sends them there, prints what is answered

Each 64 KiB begin with their number; the rest is a known pattern. What is read
is compared in pieces that a processor's cache holds: gigabytes take seconds.
"""

import hashlib
import http.client
import os
import socket
import struct
import sys

BLOCK, BLOCKS = 1 << 16, 4
CHUNK = BLOCK * BLOCKS


class Counted:
    """The stream, a chunk after the other."""

    def __init__(self, size):
        self.left, self.number = size, 0
        self.chunk = bytearray(hashlib.shake_128(b"counted").digest(BLOCK) *
                               BLOCKS)

    def __iter__(self):
        """Each chunk is valid until the next."""
        while self.left:
            for i in range(BLOCKS):
                struct.pack_into("!Q", self.chunk, i * BLOCK,
                                 self.number + i)
            self.number += BLOCKS
            if self.left < CHUNK:
                self.chunk = self.chunk[:self.left]
            self.left -= len(self.chunk)
            yield self.chunk


def judge(size, read_into):
    """What is wrong with the bytes that read_into(buffer) gives."""
    # bytearrays: those of a memoryview are compared one by one
    chunk, got = bytearray(CHUNK), 0
    view = memoryview(chunk)
    for wanted in Counted(size):
        n, full = 0, len(wanted)
        while n < full and (k := read_into(view[n:full])):
            n += k
        if n < full:
            return f"ended after {got + n}"
        if (chunk if full == CHUNK else chunk[:full]) != wanted:
            return f"other bytes after {got}"
        got += n
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


def get(host, size):
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/" + size)
    response = connection.getresponse()
    print(response.length, judge(int(size), response.readinto))


def put(host, size):
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", "/" + size, body=iter(Counted(int(size))),
                       headers={"Content-Length": size})
    print(connection.getresponse().read().decode())


if __name__ == "__main__":
    {"serve": serve, "get": get, "put": put}[sys.argv[1]](*sys.argv[2:])
