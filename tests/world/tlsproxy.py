#!/usr/bin/python3
"""Proxies that are spoken to within TLS: honest ones, and ones that are not.

SPDX-License-Identifier: Apache-2.0

    tlsproxy.py ADDRESS LOG KEYS

Says "ready" when all of them listen. Those of proxy.py stand behind the honest
ones. TLS is done on memory, so that each direction can end by itself, and so
that what goes over the wire can be anything.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import warnings

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))

from world import proxy  # noqa: E402

ADDRESS = proxy.ADDRESS
NAME = "proxy.test"
IDN = "pröxy.test"
LONG = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 50, NAME])
HTTPS, HTTPS_LOGIN, TLS12, SMALL = 3443, 3444, 3445, 3446
CUT, AFTER, CLIENT = 3447, 3448, 3449  # honest at first
# Port: what, and what a refusal says of it.
HOSTILE = {
    4101: ("expired", "has expired"),
    4102: ("another name", "for another name"),
    4103: ("an unknown authority", "unknown authority"),
    4104: ("self-signed", "self-signed"),
    4105: ("plain text", "does not speak TLS"),
    4106: ("silence", "no handshake of TLS in time"),
    4107: ("the end at once", "closed in the handshake"),
    4108: ("the end in the middle", "closed in the handshake"),
    4109: ("TLS 1.1", "older than 1.2"),
    4110: ("407 within TLS", "HTTP 407"),
    4111: ("garbage within TLS", "does not speak the protocol"),
    4112: ("no certificate for servers", "not one for servers"),
}
SILENT = 4106


# ---- keys ----

def _openssl(folder, *args):
    subprocess.run(["openssl", *args], check=True, capture_output=True,
                   cwd=folder)


KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _signed(folder, name, sans, ca="../ca", *more):
    _openssl(folder, "req", "-x509", *KEY, "-days", "30", "-CA", ca + ".pem",
             "-CAkey", ca + ".key", "-keyout", name + ".key", "-out",
             name + ".pem", "-subj", "/CN=" + NAME, "-addext",
             "basicConstraints=critical,CA:FALSE", "-addext",
             "subjectAltName=" + ",".join(sans), *more)


def make_keys(folder):
    """Certificates of the world's authority, and of others."""
    os.mkdir(folder)
    good = [f"DNS:{NAME}", f"DNS:{IDN.encode('idna').decode()}",
            f"DNS:{LONG}", f"IP:{ADDRESS}"]
    _signed(folder, "good", good)
    _signed(folder, "client", good, "../ca", "-addext",
            "extendedKeyUsage=clientAuth")
    _signed(folder, "name", ["DNS:other.test", "IP:10.0.0.10"])
    _openssl(folder, "req", "-x509", *KEY, "-keyout", "ca.key", "-out",
             "ca.pem", "-subj", "/CN=Another Authority")
    _signed(folder, "unknown", good, "ca")
    _openssl(folder, "req", "-x509", *KEY, "-keyout", "self.key", "-out",
             "self.pem", "-subj", "/CN=" + NAME, "-addext",
             "subjectAltName=" + ",".join(good))
    _openssl(folder, "req", "-new", *KEY, "-keyout", "expired.key", "-out",
             "expired.csr", "-subj", "/CN=" + NAME)
    for name, text in (
            ("san", "subjectAltName=" + ",".join(good)), ("index", ""),
            ("ca.cnf", "[ca]\ndefault_ca=ours\n[ours]\ndatabase=index\n"
             "rand_serial=yes\ndefault_md=sha256\nnew_certs_dir=.\npolicy=any\n"
             "[any]\ncommonName=supplied\n")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)
    _openssl(folder, "ca", "-batch", "-notext", "-config", "ca.cnf", "-in",
             "expired.csr", "-cert", "../ca.pem", "-keyfile", "../ca.key",
             "-startdate", "20200101000000Z", "-enddate", "20200102000000Z",
             "-extfile", "san", "-out", "expired.pem")


# ---- TLS on memory ----

class Tls:
    """One connection: what is written to `out` leaves when flushed."""

    def __init__(self, reader, writer, context, record=1 << 14):
        self.reader, self.writer, self.record = reader, writer, record
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server_side=True)

    async def flush(self):
        self.writer.write(self.out.read())
        await self.writer.drain()

    async def more(self):
        data = await self.reader.read(1 << 16)
        if not data:
            raise ConnectionError("no close_notify")
        self.into.write(data)

    async def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                return await self.flush()
            except ssl.SSLWantReadError:
                await self.flush()
                await self.more()
            except ssl.SSLError:
                await self.flush()
                raise

    async def read(self):
        """b"": close_notify."""
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                await self.more()

    async def write(self, data):
        for at in range(0, len(data), self.record):
            self.tls.write(data[at:at + self.record])
        await self.flush()

    async def end(self):
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        await self.flush()


async def shuttle(tls, inner_reader, inner_writer):
    """Both ways until both have ended; a broken side breaks the other."""
    async def inward():
        while data := await tls.read():
            inner_writer.write(data)
            await inner_writer.drain()
        inner_writer.write_eof()

    async def outward():
        while data := await inner_reader.read(1 << 16):
            await tls.write(data)
        await tls.end()
    await asyncio.gather(inward(), outward())


def make_reset(writer):
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
    writer.transport.abort()


# ---- the proxies ----

class TlsProxies:
    def __init__(self, log, keys):
        self.behind, self.keys = proxy.Proxies(log), keys

    def context(self, name, **more):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(os.path.join(self.keys, name + ".pem"),
                          os.path.join(self.keys, name + ".key"))
        c.set_alpn_protocols(["http/1.1"])
        c.sni_callback = self.sni
        for key, value in more.items():
            setattr(c, key, value)
        return c

    @staticmethod
    def sni(tls, name, _context):
        tls.world_sni = name

    def note(self, here, tls):
        self.behind.note(here, tls=tls.tls.version(),
                         sni=getattr(tls.tls, "world_sni", None),
                         alpn=tls.tls.selected_alpn_protocol())

    def honest(self, context, login=False, record=1 << 14):
        async def serve(reader, writer, here):
            tls = Tls(reader, writer, context, record)
            try:
                await tls.handshake()
            except (OSError, ssl.SSLError) as e:
                self.behind.note(here, gone=str(e))
                raise
            self.note(here, tls)
            a, b = socket.socketpair()
            inner = await asyncio.open_connection(sock=a)
            outer = await asyncio.open_connection(sock=b)

            async def http():
                with contextlib.suppress(OSError, ValueError,
                                         asyncio.IncompleteReadError):
                    await self.behind.http(*inner, here, login)
                inner[1].close()
            try:
                await asyncio.gather(http(), shuttle(tls, *outer))
            finally:
                outer[1].transport.abort()
        return serve

    def grants(self, context, then):
        """Says that it connected, and then something else."""
        async def serve(reader, writer, here):
            tls = Tls(reader, writer, context)
            await tls.handshake()
            head = b""
            while b"\r\n\r\n" not in head:
                head += await tls.read()
            self.behind.note(here, head=head.decode("latin-1"))
            await then(tls)
        return serve

    async def cut(self, tls):
        await tls.write(proxy.GRANT + b"x" * 300000)
        tls.writer.close()  # no close_notify

    async def after(self, tls):
        await tls.write(proxy.GRANT)
        await tls.read()
        tls.writer.write(b"HTTP/1.1 200 in the clear\r\n\r\n")
        await tls.flush()

    def hostile(self, what):
        async def says(tls):
            if what == "407 within TLS":
                await tls.write(proxy.HOSTILE[4005][1][0])
            else:
                await tls.write(proxy.HOSTILE[4001][1][0])
            await tls.end()

        async def serve(reader, writer, here):
            if what == "the end at once":
                return
            head = await reader.read(4096)
            self.behind.note(here, raw=head.hex())
            if what == "plain text":
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\nhello\n")
            elif what == "silence":
                await reader.read()
            else:  # half of a ServerHello
                writer.write(bytes.fromhex("160303007a020000760303"))
        names = {"expired": "expired", "another name": "name",
                 "an unknown authority": "unknown", "self-signed": "self",
                 "no certificate for servers": "client"}
        if "within" in what:
            return self.grants(self.context("good"), says)
        if what == "TLS 1.1":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                context = self.context(
                    "good", minimum_version=ssl.TLSVersion.TLSv1,
                    maximum_version=ssl.TLSVersion.TLSv1_1)
            context.set_ciphers("ALL:@SECLEVEL=0")
            return self.honest(context)
        if what in names:
            return self.honest(self.context(names[what]))
        return serve

    def all(self):
        good = self.context("good")
        wants = self.context("good", verify_mode=ssl.CERT_REQUIRED)
        wants.load_verify_locations(os.path.join(self.keys, "ca.pem"))
        old = self.context("good", maximum_version=ssl.TLSVersion.TLSv1_2)
        yield HTTPS, self.honest(good)
        yield HTTPS_LOGIN, self.honest(good, True)
        yield TLS12, self.honest(old)
        yield SMALL, self.honest(good, record=1)
        yield CUT, self.grants(good, self.cut)
        yield AFTER, self.grants(good, self.after)
        yield CLIENT, self.honest(wants)
        for port, (what, _) in HOSTILE.items():
            yield port, self.hostile(what)

    def connection(self, serve):
        async def begun(reader, writer):
            here = writer.get_extra_info("sockname")[1]
            try:
                await serve(reader, writer, here)
                await writer.drain()
            except (OSError, ssl.SSLError, ValueError,
                    asyncio.IncompleteReadError):
                make_reset(writer)
            writer.close()
        return begun


def start(world):
    """All of them, once in a world; what they log is among the world's."""
    if hasattr(world, "tls_proxies"):
        return
    keys = os.path.join(world.root, "proxies")
    make_keys(keys)
    log = os.path.join(world.log_folder, "net.jsonl")
    world.tls_proxies = proxy.far(
        world, ["/usr/bin/python3", "-B", os.path.abspath(__file__), ADDRESS,
                log, keys], stdout=subprocess.PIPE)
    if world.tls_proxies.stdout.readline() != b"ready\n":
        raise OSError("the proxies within TLS did not start")


async def main():
    address, log, keys = sys.argv[1:]
    proxies = TlsProxies(log, keys)
    for port, serve in proxies.all():
        await asyncio.start_server(proxies.connection(serve), address, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
