"""Unix sockets of the host's: who connects is logged, and gets nothing.

SPDX-License-Identifier: Apache-2.0

They are made below /run and among the abstract names, and are gone after
close(). What the host had in /run is covered meanwhile, but for the file that
names its resolver.
"""

import os
import selectors
import signal
import socket
import subprocess

from . import probe

RUN = "/run"


class HostSockets:
    """`unlogged`: where the host's own libraries ask for names and users."""

    def __init__(self, world, paths, unlogged=()):
        _cover_run()
        sockets = {_listen(path): path for path in paths}
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _serve(sockets, world.writer("host"), unlogged)
            finally:
                os._exit(1)
        for s in sockets:
            s.close()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        subprocess.run(["umount", RUN], check=True)


def _cover_run():
    real = os.path.realpath("/etc/resolv.conf")
    with open(real, encoding="ascii") as f:
        text = f.read()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", RUN],
                   check=True)
    if real.startswith(RUN + "/"):
        os.makedirs(os.path.dirname(real))
        with open(real, "w", encoding="ascii") as f:
            f.write(text)


def _listen(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if not path.startswith("@"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    s.bind(probe.unix_address(path))
    if not path.startswith("@"):
        os.chmod(path, 0o666)
    s.listen()
    return s


def _serve(sockets, log, unlogged):
    """Nobody waits here for an answer: some clients are the host's own."""
    selector = selectors.DefaultSelector()
    for s in sockets:
        selector.register(s, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            key.fileobj.accept()[0].close()
            path = sockets[key.fileobj]
            if path not in unlogged:
                log.put(event="accept", proto="unix", path=path)
