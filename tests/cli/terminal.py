# terminal.py - exeat run --pty, seen from the terminal it was typed at
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from command import ENV, EXEAT, check, expect, finish, left_behind, run

WAIT_S = 60


class Terminal:
    """exeat run OPTIONS in a terminal of its own, as a person has it."""

    def __init__(self, *args, rows=30, cols=90):
        self.master, self.slave = pty.openpty()
        self.shown = b""
        self.size(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [EXEAT, "run", "-q", *args], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env={**ENV, "TERM": "xterm"},
            preexec_fn=self._take)

    def _take(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def size(self, rows, cols):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def until(self, text):
        """Has it been shown, or is it within the time? It is taken away."""
        deadline = time.monotonic() + WAIT_S
        while text not in self.shown:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                return False
            try:
                self.shown += os.read(self.master, 65536)
            except OSError:
                return False
        self.shown = self.shown.split(text, 1)[1]
        return True

    def raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def end(self, what, status):
        got = self.process.wait(WAIT_S)
        check(f"{what}: status", got == status, got, self.shown)
        check(f"{what}: the terminal is as it was",
              termios.tcgetattr(self.slave) == self.before)
        os.close(self.master)
        os.close(self.slave)
        left = left_behind()
        check(f"{what}: nothing is left behind", not left, *left)


def shell():
    t = Terminal("-t", "-e", "PS1=$ ", "--", "sh", "-i")
    check("a prompt", t.until(b"$ "), t.shown)
    check("the terminal is raw", t.raw())
    t.type(b"tty; stty size; echo $TERM\n")
    check("a terminal inside", t.until(b"/dev/pts/0\r\n30 90\r\nxterm\r\n"),
          t.shown)
    t.size(50, 120)
    t.process.send_signal(signal.SIGWINCH)
    t.type(b"until stty size | grep '50 12'0; do sleep 0.05; done\n")
    check("the window has another size", t.until(b"50 120\r\n"), t.shown)
    t.type(b"sh -c 'echo rea\"\"dy; exec sleep 1000'\n")
    check("a command", t.until(b"ready"), t.shown)
    t.type(b"\x03")
    # the key flushes what is typed behind it and not read yet
    check("a prompt again", t.until(b"$ "), t.shown)
    t.type(b"echo status=$?\n")
    check("Ctrl-C is the command's", t.until(b"status=130"), t.shown)
    t.type(b"exit 3\n")
    t.end("a shell", 3)


def stopped():
    """Stopped from outside it gives the terminal back, and takes it again."""
    t = Terminal("--pty", "--", "cat")
    t.type(b"one\n")
    check("it runs", t.until(b"one\r\none\r\n"), t.shown)
    t.process.send_signal(signal.SIGTSTP)
    os.waitid(os.P_PID, t.process.pid, os.WSTOPPED | os.WNOWAIT)
    check("stopped: the terminal is as it was",
          termios.tcgetattr(t.slave) == t.before)
    t.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + WAIT_S
    while not t.raw() and time.monotonic() < deadline:
        time.sleep(0.01)
    t.type(b"two\n")
    check("it goes on", t.until(b"two\r\ntwo\r\n"), t.shown)
    t.process.send_signal(signal.SIGTERM)
    t.end("ended from outside", 128 + 15)


def much():
    t = Terminal("-t", "-c", "seq 100000; read x; test $x = $(seq -s, 1 800)",
                 "--timeout", "60")
    check("all of it is shown", t.until(b"99999\r\n100000\r\n"), t.shown[-99:])
    t.type(",".join(str(i) for i in range(1, 801)).encode() + b"\n")
    t.end("much", 0)


def no_terminal():
    """Without a terminal outside there is one inside all the same."""
    p = run("run", "-t", "-c", "tty; read x; echo got $x; stty size",
            stdin=b"word\n")
    check("stdin is a pipe", p.returncode == 0 and
          b"/dev/pts/0\r\n" in p.stdout and b"got word\r\n24 80\r\n"
          in p.stdout, p)
    p = run("run", "--pty", "cat", stdin=b"")
    expect(p, "stdin at its end", 0, b"", None)


shell()
stopped()
much()
no_terminal()
finish()
