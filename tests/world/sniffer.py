"""The outside witness: every packet that leaves the host.

SPDX-License-Identifier: Apache-2.0

A packet socket with a ring on the host's end of the link. The kernel copies
into the ring, so a slow reader loses nothing until the ring is full, and what
was lost then is counted and told (`lost`), never silent.
"""

import ctypes
import ipaddress
import mmap
import select
import socket
import struct

SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
TPACKET_V2 = 1
PACKET_OUTGOING = 4
SO_ATTACH_FILTER = 26
# Of classic BPF (linux/filter.h): load the packet's type; outgoing ones alone.
OUTGOING_ONLY = b"".join(struct.pack("=HBBI", *op) for op in (
    (0x20, 0, 0, 0xfffff004), (0x15, 0, 1, PACKET_OUTGOING),
    (0x06, 0, 0, 0xffffffff), (0x06, 0, 0, 0)))
STATUS_USER = 1
ETH_P_ALL = 3

FRAME = 1024
FRAMES = 16384
BLOCK = 65536
HEADER = struct.Struct("=IIIHHIIHH4x")        # struct tpacket2_hdr
HEAD_BYTES = 400

FRAGMENT = 44
EXTENSIONS = (0, 43, FRAGMENT, 60)       # RFC 8200 4
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}


def open_ring(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
    size = FRAME * FRAMES
    sock.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
        "=IIII", BLOCK, size // BLOCK, FRAME, FRAMES))
    ring = mmap.mmap(sock.fileno(), size)
    program = ctypes.create_string_buffer(OUTGOING_ONLY)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
        "HL", len(OUTGOING_ONLY) // 8, ctypes.addressof(program)))
    sock.bind((interface, ETH_P_ALL))
    return sock, ring


def run(sock, ring, writer):
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    at = 0
    while True:
        base = at * FRAME
        status, length, snap, mac = HEADER.unpack_from(ring, base)[:4]
        if not status & STATUS_USER:
            poll.poll()
            continue
        frame = ring[base + mac:base + mac + snap]
        struct.pack_into("=I", ring, base, 0)
        at = (at + 1) % FRAMES
        record = decode(frame)
        record["length"] = length
        lost = struct.unpack("=II", sock.getsockopt(
            SOL_PACKET, PACKET_STATISTICS, 8))[1]
        if lost:
            record["lost"] = lost
        writer.put(**record)


def decode(frame):
    """One Ethernet frame as a record."""
    ether = struct.unpack_from("!H", frame, 12)[0]
    packet = frame[14:]
    if ether == 0x0800 and len(packet) >= 20:
        return _ipv4(packet)
    if ether == 0x86dd and len(packet) >= 40:
        return _ipv6(packet)
    return {"proto": "arp" if ether == 0x0806 else f"ether-{ether:04x}"}


def _ipv4(packet):
    header = (packet[0] & 15) * 4
    fragment = struct.unpack_from("!H", packet, 6)[0]
    record = {"src": str(ipaddress.ip_address(packet[12:16])),
              "dst": str(ipaddress.ip_address(packet[16:20]))}
    total = struct.unpack_from("!H", packet, 2)[0]
    if fragment & 0x3fff:
        record["fragment"] = True
    if fragment & 0x1fff:
        record["proto"] = PROTOCOLS.get(packet[9], f"ip-{packet[9]}")
        return record
    return _transport(record, packet[9], packet[header:], total - header)


def _ipv6(packet):
    record = {"src": str(ipaddress.ip_address(packet[8:24])),
              "dst": str(ipaddress.ip_address(packet[24:40]))}
    total = struct.unpack_from("!H", packet, 4)[0]
    number, at = packet[6], 40
    while number in EXTENSIONS and at + 8 <= len(packet):
        size = 8 if number == FRAGMENT else (packet[at + 1] + 1) * 8
        if number == FRAGMENT:
            record["fragment"] = True
        number = packet[at]
        at += size
    return _transport(record, number, packet[at:], total - (at - 40))


def _transport(record, number, data, total):
    record["proto"] = PROTOCOLS.get(number, f"ip-{number}")
    if number == 6 and len(data) >= 20:
        record["sport"], record["dport"] = struct.unpack_from("!HH", data)
        offset = (data[12] >> 4) * 4
        record["flags"] = "".join(
            c for i, c in enumerate("FSRPAU") if data[13] >> i & 1)
        record["bytes"] = max(total - offset, 0)
        data = data[offset:]
    elif number == 17 and len(data) >= 8:
        record["sport"], record["dport"] = struct.unpack_from("!HH", data)
        record["bytes"] = total - 8
        data = data[8:]
    elif number in (1, 58) and data:
        record["type"] = data[0]
        if data[0] == (3 if number == 1 else 1):
            record["refuses"] = _refused_source(data[8:])
        return record
    else:
        return record
    if record["bytes"] and data:
        record["head"] = data[:HEAD_BYTES].hex()
    return record


def _refused_source(packet):
    """Address and port that sent what "unreachable" answers, or None."""
    try:
        inner = _ipv4(packet) if packet[0] >> 4 == 4 else _ipv6(packet)
    except (IndexError, struct.error):
        return None
    return inner["proto"], inner["src"], inner.get("sport")


def question(record):
    """The name in a packet that looks like a DNS query, or None."""
    head = bytes.fromhex(record.get("head", ""))
    if record["proto"] == "tcp":
        head = head[2:]
    if len(head) < 13:
        return None
    labels, at = [], 12
    while at < len(head) and head[at]:
        labels.append(head[at + 1:at + 1 + head[at]])
        at += 1 + head[at]
    return b".".join(labels).decode("ascii", "backslashreplace")
