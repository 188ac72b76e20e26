"""Rows G24, G25, G26: what one run of a session has of another.

A run sees itself: everything that a process inherits, or finds. One that leaves
all that it can behind it is a litter; what comes after it must see what the
first of all saw. A run that lives while another looks for it must not be found,
whatever its posture, nor a child made ready for a run to come. What a run left
must be there for itself: so it is known that it would have been seen.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os

from world.space import skip

from . import Checks, equip, helpers
from .sessions import Drive

# Both come from here: what is left, and what is seen.
SELF = r'''
import ctypes, fcntl, json, mmap, os, resource, select, signal, socket, stat
import sys, time
libc = ctypes.CDLL(None, use_errno=True)
SYS = {"x86_64": {"mq_open": 240, "add_key": 248, "keyctl": 250,
                  "ioprio_get": 252, "ioprio_set": 251},
       "aarch64": {"mq_open": 180, "add_key": 217, "keyctl": 219,
                   "ioprio_get": 31, "ioprio_set": 30}}[os.uname().machine]
WORK = os.path.dirname(os.path.abspath(__file__))
KEY = 0x5eed

def lines(path):
    try:
        with open(path, encoding="latin-1") as f:
            return f.read().splitlines()
    except OSError as e:
        return [type(e).__name__]

def tree(top):
    return sorted(os.path.join(d, n) for d, ds, fs in os.walk(top)
                  for n in ds + fs)

def status(*names):
    return {l.split(":\t")[0]: l.split(":\t")[1] for l in
            lines("/proc/self/status") if l.split(":")[0] in names}

def descriptors():
    found = {}
    for n in os.listdir("/proc/self/fd"):
        try:
            s = os.fstat(int(n))
            found[n] = [stat.S_IFMT(s.st_mode),
                        fcntl.fcntl(int(n), fcntl.F_GETFL)]
        except OSError:
            pass  # the folder's own
    return found

def mounts():
    return [" ".join(l.split()[3:6] + l.split(" - ")[1].split()[:1])
            for l in lines("/proc/self/mountinfo")]

def unix():
    return sorted(" ".join(l.split()[7:]) for l in
                  lines("/proc/net/unix")[1:] if len(l.split()) > 7)

def listeners():
    return [l.split()[1] for n in ("tcp", "tcp6") for l in
            lines("/proc/net/" + n)[1:] if l.split()[3] == "0A"]

def others():
    return sorted(" ".join(lines(f"/proc/{p}/comm")) for p in
                  os.listdir("/proc") if p.isdigit()
                  and int(p) not in (1, os.getpid(), os.getppid()))

def seen():
    """All that there is. What the posture decides has a name in NETWORK."""
    return {
        "environment": dict(os.environ), "cwd": os.getcwd(),
        "umask": lines("/proc/self/status")[1:2] and
        status("Umask"), "fds": descriptors(),
        "limits": [resource.getrlimit(i) for i in range(16)],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "policy": os.sched_getscheduler(0),
        "affinity": sorted(os.sched_getaffinity(0)),
        "disk": libc.syscall(SYS["ioprio_get"], 1, 0),
        "signals": status("SigIgn", "SigBlk", "SigPnd", "ShdPnd"),
        "timers": [signal.getitimer(i) for i in range(3)] +
        lines("/proc/self/timers"),
        "personality": lines("/proc/self/personality"),
        "oom": lines("/proc/self/oom_score_adj"),
        "core": lines("/proc/self/coredump_filter"),
        "slack": libc.prctl(30, 0, 0, 0, 0),
        "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
        "rights": status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                         "NoNewPrivs", "Seccomp", "Seccomp_filters"),
        "session": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(),
                    lines("/proc/self/stat")[0].rsplit(")", 1)[1].split()[4]],
        "names": list(os.uname())[:3], "mounts": mounts(),
        "tmp": tree("/tmp"), "shm": tree("/dev/shm"), "run": tree("/run"),
        "ipc": [l for n in ("shm", "sem", "msg") for l in
                lines("/proc/sysvipc/" + n)[1:]],
        "queue": queue(os.O_RDONLY), "keys": [lines("/proc/keys"),
                                              key_serial()],
        "locks": lines("/proc/locks"), "processes": others(),
        "lock": can_lock(), "unix": unix(), "listeners": listeners()}

def queue(flags):
    r = libc.syscall(SYS["mq_open"], b"litter", flags, 0o600, None)
    if r >= 0:
        os.close(r)
    return r

def key_serial():
    return libc.syscall(SYS["keyctl"], 0, -3, 0)

def can_lock():
    with open(os.path.join(WORK, "lock"), "a") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False

KEEP = []

def daemon():
    """Of nobody's: its own session, and deaf to what can be ignored."""
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(s, signal.SIG_IGN)
            os.write(w, b"x")
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
    os.read(r, 1)
    os.close(r)
    os.close(w)

def leave():
    """All that a run may leave."""
    for top in ("/tmp", "/dev/shm", "/run"):
        try:
            with open(top + "/litter", "w") as f:
                f.write("x")
        except OSError:
            pass
    libc.shmget(KEY, 4096, 0o1600)
    libc.semget(KEY, 1, 0o1600)
    libc.msgget(KEY, 0o1600)
    queue(os.O_CREAT | os.O_RDWR)
    libc.syscall(SYS["add_key"], b"user", b"litter", b"x", 1, -3)
    for address in ("\0litter", "/tmp/socket"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(address)
        s.listen()
        KEEP.append(s)
    KEEP.append(socket.create_server(("127.0.0.1", 7799)))
    KEEP.append(open(os.path.join(WORK, "lock"), "a"))
    fcntl.flock(KEEP[-1], fcntl.LOCK_EX)
    daemon()
    os.environ["LITTER"] = "x"
    os.chdir("/usr")
    os.umask(0o077)
    os.nice(3)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    libc.syscall(SYS["ioprio_set"], 1, 0, 3 << 13)
    resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))
    for s in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(s, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signal.setitimer(signal.ITIMER_REAL, 3600)
    libc.personality(0x0040000)
    for name, value in (("oom_score_adj", "900"), ("coredump_filter", "0x7f")):
        with open("/proc/self/" + name, "w") as f:
            f.write(value)
    libc.prctl(29, 123456, 0, 0, 0)

def reach():
    """What of another's is within reach: by name, number or key."""
    gained = []
    def attempt(name, call):
        try:
            if call() is not False:
                gained.append(name)
        except (OSError, ValueError):
            pass
    def talk(family, address):
        with socket.socket(family) as s:
            s.settimeout(20)
            s.connect(address)
    attempt("abstract socket", lambda: talk(socket.AF_UNIX, "\0litter"))
    attempt("socket in /tmp", lambda: talk(socket.AF_UNIX, "/tmp/socket"))
    attempt("loopback", lambda: talk(socket.AF_INET, ("127.0.0.1", 7799)))
    attempt("file in /tmp", lambda: os.stat("/tmp/litter"))
    attempt("shared memory file", lambda: os.stat("/dev/shm/litter"))
    attempt("shared memory", lambda: libc.shmget(KEY, 0, 0) >= 0)
    attempt("semaphore", lambda: libc.semget(KEY, 0, 0) >= 0)
    attempt("message queue", lambda: libc.msgget(KEY, 0) >= 0)
    attempt("named queue", lambda: queue(os.O_RDONLY) >= 0)
    attempt("process", lambda: bool(others()))
    return gained

def search():
    """Whoever may be there, by number: signals, files, memory, descriptors."""
    gained = []
    mine = {1, os.getpid(), os.getppid()}
    for pid in set(range(2, 3000)) - mine:
        try:
            os.kill(pid, 0)
            gained.append(f"signal {pid}")
        except OSError:
            pass
        if os.path.exists(f"/proc/{pid}") or \
                libc.syscall(434, pid, 0) >= 0:
            gained.append(f"process {pid}")
    for file in ("mem", "environ", "fd/3", "maps", "cwd", "root", "ns/net",
                 "fdinfo/3"):
        try:
            path = f"/proc/1/{file}"
            if file in ("fd/3", "cwd", "root", "ns/net"):
                os.readlink(path)
            else:
                os.close(os.open(path, os.O_RDONLY))
            gained.append("first process: " + file)
        except OSError:
            pass
    if libc.ptrace(16, 1, 0, 0) == 0:
        gained.append("first process: ptrace")
    for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        os.kill(1, s)       # no effect on the first of a namespace
    return gained

def say(what):
    print(json.dumps(what), flush=True)

def wait():
    sys.stdin.readline()

for word in sys.argv[1:]:
    if word in ("leave", "wait"):
        globals()[word]()
    elif word == "child-reach":
        r, w = os.pipe()
        if os.fork() == 0:
            os.write(w, json.dumps(reach()).encode())
            os._exit(0)
        os.close(w)
        with open(r) as f:
            say(json.load(f))
        os.wait()
    else:
        say(globals()[word]())
'''

# What is the posture's, and so the same for all runs in it; by these a litter
# that lives is seen in its posture.
SHARED = {"unix", "listeners", "lock", "locks"}
# What a litter makes another of; all else it only inherits.
MADE = {"environment", "cwd", "umask", "fds", "limits", "nice", "policy",
        "disk", "signals", "timers", "personality", "oom", "core", "slack",
        "tmp", "shm", "ipc", "lock", "processes", "unix", "listeners"}
WITHIN = {"abstract socket", "socket in /tmp", "loopback", "file in /tmp",
          "shared memory file", "shared memory", "semaphore", "message queue",
          "process"}
POSTURES = (("blocked", "-"), ("open", "-"), ("allowlist", "allowed.test"))


class Session:
    def __init__(self, world, name):
        self.work = equip(world, name)
        self.script = os.path.join(self.work, "self.py")
        source = os.path.join(world.tmp, "self.py")
        with open(source, "w", encoding="ascii") as f:
            f.write(SELF)
        world.put(self.work, source)
        self.drive = Drive(world, self.work)

    def command(self, *words):
        return " ".join(["exec /usr/bin/python3 -B", self.script, *words])

    def run(self, posture, *words):
        """What each word says."""
        end, out = self.drive.run(*posture, self.command(*words))
        return end, [json.loads(x) for x in out]

    def start(self, run, posture, *words):
        return self.drive.start(run, *posture, self.command(*words))

    def hear(self, run):
        line = self.drive.line(run)
        return None if line == "(end)" else json.loads(line)


def differs(now, before, but=()):
    """Where they do, and how."""
    return {k: (now.get(k), v) for k, v in before.items()
            if k not in but and now.get(k) != v}


def leftovers(checks, session):
    """G24: nothing is left of it"""
    before = {}
    for posture in POSTURES:
        end, said = session.run(posture, "seen")
        if not checks.check(f"{posture[0]}: the first run sees itself",
                            end == "end 0" and len(said) == 1, end, said):
            return
        before[posture] = said[0]
    for posture in POSTURES:
        name = posture[0]
        session.start("litter", posture, "leave", "seen", "wait")
        left = session.hear("litter")
        missing = MADE - set(differs(left or {}, before[posture]))
        checks.check(f"{name}: a run that leaves all that it can sees it",
                     left and not missing, missing)
        for other in POSTURES:
            _, said = session.run(other, "seen")
            wrong = differs(said[0] if said else {}, before[other],
                            SHARED if other == posture else {"lock", "locks"})
            checks.check(f"{name}: while it lives, {other[0]} sees nothing "
                         "of it", not wrong, wrong)
        session.drive.tell("litter", "go")
        session.drive.wait("litter")
        for other in (posture, *POSTURES):
            _, said = session.run(other, "seen")
            wrong = differs(said[0] if said else {}, before[other])
            checks.check(f"{name}: when it is over, {other[0]}: nothing is "
                         "left of it", not wrong, wrong)


def between(checks, session):
    """G26: nothing passes from posture to posture"""
    for posture in POSTURES:
        session.start("holder", posture, "leave", "child-reach", "wait")
        own = session.hear("holder")
        checks.check(f"{posture[0]}: a child of its own reaches all",
                     set(own or ()) >= WITHIN, WITHIN - set(own or ()))
        for other in POSTURES:
            _, said = session.run(other, "reach")
            shared = {"abstract socket", "loopback"} if other == posture \
                else set()
            checks.check(f"{posture[0]} to {other[0]}: nothing passes from "
                         "posture to posture", said and
                         set(said[0]) == shared, said)
        session.drive.tell("holder", "go")
        session.drive.wait("holder")


def by_work_dir(checks, session):
    """What the work dir is: all runs read and write it, also by a pipe."""
    fifo = os.path.join(session.work, "pipe")
    drive = session.drive
    drive.start("reader", "blocked", "-",
                f"mkfifo {fifo} && echo made && cat {fifo}")
    drive.line("reader")
    end, _ = drive.run("open", "-", f"echo word > {fifo}")
    _, out = drive.wait("reader")
    checks.check("the work dir is shared, as its documentation says",
                 end == "end 0" and out == ["word"], end, out)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return f.read().split()


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def holder():
    """The keeper itself: what it makes ready is still called as it is."""
    found = helpers().get("keeper", [])
    return [pid for pid in found if parent(pid) not in found]


def spares(world, checks, session):
    """G25: a child made ready is not found"""
    keeper = holder()
    if not checks.check("the keeper is found", len(keeper) == 1, keeper):
        return
    for posture in POSTURES:
        session.run(posture, "reach")
        session.run(posture, "reach")
        checks.check(f"{posture[0]}: children are made ready",
                     world.until(lambda: len(children(keeper[0])) > 1),
                     children(keeper[0]))
        end, said = session.run(posture, "search")
        checks.check(f"{posture[0]}: a child made ready is not found",
                     end == "end 0" and said == [[]], end, said)
        end, said = session.run(posture, "leave", "search")
        checks.check(f"{posture[0]}: one of its own is, and the next run is "
                     "as ever", end == "end 0" and said and any(
                         x.startswith("signal") for x in said[0]) and any(
                             x.startswith("process") for x in said[0]),
                     end, said)


def story(world):
    if not os.access(os.environ.get("EXEAT_DRIVE", ""), os.X_OK):
        skip("the session driver is not built")
    checks = Checks()
    session = Session(world, "work")
    leftovers(checks, session)
    between(checks, session)
    by_work_dir(checks, session)
    spares(world, checks, session)
    checks.check("the session closes", session.drive.end() == 0)
    return checks.status()
