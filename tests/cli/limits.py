# limits.py - what a command may use: kept, counted, and said by whom
# SPDX-License-Identifier: Apache-2.0
"""Where a limit can be kept by a cgroup is the machine's; where it cannot,
it is an error that says why and what helps, and best effort is what is left.
"""
import json
import os
import resource

from command import PLACE, check, expect, finish, place, run

RESULT = os.path.join(PLACE, "result.json")
EAT = "b = bytearray(300 << 20); print('ate')"
FORKS = ("import os, time\n"
         "n = 0\n"
         "try:\n"
         "    while n < 40:\n"
         "        if os.fork() == 0: time.sleep(1000)\n"
         "        n += 1\n"
         "except BlockingIOError: pass\n"
         "print(n)\n")


def limited(*args):
    """The finished process, and its result as it was written."""
    p = run("run", "--json", RESULT, *args)
    if p.returncode == 125:
        return p, None
    with open(RESULT) as f:
        return p, json.load(f)


def grouped(option, value, name):
    """Is there a cgroup for it? If not, it is an error that says so."""
    p, result = limited(option, value, "true")
    if result:
        check(f"{option}: who keeps it", p.returncode == 0 and
              result["limits_enforced"] == {
                  "memory": "", "cpus": "", "pids": "", "disk": "",
                  name: "cgroup"},
              p, result)
        return True
    expect(p, f"{option}: no cgroup", 125, "",
           [f"limit {name}: ", "cgroup",
            "systemd-run --user --scope -p Delegate=yes", ":best-effort"])
    return False


def memory():
    if grouped("--memory", "64M", "memory"):
        p, result = limited("--memory", "64M", "python3", "-c", EAT)
        expect(p, "--memory", 137, "", "the command was ended: out of memory")
        check("--memory: the result", result["termination_reason"] == "oom" and
              result["oom_kills"] >= 1 and result["returncode"] == -9, result)
        p, result = limited("-q", "--memory", "64M", "python3", "-c", EAT)
        expect(p, "--memory, quiet", 137, "")
        p, result = limited("--memory", "1G", "python3", "-c", EAT)
        expect(p, "--memory that is enough", 0, "ate\n")
        check("--memory: no end of ours", result["termination_reason"] == ""
              and result["oom_kills"] == 0, result)
        peak = result["memory_peak_bytes"]
        check("--memory: what it took", not peak or
              300 << 20 <= peak <= 1 << 30, result)
    p, result = limited("--memory", "100M:best-effort", "python3", "-c", EAT)
    if result["limits_enforced"]["memory"] == "cgroup":
        check("best effort is a cgroup's", p.returncode == 137, p, result)
        return
    expect(p, "--memory, best effort", 1, "", "MemoryError")
    check("--memory: of each process", result["limits_enforced"]["memory"] ==
          "rlimit" and result["termination_reason"] == "" and
          result["memory_peak_bytes"] == 0, result)


def processors():
    if grouped("--cpus", "0.5", "cpus"):
        p, result = limited("--cpus", "0.2", "python3", "-c",
                            "import time\n"
                            "while time.process_time() < 0.4: pass")
        expect(p, "--cpus", 0, "")
        check("--cpus: it takes five times as long",
              result["runtime_ms"] >= 1000 and
              result["user_us"] + result["system_us"] >= 400000, result)
    p, result = limited("--cpus", "1:best-effort", "python3", "-c",
                        "import os; print(len(os.sched_getaffinity(0)))")
    if result["limits_enforced"]["cpus"] != "cgroup":
        expect(p, "--cpus, best effort", 0, "1\n")
        check("--cpus: who", result["limits_enforced"]["cpus"] == "affinity",
              result)


def processes():
    if grouped("--pids", "20", "pids"):
        p, _ = limited("--pids", "20", "python3", "-c", FORKS)
        expect(p, "--pids", 0, "19\n")
    p, result = limited("--pids", "20:best-effort", "python3", "-c", FORKS)
    expect(p, "--pids, best effort", 0, "19\n")
    check("--pids: who", result["limits_enforced"]["pids"] in
          ("cgroup", "rlimit"), result)


def disk():
    p, result = limited("--disk", "4M", "-c",
                        "head -c 9M /dev/zero > f; ls -l f | wc -l")
    expect(p, "--disk", 0, "1\n", "No space left on device")
    check("--disk: who", result["limits_enforced"]["disk"] == "tmpfs", result)
    kept = place("kept")
    expect(run("run", "--disk", "4M", "-w", kept, "true"),
           "--disk of a folder of the host's", 125, "",
           ["limit disk: ", ":best-effort"])
    p, result = limited("--disk", "4M:best-effort", "-w", kept, "-c",
                        "trap '' XFSZ; head -c 9M /dev/zero > f; sync f; "
                        "head -c 9M /dev/zero > g; sync g")
    expect(p, "--disk, best effort", 0, "", "File too large")
    check("--disk, best effort: who",
          result["limits_enforced"]["disk"] == "rlimit", result)
    check("--disk, best effort: no file gets larger", all(
        3 << 20 < os.stat(os.path.join(kept, x)).st_size < 4 << 20
        for x in "fg"), os.listdir(kept))
    expect(run("run", "--disk", "4M:best-effort", "-w", kept, "true"),
           "--disk: nothing is left", 125, "",
           ["limit disk: ", "in the work dir already", "allow more"])
    expect(run("run", "--disk", "1G:best-effort", "-w", kept, "true"),
           "--disk: enough is left", 0)


def of_a_process():
    p, result = limited("--file-size", "64K", "-c",
                        "head -c 100000 /dev/zero > f; stat -c %s f")
    expect(p, "--file-size", 0, "65536\n", "File size limit exceeded")
    p, result = limited("--file-size", "64K", "python3", "-c",
                        "import signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN)\n"
                        "open('f', 'wb', 0).truncate(100000)")
    expect(p, "--file-size: EFBIG", 1, "", "File too large")
    p, _ = limited("--open-files", "20", "python3", "-c",
                   "import os\ntry:\n  while True: n = os.dup(0)\n"
                   "except OSError as e: print(n, e.strerror)")
    expect(p, "--open-files", 0, "19 Too many open files\n")
    p, _ = limited("--core", "0", "-c", "ulimit -c; kill -SEGV $$")
    expect(p, "--core 0", 128 + 11, "0\n")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == resource.RLIM_INFINITY:
        expect(run("run", "--core", "8K", "--shell", "bash", "-c",
                   "ulimit -c; ulimit -Hc"), "--core", 0, "8\n8\n")


def many_at_once():
    """All of them together, as far as each can be had in some way."""
    p, result = limited("--memory", "500M:best-effort", "--cpus",
                        "1:best-effort", "--pids", "50:best-effort",
                        "--disk", "64M", "--max-output", "1M", "--idle-timeout", "60", "-c",
                        "echo out; echo err >&2")
    expect(p, "all limits", 0, "out\n", "err\n")
    check("all limits: each has a keeper",
          all(result["limits_enforced"].values()) and
          result["stdout_bytes"] == result["stderr_bytes"] == 4, result)


def ends():
    """Why it was ended is said once, and in the result."""
    p, result = limited("--timeout", "0.2", "-c", "sleep 1000")
    expect(p, "--timeout", 124, "", "exeat: the command was ended: --timeout\n")
    check("--timeout: the result", result["termination_reason"] == "timeout",
          result)
    p, result = limited("--idle-timeout", "1", "-c", "echo a; sleep 1000")
    expect(p, "--idle-timeout", 124, "a\n",
           "exeat: the command was ended: --idle-timeout: it wrote nothing\n")
    check("--idle-timeout: the result",
          result["termination_reason"] == "idle_timeout", result)
    p, result = limited("--max-output", "1K", "yes")
    expect(p, "--max-output", 128 + 15, "y\n" * 512,
           ["exeat: the command was ended: --max-output\n",
            "exeat: more output than --max-output: cut\n"])
    check("--max-output: the result", result["stdout_cut"] and
          result["stdout_bytes"] > 1024 and
          result["termination_reason"] == "output_limit", result)
    for option in ("--timeout", "--idle-timeout"):
        p, _ = limited("-q", option, "0.2", "-c", "sleep 1000")
        expect(p, f"{option}, quiet", 124, "")
    expect(run("run", "--idle-timeout", "20", "-c", "echo a; echo b >&2"),
           "--idle-timeout of who speaks", 0, "a\n", "b\n")
    p, result = limited("--max-output", "1K", "-c", "trap '' TERM; seq 999")
    check("--max-output: also if it ends by itself", p.returncode == 128 + 15
          and result["returncode"] == 0 and result["stdout_cut"], p, result)
    expect(run("run", "--max-output", "1K", "-t", "-c", "seq 300; sleep 99"),
           "--max-output of a terminal", 128 + 15,
           "".join(f"{i}\r\n" for i in range(1, 301)).encode()[:1024],
           "more output than --max-output")


def bad_input():
    for option, values in (
            ("--memory", ("0", "x", "1Q", "64M:effort", "64M:", ":best-effort",
                          "-1", "", "9" * 80)),
            ("--cpus", ("0", "x", "1.2345", "-1", "1:effort", "0.001",
                        "99999999")),
            ("--pids", ("0", "x", "1.5", "5:x", "5K")),
            ("--disk", ("0", "x", "1M:effort", "1023K", "2P", "-1", "")),
            ("--file-size", ("0", "x")), ("--open-files", ("0", "x", "1K")),
            ("--core", ("x", "-1")), ("--max-output", ("0", "1Q")),
            ("--idle-timeout", ("x",))):
        for value in values:
            expect(run("run", option, value, "-c", "echo ran"),
                   f"{option} {value}", 125, "", option[2:].replace("_", "-"))


memory()
processors()
processes()
disk()
of_a_process()
many_at_once()
ends()
bad_input()
finish()
