"""Do the three witnesses agree with what was expected?

SPDX-License-Identifier: Apache-2.0

Expectations are data. A wanted value matches

    a dict     if every key of it matches (others may be there)
    a tuple    if one of its members matches
    a callable if it says so
    anything   if it is equal

and a packet of the sniffer matches a pattern: "dns NAME" (a query to the
host's resolver), "tcp ADDRESS PORT", "udp ADDRESS PORT", "PROTOCOL ADDRESS".
"""

import ipaddress

from . import lib, sniffer


def matches(got, want):
    if isinstance(want, dict):
        return isinstance(got, dict) and all(
            matches(got.get(k), v) for k, v in want.items())
    if isinstance(want, tuple):
        return any(matches(got, w) for w in want)
    if callable(want):
        try:
            return bool(want(got))
        except (TypeError, KeyError, AttributeError):
            return False
    return got == want


def contains(part):
    """A value that has `part` in it."""
    def check(got):
        return part in got
    check.__doc__ = f"contains {part!r}"
    return check


def show(want):
    """An expectation in words."""
    if isinstance(want, dict):
        return "{" + ", ".join(f"{k}: {show(v)}" for k, v in want.items()) \
            + "}"
    if isinstance(want, tuple):
        return " or ".join(show(w) for w in want)
    if callable(want):
        return want.__doc__ or want.__name__
    return repr(want)


def packet_matches(packet, pattern):
    kind, *rest = pattern.split()
    if kind == "dns":
        return packet.get("dport") == 53 and \
            packet.get("dst") == lib.RESOLVER and \
            (sniffer.question(packet) in (rest[0], None))
    if packet["proto"] != kind or \
            packet.get("dst") != str(ipaddress.ip_address(rest[0])):
        return False
    return len(rest) < 2 or packet.get("dport") == int(rest[1])


def begun(packets):
    """Without the ends of what went before."""
    return [p for p in packets if p.get("bytes") or "S" in p.get("flags", "S")]


def is_late_answer(packet):
    """The host's kernel to its resolver: nobody waits for this answer now; or
    to whoever still speaks on a connection that is gone (RFC 9293 3.10.7.1:
    to a segment with ACK a bare RST, which no socket sends by itself)."""
    if packet.get("flags") == "R" and not packet.get("bytes"):
        return True
    return packet.get("dst") == lib.RESOLVER and \
        tuple(packet.get("refuses") or ()) == ("udp", lib.RESOLVER, 53)


def judge_packets(packets, sees, may):
    """Complaints of the sniffer: what left unasked, what did not leave."""
    out = []
    allowed = [*sees, *may]
    for p in packets:
        if not any(packet_matches(p, x) for x in allowed) and \
                not is_late_answer(p):
            out.append(f"sniffer: {lib.describe(p)} left the host")
    for pattern in sees:
        if not any(packet_matches(p, pattern) and
                   (not pattern.startswith("dns") or sniffer.question(p))
                   for p in packets):
            out.append(f"sniffer: {pattern}: nothing of it was seen")
    return list(dict.fromkeys(out))


def judge_audit(records, wanted):
    return [f"audit: no record has {show(w)}" for w in wanted
            if not any(matches(r, w) for r in records)]
