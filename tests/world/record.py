"""Logs of a world: JSON lines, one file a witness, with real waiting.

SPDX-License-Identifier: Apache-2.0
"""

import ctypes
import json
import os
import select
import time

IN_MODIFY = 0x2
IN_CREATE = 0x100
TURN_S = 0.02

libc = ctypes.CDLL(None, use_errno=True)


class Writer:
    """Appends records. Each is one write: readers see whole lines."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND
                          | os.O_CLOEXEC, 0o644)

    def put(self, **fields):
        fields["t"] = round(time.monotonic(), 6)
        os.write(self.fd, json.dumps(fields).encode() + b"\n")


class Log:
    """Reads one file of records as it grows."""

    def __init__(self, path):
        self.path = path
        self.records = []
        self._offset = 0

    def read(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self._offset)
                data = f.read()
        except FileNotFoundError:
            return self.records
        end = data.rfind(b"\n") + 1
        self._offset += end
        self.records += [json.loads(x) for x in data[:end].splitlines()]
        return self.records

    def since(self, mark):
        return self.read()[mark:]

    def mark(self):
        return len(self.read())


class Watch:
    """Wakes when a file below a folder changes (inotify)."""

    def __init__(self, folder):
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0 or libc.inotify_add_watch(
                self.fd, os.fsencode(folder), IN_MODIFY | IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def until(self, condition, timeout=30.0):
        """The condition's first true value, or None after the timeout: of
        so many turns, for a turn that lasts longer is the machine's doing."""
        left = timeout
        while True:
            value = condition()
            if value:
                return value
            if left <= 0:
                return None
            # Capped: a condition may look at more than the logs.
            turn, begin = min(left, TURN_S), time.monotonic()
            select.select([self.fd], [], [], turn)
            left -= min(turn, time.monotonic() - begin)
            try:
                os.read(self.fd, 65536)
            except BlockingIOError:
                pass
