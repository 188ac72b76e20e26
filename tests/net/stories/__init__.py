"""Stories: scenarios of several steps. Each has story(world) -> exit status.

SPDX-License-Identifier: Apache-2.0

IPV6 = False: on a host without it. CALLERS: the kinds of callers, if not all.
"""

import contextlib
import os
import signal

from net import equip, report  # noqa: F401


class Checks:
    """Collects what was checked, and the exit status."""

    def __init__(self):
        self.failed = self.done = 0

    def check(self, what, good, *details):
        self.done += 1
        self.failed += not good
        report(what, [] if good else [str(d) for d in details] or ["no"])
        return good

    def status(self):
        print(f"{self.done} checks, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.done else 0


def processes(word):
    """Processes of this world with the word in their command line, alive."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                line = f.read().replace(b"\0", b" ").decode("latin-1")
            if word in line:
                found[int(entry)] = line.strip()
    return found


def helpers():
    """mode -> pids of the product's helper processes."""
    found = {}
    for pid, line in processes("exeat-helper").items():
        words = line.split()
        for mode in ("keeper", "front", "dialer", "tls"):
            if mode in words:
                found.setdefault(mode, []).append(pid)
    return found


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def lines(child):
    """Yields the lines of a child's output as they come."""
    for line in child.stdout:
        yield line.decode("utf-8", "backslashreplace").rstrip("\n")
