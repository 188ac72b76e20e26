# usage.py - bad input, help, and the commands that start nothing
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import re
import subprocess

from command import EXEAT, check, expect, finish, left_behind, place, run

UNKNOWN_KEY = place("key.json", '{"version": 1,\n "colour": "red"}')
BROKEN = place("broken.json", '{"version": 1,\n network')
ALLOW_A = place("a.json", '{"version": 1, "network_allowlist": ["a.example"]}')
RULES = place("rules", "a.example  # fine\n\n   # nothing\nb..example\n")
UNREADABLE = place("unreadable")
os.chmod(UNREADABLE, 0)

# What is given to `exeat run`, and what the one line on stderr must name.
BAD = [
    (["--net", "off"], ["network_mode", "off"]),
    (["--allow", "a.example", "--allow", "b..example"], ["allow[1]", "byte 2"]),
    (["--allow", "a.example:70000"], ["allow[0]", "byte 10"]),
    (["--allow", ""], ["allow[0]", "byte 0"]),
    (["--deny", "!a.example"], ["deny[0]", "byte 0"]),
    (["--allow", "@nonsense"], ["@nonsense", "no such preset"]),
    (["--allow", "*.com"], ["*.com", "+wide"]),
    (["--allow", "*.co.uk"], ["*.co.uk", "+wide"]),
    (["--allow", "*"], ["allow[0]", "+wide"]),
    (["--allow", "udp/a.example"], ["allow[0]", "udp/a.example"]),
    (["--net", "blocked", "--allow", "a.example"],
     ["network_allowlist", "blocked"]),
    (["--net", "open", "--allow", "a.example"], ["a.example"]),
    (["--allow-file", RULES], ["allow[1]", "b..example"]),
    (["--allow-file", "/no/such"], ["--allow-file", "/no/such"]),
    (["--deny-file", "/no/such"], ["--deny-file", "/no/such"]),
    (["--allow", "a.example/path"], ["allow[0]", "byte 9"]),
    (["--allow", "a.example", "--max-upload", "a.example"],
     ["max_upload", "a.example", "NAME=SIZE"]),
    (["--allow", "a.example", "--max-upload", "a.example=0"],
     ["max_upload", "a.example=0"]),
    (["--allow", "a.example", "--max-download", "a.example=1X"],
     ["max_download", "a.example=1X"]),
    (["--allow", "a.example", "--max-download", "b.example=1M"],
     ["max_download", "b.example", "allow rule"]),
    (["--allow", "a.example", "--max-upload", "a.example:22=1M"],
     ["max_upload", "a.example:22"]),
    (["--allow", "a.example", "--max-upload", "b..example=1M"],
     ["max_upload", "b..example", "byte 2"]),
    (["--net", "blocked", "--max-upload", "a.example=1M"],
     ["max_upload", "a.example"]),
    (["--policy", "/no/such"], ["--policy", "/no/such"]),
    (["--policy", UNKNOWN_KEY], ["policy file", "colour", "line 2 column 2"]),
    (["--policy", BROKEN], ["policy file", "line 2"]),
    (["--policy", ALLOW_A, "--net", "open"], ["network_policy"]),
    (["--ceiling", BROKEN], ["network_ceiling", "line 2"]),
    (["--ceiling", ALLOW_A, "--net", "open"], ["network_mode", "open"]),
    (["--ceiling", ALLOW_A, "--allow", "b.example"],
     ["network_allowlist", "b.example"]),
    (["-w", "/no/such/dir"], ["work dir", "/no/such/dir"]),
    (["-w", "/"], ["work dir", "/"]),
    (["-w", "/etc/passwd"], ["work dir", "/etc/passwd"]),
    (["-w", UNREADABLE], ["work dir", UNREADABLE]),
    (["--cwd", "/no/such"], ["cwd", "/no/such"]),
    (["--cwd", "no/such"], ["cwd", "no/such"]),
    (["--rw", "/"], ["/"]),
    (["--ro", "/no/such"], ["/no/such"]),
    (["--backend", "docker"], ["backend", "docker", "userns"]),
    (["--user", "nobody"], ["nobody"]),
    (["--dns-refusal", "drop"], ["dns_refusal", "drop"]),
    (["-e", "=x"], ["env", "=x"]),
    (["--timeout", "soon"], ["--timeout", "soon"]),
    (["--timeout", "-1"], ["--timeout", "-1"]),
    (["--timeout", "0"], ["--timeout", "0"]),
    (["--timeout", "11000000h"], ["timeout_ms", "ten years"]),
    (["--timeout", "99999999999999999999"], ["--timeout", "9999"]),
    (["--idle-timeout", "0s"], ["--idle-timeout", "0s"]),
    (["--idle-timeout", "400000000"], ["idle_timeout_ms", "ten years"]),
    (["--kill-grace", "400000000"], ["kill_grace_ms", "ten years"]),
    (["--kill-grace", "-1"], ["--kill-grace", "-1"]),
    (["--cwd", ".."], ["cwd", '".."']),
    (["--cwd", "a/../../b"], ["cwd", '".."']),
    (["--cwd", "/etc/passwd"], ["cwd", "Not a directory"]),
    (["--cwd", "/root"], ["cwd", "/root"]),
    (["--cwd", ""], ["cwd", "empty"]),
    (["--cwd", "\udcff"], ["cwd", "UTF-8"]),
    (["-w", ""], ["host_work_dir", "empty"]),
    (["-w", "/\udcff"], ["host_work_dir", "UTF-8"]),
    (["--ro", "\udcc0\udcaf"], ["read_only_paths[0]", "UTF-8"]),
    (["--rw", ""], ["read_write_paths[0]", "empty"]),
    (["--label", "\udcff"], ["label", "UTF-8"]),
    (["--label", "x" * 256], ["label", "255"]),
    (["-e", "A=\udcff"], ["env", "A: not UTF-8"]),
    (["-e", ""], ["env", "NAME=VALUE"]),
    (["--shell", "/bin/sh"], ["shell"]),
    (["--user", ""], ["user", "empty"]),
    (["--memory", "4K"], ["memory_bytes", "1 MiB"]),
    (["--memory", "2000T"], ["memory_bytes", "1 PiB"]),
    (["--cpus", "9000"], ["cpus", "8192"]),
    (["--cpus", "0.001"], ["cpus", "0.01"]),
    (["--pids", "9999999"], ["pids", "4194304"]),
    (["--pids", "0"], ["--pids"]),
    (["--open-files", "3"], ["open_files", "16"]),
    (["--open-files", "99999999999"], ["open_files", "hard limit"]),
    (["--audit", ""], ["audit_file", "empty"]),
    (["--audit", "fd:99"], ["--audit", "fd:99"]),
    (["--audit", "fd:x"], ["--audit", "fd:x"]),
    (["--audit", "/no/such/file"], ["audit", "/no/such/file"]),
    (["--colour"], ["--colour", "unknown"]),
    (["-Z"], ["-Z", "unknown"]),
    (["-qZ"], ["-qZ", "unknown letter"]),
    (["-q="], ["-q=", "unknown letter"]),
    (["--tim", "5"], ["--tim", "unknown"]),
    (["--quiet=1"], ["--quiet", "no value"]),
    (["-c", "true"], ["command line", "more than one"]),
]


def bad_input():
    for options, words in BAD:
        p = run("run", *options, "--", "sh", "-c", "echo ran")
        what = " ".join(["run"] + options)
        expect(p, what, 125, "", words)
        text = p.stderr.decode()
        check(f"{what}: one line of ours", text.startswith("exeat: ") and
              text.count("\n") == 1, text)
    expect(run("run"), "no command", 125, "", "command line")
    expect(run("run", "--python", "/no/such.py"), "--python", 125, "",
           ["--python", "/no/such.py"])
    expect(run("run", "--timeout"), "no value", 125, "", "--timeout")
    expect(run("run", "-c", ""), "-c ''", 125, "", "command: empty")
    expect(run("run", ""), "an empty command", 125, "", "argv")
    expect(run("run", "echo", b"\xff"), "argv", 125, "", "argv[1]: not UTF-8")
    expect(run("run", "--", "true", env={"TMPDIR": "/dev/shm"}),
           "a fresh work dir where every run has its own", 125, "",
           ["work dir", "/dev/shm", "TMPDIR"])


def spellings():
    """Every way in which an option and its value can be written."""
    for words in (["-c", "echo $A"], ["-cecho $A"], ["-qc", "echo $A"],
                  ["-qcecho $A"], ["-q", "-qqc", "echo $A"],
                  ["-qe", "B=1", "-c", "echo $A"],
                  ["-qeB=1", "--command=echo $A"],
                  ["--env=B=1", "--command", "echo $A", "--"]):
        for option in (["-e", "A=x-y"], ["-eA=x-y"], ["-qeA=x-y"],
                       ["--env", "A=x-y"], ["--env=A=x-y"]):
            what = " ".join(option + words)
            expect(run("run", *option, *words), what, 0, "x-y\n")
    expect(run("run", "-q", "--", "echo", "-q", "--", "-c"), "behind --", 0,
           "-q -- -c\n")
    expect(run("run", "-q", "echo", "-q", "--help"), "behind the command", 0,
           "-q --help\n")
    for words in (["-qc"], ["-c"], ["--command"], ["-qe"]):
        expect(run("run", *words), f"no value: {words}", 125, "",
               [words[-1], "needs a value"])


COMMANDS = ["run", "policy check", "policy test", "policy presets",
            "audit verify", "doctor", "selftest"]


def helps():
    for command in COMMANDS:
        p = run(*command.split(), "--help")
        expect(p, f"{command} --help", 0)
        check(f"{command} --help says how",
              p.stdout.startswith(f"usage: exeat {command}".encode()),
              p.stdout)
        expect(run(*command.split(), "-h"), f"{command} -h", 0,
               p.stdout.decode())
    text = run("run", "--help").stdout.decode()
    for option in ("--net", "--allow", "-w, --work-dir", "-e, --env",
                   "--timeout", "--explain", "--fail-on-deny", "--json"):
        check(f"help has {option}", option in text)
    expect(run("run", "-qh"), "-qh", 0, text)
    expect(run("run", "-q", "echo", "-h"), "the command's own -h", 0, "-h\n")
    expect(run("run", "-eA=h", "-qch", "--", "-h"), "values, no letters", 125,
           "", ["more than one"])
    for option in ("--help", "-h"):
        expect(run(option), option, 0, run("help").stdout.decode())
        expect(run("policy", option), f"policy {option}", 0,
               run("help", "policy").stdout.decode())
    p = run("--version")
    check("--version", re.fullmatch(rb"exeat \d+\.\d+\.\d+\n", p.stdout) and
          p.returncode == 0, p.stdout)
    p = run("help", "policy")
    expect(p, "help policy", 0)
    check("the commands that begin so", b"policy test" in p.stdout and
          b"doctor" not in p.stdout, p.stdout)
    check("help: all", b"doctor" in run("help").stdout)
    check("policy alone: those of it", b"doctor" not in run("policy").stderr)
    for words in ([], ["nonsense"], ["policy"], ["policy", "nonsense"],
                  ["help", "nonsense"], ["help", "run", "nonsense"]):
        expect(run(*words), f"wrong usage: {words}", 2, "", "usage:")


def policy():
    p = run("policy", "check", "--allow", "A.Example.", "--deny", "x.a.example")
    expect(p, "policy check", 0)
    check("canonical", b'"a.example' in p.stdout and
          b'"allowlist"' in p.stdout, p.stdout)
    expect(run("policy", "check", ALLOW_A), "policy check FILE", 0)
    expect(run("policy", "check", "--allow", "a..b"), "check: not valid", 1,
           "", ["allow[0]", "byte 2"])
    expect(run("policy", "check", BROKEN), "check: no JSON", 1, "", "line 2")
    expect(run("policy", "check", "/no/such"), "check: no file", 3, "",
           "/no/such")
    expect(run("policy", "check", "--bogus"), "check: usage", 2, "", "--bogus")
    p = run("policy", "check", "--allow", "a.example", "--max-upload",
            "a.example=10240", "--max-download", "A.Example=1025")
    expect(p, "policy check: budgets", 0)
    check("canonical sizes", b'{"rule":"a.example","max_upload":"10K",'
          b'"max_download":"1025"}' in p.stdout, p.stdout)
    expect(run("policy", "check", "--allow", "gist.github.com"),
           "check: a way out", 0, None,
           ["warning: gist.github.com: ", "max_upload"])
    expect(run("policy", "check", "--strict", "--allow", "gist.github.com"),
           "check --strict", 1, None, "warning: ")
    expect(run("policy", "check", "--strict", "--allow", "a.example"),
           "check --strict: nothing to say", 0, None, "")
    expect(run("policy", "check", "--strict", "--allow", "gist.github.com",
               "--max-upload", "gist.github.com=1M"),
           "check --strict: bounded", 0, None, "")
    p = run("policy", "test", "--allow", "a.example", "--max-upload",
            "a.example=3G", "a.example")
    expect(p, "policy test: a budget", 0)
    check("it is told", b"with a.example: at most 3G up" in p.stdout, p.stdout)
    allow = ["policy", "test", "--allow", "a.example"]
    p = run(*allow, "a.example", "https://a.example/x")
    expect(p, "policy test: allowed", 0)
    check("it says so", p.stdout.count(b": allowed by allow rule") == 2, p.stdout)
    p = run(*allow, "a.example", "b.example")
    expect(p, "policy test: one refused", 1)
    check("it says which", b"deny b.example" in p.stdout, p.stdout)
    expect(run(*allow, "a.example:22"), "policy test: port", 1)
    expect(run("policy", "test", "x.example"), "policy test: blocked", 1)
    expect(run("policy", "test", "--net", "open", "169.254.169.254:80"),
           "policy test: guard", 1)
    expect(run("policy", "test", "--allow", "a..b", "x"),
           "policy test: invalid policy", 3, "", "byte 2")
    expect(run(*allow, "//:x"), "policy test: no target", 3, None, "//:x")
    expect(run("policy", "test"), "policy test: usage", 2)
    p = run("policy", "presets", "github")
    expect(p, "presets NAME", 0)
    check("its rules", b"@github" in p.stdout and b"github.com" in p.stdout,
          p.stdout)
    expect(run("policy", "presets", "nonsense"), "presets: none such", 1, "",
           "nonsense")


def doctor():
    p = run("doctor")
    missing = b"MISSING" in p.stdout
    check("doctor: status says what it found",
          p.returncode == int(missing) and p.stdout, p.stdout)
    check("doctor leaves nothing", not left_behind())
    expect(run("doctor", "x"), "doctor: usage", 2)
    another_doctor(p.stdout)


def group_rows(said):
    return [row for row in said.split(b"\n") if b"cgroup" in row]


def another_doctor(said):
    """Two in different pid namespaces, with one pid, at the same time."""
    apart = ["unshare", "--pid", "--fork"]
    places = set(re.findall(r"\bin (/sys/fs/cgroup\S*)", said.decode()))
    groups = [f"{place}/exeat-doctor-1{end}" for place in places
              for end in ("", "-pause")]
    if os.geteuid() != 0 or subprocess.run([*apart, "true"], check=False,
                                           stderr=subprocess.DEVNULL).returncode:
        return
    held = []
    try:
        for group in groups:
            os.mkdir(group)
            held.append(os.open(group, os.O_RDONLY))
            fcntl.flock(held[-1], fcntl.LOCK_SH)
        p = subprocess.run([*apart, EXEAT, "doctor"], check=False,
                           stdout=subprocess.PIPE)
        check("doctor beside another one",
              group_rows(p.stdout) == group_rows(said), p.stdout)
    finally:
        for group, fd in zip(groups, held):
            os.close(fd)
            os.rmdir(group)


bad_input()
spellings()
helps()
policy()
doctor()
os.chmod(UNREADABLE, 0o700)
finish()
