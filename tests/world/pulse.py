"""How late the machine is, so that a promise of time is not held against it.

SPDX-License-Identifier: Apache-2.0

A process that does nothing but sleep wakes late where processors are busy, or
where all of the machine stood still. What it lost is added up; who measures
how long something took grants as much for each process on the way, because
each of them may have waited like that. On an idle machine that is nothing.
"""

import mmap
import time

TICK_S = 0.005
JITTER_S = 0.0005         # of any machine
# The program, front, dialer, the far side, and back.
HOPS = 6
LOST, WOKEN = 0, 1


class Pulse:
    def __init__(self):
        self._memory = mmap.mmap(-1, 16)
        self._cells = memoryview(self._memory).cast("d")

    def run(self, ready):
        """The process that sleeps."""
        self._cells[WOKEN] = time.monotonic()
        ready()
        while True:
            time.sleep(TICK_S)
            self._cells[LOST] += self._overdue()
            self._cells[WOKEN] = time.monotonic()

    def _overdue(self):
        return max(0.0, time.monotonic() - self._cells[WOKEN] - TICK_S -
                   JITTER_S)

    def granted(self):
        """Seconds, from the world's beginning until now."""
        return HOPS * (self._cells[LOST] + self._overdue())


class Stopwatch:
    """Seconds since it was made, and how many of them are the machine's."""

    def __init__(self, pulse):
        self._pulse = pulse
        self._begin, self._granted = time.monotonic(), pulse.granted()

    def took(self):
        return time.monotonic() - self._begin

    def late(self):
        return self._pulse.granted() - self._granted

    def within(self, seconds):
        """Is a promise of so many seconds kept until now?"""
        return self.took() <= seconds + self.late()
