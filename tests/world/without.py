#!/usr/bin/python3
"""Run a program as on a kernel that lacks something.

SPDX-License-Identifier: Apache-2.0

    without.py WHAT PROGRAM [ARGUMENT...]

A system call filter that every process below inherits makes the kernel answer
as one without WHAT would; WHAT is "nothing" or a word of LACKS.
"""

import ctypes
import errno
import os
import struct
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
NETLINK_NETFILTER, AF_NETLINK, SOL_IP, IP_TRANSPARENT = 12, 16, 0, 19
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
NUMBERS = {
    "x86_64": {"socket": 41, "setsockopt": 54, "clone": 56, "mount": 165,
               "unshare": 272, "setns": 308, "seccomp": 317, "fsopen": 430,
               "pidfd_open": 434, "clone3": 435},
    "aarch64": {"socket": 198, "setsockopt": 208, "clone": 220, "mount": 40,
                "unshare": 97, "setns": 268, "seccomp": 277, "fsopen": 430,
                "pidfd_open": 434, "clone3": 435}}
# clone3 has its flags in memory, where no filter sees them; without it
# everybody takes clone.
NO_CLONE3 = ("clone3", (), errno.ENOSYS)


def no_namespace(flag, why):
    """[(call, ((argument, mask, value), ...), errno)]"""
    return [NO_CLONE3, ("clone", ((0, flag, flag),), why),
            ("unshare", ((0, flag, flag),), why)]


LACKS = {
    "nothing": [],
    "nf_tables": [("socket", ((0, None, AF_NETLINK),
                              (2, None, NETLINK_NETFILTER)),
                   errno.EPROTONOSUPPORT)],
    "tproxy": [("setsockopt", ((1, None, SOL_IP), (2, None, IP_TRANSPARENT)),
                errno.ENOPROTOOPT)],
    "user namespaces": no_namespace(CLONE_NEWUSER, errno.EPERM),
    "network namespaces": no_namespace(CLONE_NEWNET, errno.EPERM),
    "seccomp": [("seccomp", (), errno.EINVAL)],
    "pidfd": [("pidfd_open", (), errno.ENOSYS)],
    "mounts by descriptor": [("fsopen", (), errno.ENOSYS)],
    "leave for mounts": [("fsopen", (), errno.EPERM)],
    "leave for setns": [("setns", (), errno.EPERM)],
}

LD, AND, JEQ, RET = 0x20, 0x54, 0x15, 0x06
ALLOW, ERRNO = 0x7fff0000, 0x00050000


def program(rules):
    """The filter: each rule loads, compares, and answers or is passed by."""
    out = []
    for number, tests, why in rules:
        body = []
        for argument, mask, value in tests:
            body += [(LD, 16 + 8 * argument)]
            body += [] if mask is None else [(AND, mask)]
            body += [(JEQ, value)]
        body = [(LD, 0), (JEQ, number), *body, (RET, ERRNO | why)]
        for at, (code, k) in enumerate(body):
            over = len(body) - at - 1 if code == JEQ else 0
            out.append(struct.pack("=HBBI", code, 0, over, k))
    return b"".join([*out, struct.pack("=HBBI", RET, 0, 0, ALLOW)])


def install(what):
    numbers = NUMBERS[os.uname().machine]
    code = program([(numbers[call], tests, why)
                    for call, tests, why in LACKS[what]])
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    install(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
