"""G: namespaces, privileges, tampering.

SPDX-License-Identifier: Apache-2.0
"""

import ctypes
import os
import socket

from . import ALLOW, BLOCKED, OPEN, deny

EVERY = [BLOCKED, ALLOW, OPEN]
TARGET = "203.0.113.66"
REFUSED = {"errno": "ECONNREFUSED", "step": "connect"}
NO_POWER = {"errno": ("EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT")}
FAILS = {"code": lambda c: c != 0}
GAINED = {"gained": lambda g: bool(g)}
NOTHING = {"gained": []}
STEER = "https://evil.test/simple/"
TIOCSTI, TIOCLINUX = "5412", "541c"
SYS_LANDLOCK_CREATE_RULESET, ASK_VERSION = 444, 1
# Landlock knows truncate(2) from its version 3 on.
WRITING = ["O_WRONLY", "O_RDWR", "O_WRONLY|O_APPEND", "O_WRONLY|O_TRUNC"] + \
    (["truncate"] if ctypes.CDLL(None).syscall(
        SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0),
        ASK_VERSION) >= 3 else [])


def host_socket(world, work):
    """A process of the host listens on a unix socket in the work dir."""
    listener = socket.socket(socket.AF_UNIX)
    path = os.path.join(work, "host.sock")
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen()
    return listener


ROWS = [
    {"id": "G1", "title": "flush the wall",
     "options": ALLOW,
     "try": [["nftables"], ["program", "nft", "flush", "ruleset"],
             ["tcp", TARGET, "80"]],
     "says": [NO_POWER, (FAILS, {"missing": "nft"}), REFUSED],
     "audit": [deny(layer="kernel", address=TARGET, port=80)],
     "control": {"options": ["--allow", TARGET],
                 "try": [["tcp", TARGET, "22"]],
                 "says": {"data": "SSH-2.0-World\r\n"},
                 "sees": [f"tcp {TARGET} 22"]}},

    {"id": "G2", "title": "namespaces inside namespaces",
     "options": ALLOW,
     "try": [["nested", TARGET, "80"],
             ["program", "unshare", "-Urn", "sh", "-c",
              "ip link set lo up; ip route add local default dev lo; "
              f"exec 3<>/dev/tcp/{TARGET}/80"],
             ["tcp", TARGET, "80"]],
     "says": [(NOTHING, {"errno": ("EPERM", "EACCES", "ENOSPC")}), FAILS,
              REFUSED],
     "control": {"options": ["--allow", TARGET],
                 "try": [["tcp", TARGET, "22"]],
                 "says": {"data": "SSH-2.0-World\r\n"},
                 "sees": [f"tcp {TARGET} 22"]}},

    {"id": "G5", "title": "a unix socket in the work dir",
     "options": EVERY,
     "try": [["unix_bind", "{work}/door"], ["unix_bind", "{work}/.exeat/x"]],
     "says": {"errno": ("EACCES", "EPERM", "ENOENT"), "step": "bind"},
     "control": {"try": [["unix_bind", "/tmp/door"]],
                 "says": {"made": True}}},

    {"id": "G5b", "title": "a socket that a host process holds there",
     "options": EVERY, "before": host_socket,
     "try": [["unix_connect", "{work}/host.sock"]],
     "says": {"errno": ("ECONNREFUSED", "EACCES", "ENOENT", "EPERM"),
              "step": "connect"},
     "control": {"outside": True,
                 "try": [["unix_connect", "{work}/host.sock"]],
                 "says": {"made": True}}},

    {"id": "G6", "title": "the gate and the keeper as processes",
     "options": EVERY, "try": [["others"]],
     "says": {"gained": [], "seen": lambda s: len(s) <= 2},
     "control": {"try": [["others", "own"]], "says": GAINED}},

    {"id": "G13", "title": "switches of the kernel",
     "options": ALLOW,
     "try": [["program", "sh", "-c", f"echo 1 > /proc/sys/net/{name}"]
             for name in ("ipv4/ip_forward", "ipv6/conf/all/disable_ipv6",
                          "ipv4/conf/all/route_localnet",
                          "ipv4/ip_nonlocal_bind")],
     "says": FAILS,
     "control": {"try": [["program", "sh", "-c", "echo 1 > /dev/null"]],
                 "says": {"code": 0}}},

    {"id": "G14", "title": "who the payload is",
     "options": EVERY, "try": [["status"]],
     "says": {"CapEff": "0000000000000000", "CapPrm": "0000000000000000",
              "NoNewPrivs": "1", "Seccomp": "2",
              "Uid": lambda u: "0" not in u.split()},
     "control": {"outside": True, "try": [["status"]],
                 "says": {"NoNewPrivs": "0"}}},

    {"id": "G15", "title": "a setuid file in the work dir",
     "options": EVERY, "try": [["setuid_bits", "{work}"]],
     "says": {"gained": [], "refused": lambda r: len(r) >= 7},
     "control": {"outside": True, "try": [["setuid_bits", "{work}"]],
                 "says": GAINED}},

    {"id": "G15b", "title": "file capabilities in the work dir",
     "options": EVERY, "try": [["file_caps", "{work}"]],
     "says": {"gained": [], "refused": lambda r: len(r) == 8},
     "control": {"outside": True, "try": [["file_caps", "{work}"]],
                 "says": GAINED}},

    {"id": "G19", "title": "another line discipline on a terminal",
     "options": EVERY,
     "try": [["discipline", number, high] for number in ("0", "1", "21")
             for high in ("0", "1")],
     "says": {"errno": "EPERM", "step": "set"},
     "control": {"outside": True,
                 "try": [["discipline", "0", "0"], ["discipline", "0", "1"]],
                 "says": {"made": True}}},

    # Some kernels know no such key but of the console; none passes the filter.
    {"id": "G21", "title": "a key typed into the caller's terminal",
     "options": EVERY,
     "try": [["typed", number, high] for number in (TIOCSTI, TIOCLINUX)
             for high in ("0", "1")],
     "says": {"errno": "EPERM", "step": "type"},
     "control": {"outside": True,
                 "try": [["typed", TIOCSTI, "0"], ["typed", TIOCLINUX, "0"]],
                 "says": [({"made": True}, {"errno": "EIO", "step": "type"}),
                          {"errno": "ENOTTY", "step": "type"}]}},

    {"id": "G22", "title": "the host's control groups",
     "options": EVERY,
     "try": [["program", "cat", "/proc/self/cgroup", "/proc/1/cgroup"],
             ["program", "mount", "-t", "cgroup2", "none", "/tmp"],
             ["program", "mount", "-t", "cgroup", "-o", "memory", "none",
              "/tmp"],
             ["program", "unshare", "-UrmC", "true"],
             ["program", "ls", "/sys/fs/cgroup"]],
     "says": [{"code": 0, "out": lambda text: all(
         line.endswith(":/") for line in text.splitlines())}] + [FAILS] * 4,
     "control": {"outside": True,
                 "try": [["program", "cat", "/proc/self/cgroup"]],
                 "says": {"code": 0, "out": lambda text: ":/" in text}}},

    {"id": "G20", "title": "the caller's file on stdin, opened for writing",
     "options": EVERY, "stdin": "the caller's\n",
     "try": [["reopen", "0", how] for how in ["O_RDONLY", *WRITING]],
     "says": [{"made": True}] +
             [{"errno": "EACCES", "step": "open"}] * len(WRITING),
     "control": {"outside": True, "stdin": "the caller's\n",
                 "try": [["reopen", "0", "O_WRONLY"],
                         ["reopen", "0", "truncate"]],
                 "says": {"made": True}}},

    {"id": "G16a", "title": "settings written in the work dir",
     "options": BLOCKED,
     "try": [["write", "{work}/" + file, *lines] for file, *lines in (
         ("pip.conf", "[global]", "index-url = " + STEER),
         (".exeat/venv/pip.conf", "[global]", "index-url = " + STEER),
         (".exeat/home/.config/pip/pip.conf", "[global]",
          "index-url = " + STEER, "extra-index-url = " + STEER),
         (".exeat/home/.pip/pip.conf", "[global]", "index-url = " + STEER),
         (".npmrc", "registry=" + STEER),
         (".exeat/home/.npmrc", "registry=" + STEER),
         (".cargo/config.toml", "[source.crates-io]",
          'replace-with = "evil"', "[source.evil]",
          f'registry = "sparse+{STEER}"'))],
     "says": {"wrote": lambda w: True}, "passes": True, "work": "G16"},

    {"id": "G16", "title": "a preset does not follow them",
     "options": ["--allow", "@pypi"], "work": "G16",
     "env": {"PIP_INDEX_URL": "https://index.test/simple/"},
     "try": [["resolve", "evil.test"], ["tcp", TARGET, "443"]],
     "says": [{"error": "EAI_NONAME"}, REFUSED],
     "audit": [deny(layer="dns", name="evil.test")],
     "control": {"env": {"PIP_INDEX_URL": "https://index.test/simple/"},
                 "try": [["resolve", "index.test", "4"]],
                 "says": {"addresses": ["203.0.113.43"]},
                 "sees": ["dns index.test"]}},
]
