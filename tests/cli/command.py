# command.py - what the tests of the command share
# SPDX-License-Identifier: Apache-2.0
"""A test program calls check() for each row and ends with finish().

Every command gets a TMPDIR of its own and a helper under a name of its own,
so that what it leaves behind (a work dir, a process) shows.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

EXEAT = sys.argv[1]
PLACE = tempfile.mkdtemp(prefix="exeat-cli-")
os.chmod(PLACE, 0o711)
TMP = os.path.join(PLACE, "tmp")
os.mkdir(TMP)
HELPER = f"y{os.getpid()}"
ENV = {
    "PATH": os.environ["PATH"],
    "TMPDIR": TMP,
    "EXEAT_HELPER": os.path.join(PLACE, HELPER),
}
os.symlink(os.environ["EXEAT_HELPER"], ENV["EXEAT_HELPER"])
failures = []
rows = 0

# In the background of a script these are ignored, by what is started, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
    signal.signal(number, signal.SIG_DFL)


def place(name, text=None):
    """A file (or, without text, a directory) for a test."""
    path = os.path.join(PLACE, name)
    if text is None:
        os.mkdir(path, 0o755)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    else:
        with open(path, "w") as f:
            f.write(text)
    return path


def run(*args, stdin=b"", env=None, **kw):
    """The finished process of `exeat ARGS`; stdin are bytes or a file."""
    where = {"stdin": stdin} if not isinstance(stdin, bytes) \
        else {"input": stdin}
    return subprocess.run([EXEAT, *args], capture_output=True, timeout=120,
                          env={**ENV, **(env or {})}, **where, **kw)


def is_ours(pid):
    """A living helper of ours: whoever is to reap a dead one may be slow."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
    except (OSError, IndexError):
        return False
    return name == HELPER and rest.split()[0] != "Z"


def left_behind():
    """What a command has left after a second, or an empty list. Counted in
    turns: when one lasts longer, the machine is busy with others."""
    for _ in range(100):
        left = [p for p in os.listdir("/proc")
                if p.isdigit() and is_ours(p)]
        if not left:
            break
        time.sleep(0.01)
    return [f"process {p}" for p in left] + os.listdir(TMP)


def check(what, ok, *details):
    global rows
    rows += 1
    if not ok:
        failures.append(what)
        print(f"not ok: {what}", *details, sep="\n    ")


def expect(p, what, status, out=None, err=None):
    """Exit status, standard output, and texts on standard error."""
    if out is not None and not isinstance(out, bytes):
        out = out.encode()
    wanted = [err] if isinstance(err, str) else err or []
    text = p.stderr.decode(errors="replace")
    ok = p.returncode == status and (out is None or p.stdout == out) and \
        all(w in text for w in wanted) and (err is not None or text == "")
    check(what, ok, f"status {p.returncode}, expected {status}",
          f"stdout {p.stdout!r}, expected {out!r}",
          f"stderr {text!r}, expected {err!r}")
    left = left_behind()
    check(f"{what}: nothing is left behind", not left, *left)


def finish():
    shutil.rmtree(PLACE)
    print(f"{rows} checks, {len(failures)} failed")
    sys.exit(bool(failures))
