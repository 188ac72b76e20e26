# terminal.py - exeat run --pty, seen from the terminal it was typed at
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

from command import (ENV, EXEAT, check, expect, finish, left_behind, place,
                     run)

WAIT_S = 60


class Terminal:
    """exeat run OPTIONS in a terminal of its own, as a person has it."""

    def __init__(self, *args, rows=30, cols=90, program=(EXEAT, "run", "-q"),
                 env=None):
        self.master, self.slave = pty.openpty()
        self.shown = b""
        self.size(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [*program, *args], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env={**ENV, "TERM": "xterm", **(env or {})},
            preexec_fn=self._take)

    def _take(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def size(self, rows, cols):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys):
        while keys:
            keys = keys[os.write(self.master, keys):]

    def said(self, what, *texts):
        """Each was shown after the one before it."""
        for text in texts:
            check(f"{what}: {text!r}", self.until(text), self.shown[-999:])

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
        modes = termios.tcgetattr(self.slave)[3]
        return not modes & (termios.ICANON | termios.ISIG)

    def until_raw(self):
        """Earlier keys would be echoed out here."""
        deadline = time.monotonic() + WAIT_S
        while not self.raw() and time.monotonic() < deadline:
            time.sleep(0.01)
        check("the terminal is raw", self.raw())

    def until_lines(self):
        deadline = time.monotonic() + WAIT_S
        while not (lines := termios.tcgetattr(self.slave)[3] &
                   termios.ICANON) and time.monotonic() < deadline:
            time.sleep(0.01)
        check("the terminal gives lines", lines)

    def end(self, what, status):
        deadline = time.monotonic() + WAIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            # who writes is waited for, as by a person's terminal
            if select.select([self.master], [], [], 0.01)[0]:
                self.shown = self.shown[-999:] + os.read(self.master, 65536)
        got = self.process.poll()
        check(f"{what}: status", got == status, got, self.shown[-999:])
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
    t.until_raw()
    t.type(b"one\n")
    check("it runs", t.until(b"one\r\none\r\n"), t.shown)
    t.process.send_signal(signal.SIGTSTP)
    os.waitid(os.P_PID, t.process.pid, os.WSTOPPED | os.WNOWAIT)
    check("stopped: the terminal is as it was",
          termios.tcgetattr(t.slave) == t.before)
    t.process.send_signal(signal.SIGCONT)
    t.until_raw()
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


def bash():
    """Job control: of everything typed here nothing is a signal outside."""
    t = Terminal("-t", "--core", "0", "-e", "PS1=@> ", "--",
                 "bash", "--norc")
    t.said("bash", b"@> ")
    t.type(b"sh -c 'echo rea\"\"dy; exec cat'\n")
    t.said("a job", b"ready\r\n")
    t.type(b"one\n")
    t.said("in front", b"one\r\none\r\n")
    t.type(b"\x1a")
    t.said("Ctrl-Z", b"Stopped", b"@> ")
    t.type(b"jobs\n")
    t.said("jobs", b"[1]+  Stopped", b"@> ")
    t.type(b"fg\n")
    t.said("fg", b"exec cat")
    t.type(b"two\n")
    t.said("in front again", b"two\r\ntwo\r\n")
    t.type(b"\x1c")
    t.said("Ctrl-\\", b"Quit", b"@> ")
    t.type(b"sh -c 'echo rea\"\"dy; exec sleep 1000'\n")
    t.said("another", b"ready\r\n")
    t.type(b"\x1a")
    t.said("Ctrl-Z", b"Stopped", b"@> ")
    t.type(b"bg; jobs\n")
    t.said("bg", b"[1]+ sh", b"Running", b"@> ")
    t.type(b"kill %1; wait %1; (exit $(($? - 100)))\n")
    t.said("ended", b"Terminated", b"@> ")
    t.type(b"\x04")
    t.end("Ctrl-D", 143 - 100)


def is_there(tool):
    if shutil.which(tool):
        return True
    must = os.environ.get("EXEAT_MUST_RUN") == "1"
    print(f"{'FAIL (must run)' if must else 'SKIP'}: no {tool} here")
    check(f"{tool} is here", not must)
    return False


def full_screen():
    if is_there("top"):
        t = Terminal("-t", "--", "top")
        t.said("top", b"top - ", b"PID", b"top")
        t.type(b"q")
        t.end("top", 0)
    if is_there("vim.tiny"):
        where = place("edited")
        t = Terminal("-t", "-w", where, "--", "vim.tiny", "-u", "NONE",
                     "text")
        t.said("vi", b"[New")
        t.type("iž 日本\x1b:wq\r".encode())
        t.end("vi", 0)
        try:
            with open(os.path.join(where, "text"), "rb") as f:
                text = f.read()
        except OSError as e:
            text = e
        check("what was typed is in the file",
              text == "ž 日本\n".encode(), text)


def background():
    """A job of a shell: it stops as one does that wants the terminal."""
    t = Terminal("--norc", "-i", program=("bash",),
                 env={"PS1": "@> ", "E": EXEAT})
    t.said("a shell outside", b"@> ")
    t.type(b"modes=$(stty -g)\n")
    t.said("its terminal", b"@> ")
    job = b"$E run -q -t -c 'echo rea\"\"dy; read x; echo got-$x; exit 9' &\n"
    stopped_now = b"until jobs -l | grep 'tty out''put'; do sleep 0.05; done\n"
    t.type(job)
    t.said("a job", b"@> ")
    t.type(stopped_now)
    t.said("in the background", b"Stopped (tty output)", b"@> ")
    t.type(b"bg\n")
    t.said("no use", b"@> ")
    t.type(stopped_now)
    t.said("sent there again", b"Stopped (tty output)", b"@> ")
    t.type(b"fg\n")
    t.until_raw()
    t.type(b"word\n")
    t.said("it goes on", b"got-word\r\n", b"@> ")
    t.type(b"echo $?; test $modes = $(stty -g) && echo sa\"\"me\n")
    t.said("ended", b"9\r\nsame\r\n", b"@> ")
    t.type(job)
    t.said("another", b"@> ")
    t.type(stopped_now)
    t.said("in the background", b"Stopped (tty output)", b"@> ")
    # wait %1 would still see it stopped
    t.type(b"kill %1; while jobs | grep -q 'Stopped\\|Running'; do sleep 0.05; "
           b"done; jobs\n")
    t.said("killed there", b"Exit 143", b"@> ")
    t.type(b"exit 0\n")
    t.end("the shell outside", 0)


def shared():
    """A command that has the terminal of a shell's job: it is stopped with the
    job, and what is typed at the shell is the shell's."""
    t = Terminal("--norc", "-i", program=("bash",),
                 env={"PS1": "@> ", "E": EXEAT})
    t.said("a shell outside", b"@> ")
    stopped_now = b"until jobs -l | grep 'tty in''put'; do sleep 0.05; done\n"
    t.type(b"$E run -c 'stty -icanon; echo rea\"\"dy; read x; echo got-$x; "
           b"stty | grep icanon; stty sane; cat; exit 9'\n")
    t.said("in front", b"ready\r\n")
    t.type(b"\x1a")
    t.said("Ctrl-Z", b"Stopped", b"@> ")
    t.type(b"echo the shell''s\n")
    t.said("typed at the shell", b"the shells\r\n", b"@> ")
    t.type(b"bg\n")
    t.said("bg", b"exeat: the command has the terminal to read")
    t.type(stopped_now)
    t.said("in the background", b"Stopped (tty input)", b"@> ")
    t.type(b"fg\n")
    t.said("fg", b"echo rea")
    t.type(b"word\n")
    t.said("it goes on, its modes are back", b"got-word\r\n", b"-icanon")
    # before that the key would be a character
    t.said("the terminal of a line", b"\r\n")
    t.until_lines()
    t.type(b"\x04")
    t.said("its end", b"@> ")
    t.type(b"echo is=$?\n")
    t.said("its status", b"is=9\r\n", b"@> ")

    t.type(b"$E run -q -c 'read x || echo no\"\"thing; read x <&1 || echo no"
           b"ne; test -t 1 && exit 7' &\n")
    t.said("begun in the background", b"@> ")
    t.type(b"wait %1; echo is=$?\n")
    t.said("nothing to read", b"nothing\r\n", b"none\r\n", b"is=7\r\n",
           b"@> ")
    # of a terminal that is another user's; and timeout(1) makes a group of
    # its own, so that to us it is the same
    modes = os.fstat(t.slave).st_mode
    os.fchmod(t.slave, 0)
    t.type(b"timeout 60 $E run -q -c 'echo wr\"\"itten; echo to\"\"o >&2; exit 6'"
           b"; echo is=$?\n")
    t.said("a terminal that cannot be opened", b"written\r\n")
    t.said("its status", b"is=6\r\n", b"@> ")
    os.fchmod(t.slave, modes)
    t.type(b"$E run -q -c 'echo rea\"\"dy; exec cat'\n")
    t.said("another", b"ready\r\n")
    t.type(b"\x1a")
    t.said("Ctrl-Z", b"Stopped", b"@> ")
    t.type(b"kill %1; while jobs | grep -q 'Stopped\\|Running'; do sleep 0.05; "
           b"done; jobs\n")
    t.said("killed there", b"Exit 143", b"@> ")
    t.type(b"exit 0\n")
    t.end("the shell outside", 0)

    t = Terminal("-c", "trap 'stty size; exit 4' WINCH; echo ready; "
                 "while :; do sleep 0.05; done")
    t.said("it runs", b"ready\r\n")
    t.size(50, 120)
    t.process.send_signal(signal.SIGWINCH)
    t.said("its window has another size", b"50 120\r\n")
    t.end("a window", 4)


def ignored():
    """What the caller ignores (nohup) does not end the command."""
    p = subprocess.Popen(
        [EXEAT, "run", "-c", "echo ready; read x; echo $x"], env=ENV,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_IGN) for n in
                            (signal.SIGHUP, signal.SIGINT, signal.SIGTSTP)])
    check("it runs", p.stdout.readline() == b"ready\n")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTSTP):
        p.send_signal(number)
    check("it goes on", p.communicate(b"word\n")[0] == b"word\n")
    check("its status", p.returncode == 0, p.returncode)


def ended():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        t = Terminal("-t", "-c", "stty -echo; echo ready; exec cat")
        t.said("it runs", b"ready\r\n")
        t.process.send_signal(number)
        t.end(f"{number.name} to exeat", 128 + number)
    t = Terminal("-t", "-c", "trap '' HUP; echo ready; exec yes")
    t.said("it runs", b"ready\r\n")
    os.close(t.master)
    os.close(t.slave)
    try:
        status = t.process.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        status = None
        t.process.kill()
    check("the terminal has gone: so does who ignores it",
          status == 128 + 13, status)
    t = Terminal("-t", "-c", "stty raw -echo; echo ready; kill -9 $$")
    t.said("raw inside", b"ready")
    t.end("KILL inside", 128 + 9)


def flood():
    t = Terminal("-t", "yes", "ž日")
    t.said("a flood", "ž日\r\nž日\r\n".encode() * 999)
    t.type(b"\x03")
    t.end("Ctrl-C ends a flood", 128 + 2)


def paste():
    """Every byte there is, and more than any buffer on the way holds."""
    where = place("pasted")
    text = os.urandom(100000)
    t = Terminal("-t", "-w", where, "-c",
                 "stty raw -echo; echo ready; head -c 100000 >text")
    t.said("raw inside", b"ready")
    t.type(text)
    t.end("a paste", 0)
    with open(os.path.join(where, "text"), "rb") as f:
        got = f.read()
    check("all of it arrives", got == text, len(got))


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
bash()
full_screen()
background()
shared()
ignored()
ended()
flood()
paste()
no_terminal()
finish()
