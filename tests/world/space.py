"""Namespaces of a world: enter them, and let nothing outlive them.

SPDX-License-Identifier: Apache-2.0

Theory of operation

enter() starts the calling script again inside fresh network, mount, pid, ipc
and uts namespaces, once for each kind of caller:

    root    real root: no user namespace is made
    user    an ordinary user: world root is uid 0 of a one-id namespace, and
            commands of the caller run in a nested one, as uid 1000 without
            any capability
    oneid   the caller is uid 0 of that one-id namespace

Inside, the first process is an init that reaps, and forks the test. It also
holds the read end of a pipe whose only writer is the process outside: when
that one goes, by any signal, init goes, and the kernel kills everything else
of the pid namespace. Mounts and networks go with their last process.
"""

import ctypes
import os
import subprocess
import sys

CLONE_NEWNET = 0x40000000
INSIDE = "EXEAT_WORLD_INSIDE"
KINDS = ("root", "user", "oneid")
SKIP = 77

libc = ctypes.CDLL(None, use_errno=True)


def unshare_net():
    if libc.unshare(CLONE_NEWNET) != 0:
        err = ctypes.get_errno()
        raise OSError(err, "unshare: " + os.strerror(err))


def skip(why):
    """Loudly; where nothing may be skipped, as a failure."""
    must = os.environ.get("EXEAT_MUST_RUN") == "1"
    print(f"{'FAIL (must run)' if must else 'SKIP'}: {why}", flush=True)
    sys.exit(1 if must else SKIP)


def real_root():
    """Root of the host, not uid 0 of a namespace that maps one id."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map", encoding="ascii") as f:
        return sum(int(line.split()[2]) for line in f) > 65534


def kinds():
    """The callers to simulate: as asked, or all that this user can."""
    asked = os.environ.get("EXEAT_CALLERS", "").split()
    for kind in asked:
        if kind not in KINDS:
            raise SystemExit(f"EXEAT_CALLERS: {kind!r} is not one of {KINDS}")
    if asked:
        return asked
    return ["root"] if real_root() else ["user", "oneid"]


def _command(kind):
    cmd = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts",
           "--fork", "--kill-child", "--mount-proc"]
    if kind == "root":
        return cmd
    cmd += ["--user", "--map-root-user"]
    if real_root():
        drop = ["setpriv", "--reuid", "65534", "--regid", "65534",
                "--clear-groups", "--"]
        cmd = drop + cmd
    return cmd


def _init(lifeline, test):
    """Pid 1 of the world."""
    watch = os.fork()
    if watch == 0:
        os.read(lifeline, 1)
        os._exit(0)
    os.close(lifeline)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = test()
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xff)
        if pid == watch:
            os._exit(1)


def usable(kind):
    if kind == "root" and not real_root():
        return "the caller `root` needs root"
    probe = subprocess.run(_command(kind) + ["true"], capture_output=True,
                           text=True)
    if probe.returncode != 0:
        return f"no namespaces for {kind}: {probe.stderr.strip()}"
    return None


def enter(test, of=KINDS):
    """Run test(kind) inside a world's namespaces, for callers of these kinds;
    does not return."""
    inside = os.environ.pop(INSIDE, None)
    if inside:
        kind, fd = inside.split(":")
        _init(int(fd), lambda: test(kind))
    worst, wanted = 0, [kind for kind in kinds() if kind in of]
    if not wanted:
        skip(f"only for the callers {' '.join(of)}")
    for kind in wanted:
        why = usable(kind)
        if why:
            skip(why)
        code = _once(kind)
        if worst == 0 or worst == SKIP:
            worst = code or worst
    sys.exit(worst)


def _once(kind):
    r, w = os.pipe()
    os.set_inheritable(r, True)
    env = dict(os.environ, **{INSIDE: f"{kind}:{r}"})
    argv = _command(kind) + [sys.executable, "-B", *sys.argv]
    child = subprocess.Popen(argv, env=env, pass_fds=[r])
    os.close(r)
    try:
        return child.wait() & 0xff
    finally:
        os.close(w)
