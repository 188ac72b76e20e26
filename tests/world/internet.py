"""The far side of the link: all servers of the test internet, one loop.

SPDX-License-Identifier: Apache-2.0

Every address of LOCAL answers, the ones that nothing may reach above all: a
leak succeeds, and is seen three times. Everything else is silence.
"""

import asyncio
import hashlib
import os
import socket
import ssl
import struct
import subprocess

from . import dns, http
from .http import plain

# On the far side these are addresses of its own, all of them.
LOCAL = (
    "203.0.113.0/25", "198.51.100.0/25", "192.0.2.53", "8.8.8.8", "1.1.1.1",
    "10.0.0.0/24", "192.168.7.0/24", "172.16.5.0/24", "100.64.1.0/24",
    "169.254.0.0/16", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "2001:db8:113::/64", "2001:db8::/64", "fd12:3456::/64",
    "fd00:ec2::/64", "fd20:ce::/64", "64:ff9b::/96", "64:ff9b:1::/48",
    "2002:a9fe:a9fe::/48", "2001:0:a9fe::/48", "::169.254.169.254",
    "fec0::/64", "100::/64")
DNS_ADDRESSES = ("192.0.2.53", "8.8.8.8", "1.1.1.1", "2001:db8:53::53")
DNS_OF_LINK = ("fe80::53", "net0")
HTTP_PORTS = (80, 8080)
TLS_PORTS = (443, 8443)
H2_NAMES = ("h2.test",)
BANNERS = {22: b"SSH-2.0-World\r\n", 25: b"220 smtp.test ESMTP\r\n",
           2525: b"220 smtp.test ESMTP\r\n", 853: b""}
ECHO, DIGEST, SHUTS = 7, 7007, 7008
RAW = (9999,)
UDP_PORTS = (123, 137, 443, 784, 853, 5353, 5355, 8853, 9999)
MARK_PORT = 9
FORGED_PORT, FORGER_PORT = 9997, 9998
FORGERS = ("203.0.113.66", "2001:db8:113::66")

IPV6_RECVPKTINFO = 49
IPV6_PKTINFO = 50
IPV6_FREEBIND = 78


def routes():
    # A named bind wants a real address in IPv6; the rest are routes.
    return [f"address add {DNS_ADDRESSES[-1]}/128 dev lo nodad"] + \
        [f"route add local {prefix} dev lo" for prefix in LOCAL]


class Misc:
    """TCP that is not HTTP: echo, digest, banners."""

    def __init__(self, writer):
        self.writer = writer

    def handler(self, serve):
        async def connection(reader, writer):
            here = writer.get_extra_info("sockname")
            self.writer.put(
                event="accept", proto="tcp", address=plain(here[0]),
                port=here[1],
                client=plain(writer.get_extra_info("peername")[0]))
            try:
                await serve(reader, writer, here[1])
            except ConnectionResetError:
                self.writer.put(event="reset", proto="tcp", port=here[1],
                                address=plain(here[0]))
            except (ConnectionError, asyncio.IncompleteReadError,
                    ValueError):
                pass  # the last: a line without an end
            finally:
                writer.close()
        return connection

    async def echo(self, reader, writer, _port):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def digest(self, reader, writer, _port):
        """Reads to the end of one direction, then answers in the other."""
        h, n = hashlib.sha256(), 0
        while data := await reader.read(1 << 16):
            h.update(data)
            n += len(data)
        writer.write(f"{n} {h.hexdigest()}\n".encode())
        await writer.drain()

    async def shuts(self, reader, writer, port):
        """Ends its direction first, then hears the other to its end."""
        writer.write(b"all of it\n")
        writer.write_eof()
        data = await reader.read(-1)
        self.writer.put(event="heard", port=port, data=data.decode("latin-1"))

    async def banner(self, reader, writer, port):
        """The server speaks first; then lines are answered."""
        writer.write(BANNERS[port])
        while line := await reader.readline():
            self.writer.put(event="line", port=port,
                            line=line.decode("latin-1"))
            writer.write(b"250 " + line)
            await writer.drain()


def udp_socket(port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    # Answers come from the address asked, which may be a route's only.
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    sock.setblocking(False)
    sock.bind(("::", port))
    return sock


def udp_ready(sock, writer):
    """Logs what came, and echoes it from the address it was sent to."""
    data, extra, _, peer = sock.recvmsg(65535, 256)
    here = None
    for level, kind, value in extra:
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
            here = value
    address = plain(socket.inet_ntop(socket.AF_INET6, here[:16]))
    port = sock.getsockname()[1]
    writer.put(event="datagram", proto="udp", address=address, port=port,
               client=plain(peer[0]), head=data[:64].hex(), bytes=len(data))
    if port == MARK_PORT:
        return
    info = here[:16] + struct.pack("I", 0)
    try:
        sock.sendmsg([data], [(socket.IPPROTO_IPV6, IPV6_PKTINFO, info)], 0,
                     peer)
    except OSError as e:
        writer.put(event="no-reply", error=str(e))


def send_from(sock, address, data, peer):
    if ":" not in address:
        address = "::ffff:" + address
    info = socket.inet_pton(socket.AF_INET6, address) + struct.pack("I", 0)
    sock.sendmsg([data], [(socket.IPPROTO_IPV6, IPV6_PKTINFO, info)], 0, peer)


def udp_forge(sock, other, writer):
    """Says the wrong thing from elsewhere, as the data asks, then echoes."""
    data, extra, _, peer = sock.recvmsg(64, 256)
    here = plain(socket.inet_ntop(socket.AF_INET6, next(
        value[:16] for level, kind, value in extra
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO))))
    if data == b"address":
        send_from(sock, FORGERS[":" in here], b"forged address", peer)
    if data == b"port":
        send_from(other, here, b"forged port", peer)
    if data == b"both":
        send_from(other, FORGERS[":" in here], b"forged both", peer)
    writer.put(event="forged", proto="udp", address=here, how=data.decode())
    send_from(sock, here, data, peer)


def tls_context(folder):
    """Of every name; those of H2_NAMES speak HTTP/2 too."""
    def made(*protocols):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(folder, "server.pem"),
                                os.path.join(folder, "server.key"))
        context.set_alpn_protocols(protocols)
        return context

    context, both = made("http/1.1"), made("h2", "http/1.1")

    def sni(obj, name, _context):
        obj.world_sni = name
        if name in H2_NAMES:
            obj.context = both
    context.sni_callback = sni
    return context


async def serve(folder, zone, writers, ready):
    """Start every server, call ready(), run for ever."""
    names = dns.Server(dns.Zone(zone), writers["dns"])
    for address in DNS_ADDRESSES:
        await names.start(address)
    await names.start(DNS_OF_LINK[0], socket.if_nametoindex(DNS_OF_LINK[1]))
    web = http.Server(folder, writers["http"])
    misc = Misc(writers["net"])
    context = tls_context(folder)

    async def listen(handler, port, tls=None):
        # A server that a test adds may have one address of these ports.
        sock = socket.create_server(("::", port), family=socket.AF_INET6,
                                    dualstack_ipv6=True, backlog=512,
                                    reuse_port=True)
        await asyncio.start_server(handler, sock=sock, ssl=tls,
                                   limit=http.HEAD_LIMIT)
    for port in HTTP_PORTS:
        await listen(web.connection, port)
    for port in TLS_PORTS:
        await listen(web.connection, port, context)
    for port in BANNERS:
        await listen(misc.handler(misc.banner), port)
    for port in (ECHO, *RAW):
        await listen(misc.handler(misc.echo), port)
    await listen(misc.handler(misc.digest), DIGEST)
    await listen(misc.handler(misc.shuts), SHUTS)
    loop = asyncio.get_running_loop()
    for port in (*UDP_PORTS, MARK_PORT):
        sock = udp_socket(port)
        loop.add_reader(sock, udp_ready, sock, writers["net"])
    loop.add_reader((sock := udp_socket(FORGED_PORT)), udp_forge, sock,
                    udp_socket(FORGER_PORT), writers["net"])
    ready()
    await asyncio.Event().wait()


async def serve_host(writer, ready):
    """Services of the host itself, which no payload may reach unasked."""
    misc = Misc(writer)

    async def secret(reader, out, _port):
        out.write(b"host-secret\n")
        while await reader.read(1 << 16):
            pass

    for family, address, port in (
            (socket.AF_INET, "0.0.0.0", 5432), (socket.AF_INET6, "::", 5432),
            (socket.AF_INET, "127.0.0.1", 9000),
            (socket.AF_INET6, "::1", 9000)):
        await asyncio.start_server(misc.handler(secret), address, port,
                                   family=family)
    ready()
    await asyncio.Event().wait()


def batch(commands):
    """ip -batch: one process for all of it."""
    done = subprocess.run(["ip", "-batch", "-"], text=True,
                          input="\n".join(commands) + "\n",
                          capture_output=True)
    if done.returncode != 0:
        raise OSError(f"ip: {done.stderr.strip()}")
