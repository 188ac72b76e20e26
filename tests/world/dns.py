"""The DNS of the test internet: answers by the zone file, odd on demand.

SPDX-License-Identifier: Apache-2.0

A name of the zone file has records by type ("A", "AAAA", "CNAME", "TXT",
"HTTPS" as hex RDATA, ...) and may have habits:

    ttl        of its records (default 60)
    rcode      answered instead of records
    tc         UDP answers are cut: come back by TCP
    slow_ms    waits before it answers
    drop       never answers
    sequence   a list of record sets: the n-th query of a type gets the n-th
    garbage    the answer is malformed ("loop": a pointer to itself)
    chain      this many CNAMEs: 1.NAME -> 2.NAME -> ... -> NAME
    spoof      an address: before the answer come forged ones with it, with
               other ids, and with the right id from another server

"*.x" stands for every name below x without an entry of its own.
"""

import asyncio
import ipaddress
import json
import socket
import struct

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "NULL": 10, "MX": 15, "TXT": 16,
         "AAAA": 28, "SRV": 33, "OPT": 41, "HTTPS": 65, "ANY": 255}
TYPE_NAMES = {v: k for k, v in TYPES.items()}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = range(5)
DEFAULT_TTL = 60
CHASE = 32


class Malformed(Exception):
    pass


def load(path):
    with open(path, encoding="ascii") as f:
        zone = json.load(f)
    for name, entry in list(zone.items()):
        hops = entry.get("chain", 0)
        for i in range(1, hops + 1):
            to = f"{i + 1}.{name}" if i < hops else name
            zone[f"{i}.{name}"] = {"CNAME": to}
    return zone


def read_name(data, at):
    labels, jumps, end = [], 0, None
    while True:
        if at >= len(data):
            raise Malformed("name runs out")
        size = data[at]
        if size >= 0xc0:
            end = end or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3fff
            jumps += 1
            if jumps > 16:
                raise Malformed("pointer loop")
            continue
        at += 1
        if size == 0:
            break
        labels.append(data[at:at + size].decode("latin-1"))
        at += size
    return ".".join(labels), end or at


def write_name(name):
    out = b""
    for label in name.split("."):
        if label:
            raw = label.encode("latin-1")
            out += bytes([len(raw)]) + raw
    return out + b"\0"


class Query:
    """A parsed query: what is logged and what is answered."""

    def __init__(self, data):
        if len(data) < 12:
            raise Malformed("short")
        (self.id, self.flags, self.qdcount, ancount, nscount,
         arcount) = struct.unpack_from("!6H", data)
        if self.flags & 0x8000:
            raise Malformed("an answer")
        self.name, self.qtype, self.qclass = "", 0, 0
        self.edns, self.options, self.size = False, [], 512
        at = 12
        if self.qdcount:
            self.name, at = read_name(data, at)
            self.qtype, self.qclass = struct.unpack_from("!HH", data, at)
            at += 4
        self.question = data[12:at]
        for _ in range(ancount + nscount + arcount):
            at = self._record(data, at)

    def _record(self, data, at):
        _, at = read_name(data, at)
        kind, size, _, length = struct.unpack_from("!HHIH", data, at)
        at += 10
        if kind == TYPES["OPT"]:
            self.edns, self.size = True, max(size, 512)
            end, o = at + length, at
            while o + 4 <= end:
                code, n = struct.unpack_from("!HH", data, o)
                self.options.append([code, data[o + 4:o + 4 + n].hex()])
                o += 4 + n
        return at + length


class Zone:
    def __init__(self, path):
        self.names = load(path)
        self.asked = {}

    def entry(self, name):
        if name in self.names:
            return self.names[name]
        labels = name.split(".")
        for i in range(1, len(labels)):
            entry = self.names.get("*." + ".".join(labels[i:]))
            if entry is not None:
                return entry
        return None

    def answer(self, name, qtype):
        """(rcode, [(owner, type, ttl, rdata)], habits of the name asked)."""
        first = self.entry(name)
        if first is None:
            below = any(n.endswith("." + name) for n in self.names)
            return (NOERROR if below else NXDOMAIN), [], {}
        if "rcode" in first:
            return first["rcode"], [], first
        records, owner = [], name
        for _ in range(CHASE):
            entry = self.entry(owner)
            if entry is None:
                return NXDOMAIN, records, first
            entry = self._turn(owner, qtype, entry)
            ttl = entry.get("ttl", first.get("ttl", DEFAULT_TTL))
            target = entry.get("CNAME")
            if target is None or qtype == TYPES["CNAME"]:
                records += _records(owner, qtype, ttl, entry)
                break
            records.append((owner, TYPES["CNAME"], ttl, write_name(target)))
            owner = target
        return NOERROR, records, first

    def _turn(self, name, qtype, entry):
        turns = entry.get("sequence")
        if not turns:
            return entry
        n = self.asked.get((name, qtype), 0)
        self.asked[(name, qtype)] = n + 1
        return {**entry, **turns[min(n, len(turns) - 1)]}


def _records(owner, qtype, ttl, entry):
    wanted = ([TYPE_NAMES.get(qtype)] if qtype != TYPES["ANY"]
              else ["A", "AAAA", "TXT", "MX"])
    out = []
    for kind in wanted:
        values = entry.get(kind, [])
        for value in [values] if isinstance(values, str) else values:
            out.append((owner, TYPES[kind], ttl, _rdata(kind, value)))
    return out


def _rdata(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind in ("CNAME", "NS"):
        return write_name(value)
    if kind == "TXT":
        return bytes([len(value)]) + value.encode()
    if kind == "MX":
        return struct.pack("!H", 10) + write_name(value)
    return bytes.fromhex(value)


def build(query, rcode, records, tc=False):
    flags = 0x8580 | (query.flags & 0x0100) | rcode | (0x0200 if tc else 0)
    body = b"".join(write_name(o) + struct.pack("!HHIH", t, 1, ttl, len(r)) + r
                    for o, t, ttl, r in records)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0) if query.edns else b""
    return struct.pack("!6H", query.id, flags, 1 if query.question else 0,
                       len(records), 0, 1 if opt else 0) + \
        query.question + body + opt


def _pointer_loop(query):
    at = 12 + len(query.question)
    owner = struct.pack("!H", 0xc000 | at)
    return struct.pack("!6H", query.id, 0x8580, 1, 1, 0, 0) + \
        query.question + owner + struct.pack("!HHIH", 1, 1, 60, 4) + bytes(4)


SPOOFED = 64


def _forged(data, question, address, guess):
    ident, = struct.unpack_from("!H", data)
    head = struct.pack("!6H", (ident + guess) & 0xffff, 0x8580, 1, 1, 0, 0)
    rdata = ipaddress.ip_address(address).packed
    return head + question + \
        struct.pack("!HHHIH", 0xc00c, TYPES["A"], 1, 300, 4) + rdata


class Server:
    def __init__(self, zone, writer):
        self.zone, self.writer = zone, writer
        self.udp = []

    def spoof(self, data, peer, here):
        """Be faster than the true answer."""
        try:
            q = Query(data)
        except (Malformed, struct.error):
            return
        address = (self.zone.entry(q.name.lower()) or {}).get("spoof")
        if not address or q.qtype != TYPES["A"]:
            return
        for guess in range(1, SPOOFED + 1):
            here.sendto(_forged(data, q.question, address, guess), peer)
        for other in self.udp:
            if other is not here:
                other.sendto(_forged(data, q.question, address, 0), peer)

    async def reply(self, data, transport, server, peer):
        """The answer's bytes, or None."""
        try:
            q = Query(data)
        except (Malformed, struct.error) as e:
            self.writer.put(malformed=str(e), transport=transport,
                            server=server, client=peer[0], hex=data.hex())
            return None
        self.writer.put(
            name=q.name, type=TYPE_NAMES.get(q.qtype, str(q.qtype)),
            qclass=q.qclass, id=q.id, flags=q.flags, qdcount=q.qdcount,
            edns=q.edns, options=q.options, size=q.size, transport=transport,
            server=server, client=peer[0], port=peer[1])
        rcode, records, habits = self.zone.answer(q.name.lower(), q.qtype)
        if habits.get("drop"):
            return None
        if habits.get("slow_ms"):
            await asyncio.sleep(habits["slow_ms"] / 1000)
        if habits.get("garbage"):
            return _pointer_loop(q)
        answer = build(q, rcode, records)
        if transport == "udp" and (habits.get("tc") or len(answer) > q.size):
            return build(q, rcode, [], tc=True)
        return answer

    async def tcp(self, reader, writer):
        peer = writer.get_extra_info("peername")
        here = writer.get_extra_info("sockname")[0]
        try:
            while True:
                size = struct.unpack("!H", await reader.readexactly(2))[0]
                data = await reader.readexactly(size)
                answer = await self.reply(data, "tcp", here, peer)
                if answer is None:
                    break
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def start(self, address, link=0):
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        here = (address, 53, 0, link) if link else (address, 53)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.bind(here)
        await loop.create_datagram_endpoint(
            lambda: _Datagrams(self, address), sock=udp)
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(here)
        await asyncio.start_server(self.tcp, sock=tcp)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server, address):
        self.server, self.address, self.tasks = server, address, set()

    def connection_made(self, transport):
        self.transport = transport
        if ":" not in self.address:
            self.server.udp.append(transport)

    def datagram_received(self, data, peer):
        if ":" not in self.address:
            self.server.spoof(data, peer, self.transport)
        task = asyncio.ensure_future(self._answer(data, peer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, data, peer):
        answer = await self.server.reply(data, "udp", self.address, peer)
        if answer is not None:
            self.transport.sendto(answer, peer)
