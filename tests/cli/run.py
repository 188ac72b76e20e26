# run.py - exeat run: status, streams, signals, reports
# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess

from command import (ENV, EXEAT, PLACE, check, expect, finish, left_behind,
                     place, run)

CONNECT = ("import socket\n"
           "try: socket.create_connection(('203.0.113.7', 443), 60)\n"
           "except OSError: pass\n")
LOOKUP = ("import socket\n"
          "try: socket.getaddrinfo('www.example.com', 443)\n"
          "except OSError: pass\n")

# Options and command; status, standard output, words on standard error.
STATUS = [
    (["true"], 0, "", None),
    (["sh", "-c", "exit 7"], 7, "", None),
    (["sh", "-c", "kill -KILL $$"], 128 + 9, "", None),
    (["sh", "-c", "kill -TERM $$"], 128 + 15, "", None),
    (["--timeout", "0.1", "--", "sleep", "100"], 124, "",
     "ended: --timeout"),
    (["-q", "--timeout", "0.1", "--kill-grace", "0.1", "-c",
      "trap '' TERM; while :; do sleep 0.02; done"], 124, "", None),
    (["no-such-command"], 127, "", "no-such-command"),
    (["/etc/passwd"], 126, "", "/etc/passwd: Permission denied"),
    (["/etc"], 126, "", "/etc: Is a directory"),
    (["-c", "printf '#!/no/sh\\n' > x; chmod +x x; exec ./x"], 127, "", "x"),
    (["-q", "--timeout", "0.1", "--kill-grace", "0", "-c",
      "trap '' TERM; while :; do sleep 0.02; done"], 124, "", None),
    (["-c", "echo $0 $((1 + 1))"], 0, "/bin/sh 2\n", None),
    (["--shell", "bash", "-c", "a=(x y); echo ${a[1]}"], 0, "y\n", None),
    (["echo", "--net", "open"], 0, "--net open\n", None),
    (["-e", "A=1", "-e", "GIVEN", "-e", "NOT_SET", "-e", "B=", "-c",
      "echo $A $GIVEN ${NOT_SET-none} ${B-none}."], 0, "1 handed none .\n",
     None),
    (["-c", "echo ${GIVEN-none}"], 0, "none\n", None),
    (["--cwd", "/usr", "pwd"], 0, "/usr\n", None),
    (["--fail-on-deny", "true"], 0, "", None),
    (["--fail-on-deny", "python3", "-c", CONNECT], 123, "", None),
    (["--fail-on-deny", "python3", "-c", CONNECT + "raise SystemExit(9)"], 9,
     "", None),
    (["python3", "-c", CONNECT], 0, "", None),
]


def status():
    for args, code, out, err in STATUS:
        p = run("run", *args, env={"GIVEN": "handed"})
        expect(p, " ".join(["run"] + args), code, out, err)


def streams():
    expect(run("run", "cat", stdin=b"x\n" * 100000), "stdin", 0,
           "x\n" * 100000)
    p = run("run", "sh", "-c", "echo out; echo err >&2")
    expect(p, "both outputs", 0, "out\n", "err\n")
    p = subprocess.run("echo x | $E run -- cat | $E run -- wc -c", shell=True,
                       capture_output=True, env={**ENV, "E": EXEAT})
    check("pipeline", p.stdout.strip() == b"2" and not p.stderr, p)
    # a file outside the view that is stdin is no way to write it
    given = place("given", "secret")
    os.chmod(given, 0o666)
    p = subprocess.run("$E run -- sh -c 'echo x > /proc/self/fd/0 || cat "
                       "/dev/stdin' <$F", shell=True, capture_output=True,
                       env={**ENV, "E": EXEAT, "F": given})
    with open(given) as f:
        left = f.read()
    check("stdin is read only", p.stdout == b"secret" and left == "secret", p)
    p = subprocess.run("$E run -- sh -c 'echo a; echo b >> /dev/stdout; cat "
                       "/dev/stdout' >>$F", shell=True, capture_output=True,
                       env={**ENV, "E": EXEAT, "F": given})
    with open(given) as f:
        left = f.read()
    check("stdout is write only", p.returncode and left == "secreta\nb\n", p)
    p = subprocess.run("$E run -- ls <$F", shell=True, capture_output=True,
                       env={**ENV, "E": EXEAT, "F": os.path.dirname(given)})
    check("a directory as stdin", p.returncode == 125 and
          b"descriptor 0 is a directory" in p.stderr, p)
    p = subprocess.run("$E run -- yes | head -n 1", shell=True, timeout=60,
                       capture_output=True, env={**ENV, "E": EXEAT})
    check("a reader that goes away", p.stdout == b"y\n", p)
    for options in ("--idle-timeout 100", "--max-output 1000G", "--pty"):
        p = subprocess.run(f"($E run -q {options} -- yes; echo $? >&2) | "
                           "head -n 1", shell=True, timeout=60,
                           capture_output=True, env={**ENV, "E": EXEAT})
        check(f"a reader that goes away, {options}",
              p.stdout.strip() == b"y" and p.stderr == b"141\n", p)
    p = subprocess.run("$E run -- true <&- >&- 2>&-", shell=True,
                       env={**ENV, "E": EXEAT})
    check("closed descriptors", p.returncode == 0, p)
    # they stay closed: their numbers are none of exeat's own descriptors
    for what, options in (("as they are", ""), ("passed on", "--max-output 1M"),
                          ("looked at", "--idle-timeout 100")):
        p = subprocess.run(
            f"$E run {options} -- sh -c 'for i in 0 1; do readlink "
            "/proc/$$/fd/$i; done >&2; cat; echo x' <&- >&-", shell=True,
            timeout=60, capture_output=True, env={**ENV, "E": EXEAT})
        check(f"closed descriptors, {what}", b"anon_inode" not in p.stderr and
              b"socket" not in p.stderr and
              b"Resource temporarily" not in p.stderr and p.stdout == b"", p)
    script = place("script.py", "import sys\nprint(sys.stdin.read())\n")
    expect(run("run", "--python", script, stdin=b"in"), "--python FILE", 0,
           "in\n")
    expect(run("run", "--python", "-", stdin=b"print(6 * 7)\n"), "--python -",
           0, "42\n")


# Not a shell: one swallows the signal between two of its commands.
LASTING = ("import signal, sys, time\n"
           "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
           "print('up', flush=True)\ntime.sleep(1000)\n")


def signals():
    for name, passed in (("INT", signal.SIGINT), ("TERM", signal.SIGTERM),
                         ("HUP", signal.SIGHUP)):
        p = subprocess.Popen([EXEAT, "run", "python3", "-c", LASTING],
                             stdout=subprocess.PIPE, env=ENV)
        p.stdout.readline()
        p.send_signal(passed)
        check(f"{name} is passed on", p.wait(60) == 128 + passed, p)
        check(f"{name}: nothing is left", not left_behind())
        p.stdout.close()
    p = subprocess.Popen([EXEAT, "run", "-c", "trap 'exit 5' INT; echo up; "
                          "while :; do sleep 0.02; done"],
                         stdout=subprocess.PIPE, env=ENV)
    p.stdout.readline()
    p.send_signal(signal.SIGINT)
    check("a command may handle it", p.wait(60) == 5, p)
    p.stdout.close()


def reports():
    p = run("run", "--explain", "python3", "-c", CONNECT + LOOKUP)
    expect(p, "--explain", 0, "",
           ["refused tcp 203.0.113.7 port 443 [kernel]: the run is blocked",
            "--allow '203.0.113.7:443'", "www.example.com [dns]: the run is "
            "blocked", "--allow 'www.example.com'"])
    p = run("run", "--explain", "--allow", "a.example", "python3", "-c",
            CONNECT + LOOKUP)
    expect(p, "--explain, allowlist", 0, "",
           ["203.0.113.7 port 443 [kernel]: no allowed name was seen",
            "www.example.com [dns]: no rule allows it"])
    p = run("run", "--explain", "--net", "open", "--deny", "203.0.113.0/24",
            "python3", "-c", CONNECT)
    expect(p, "--explain, deny", 0, "",
           ["[kernel]: a deny rule refuses it (rule 203.0.113.0/24)"])
    p = run("run", "--explain", "--net", "open", "python3", "-c",
            CONNECT.replace("203.0.113.7", "169.254.169.254"))
    expect(p, "--explain, guard", 0, "", "never opened by any policy")
    check("no hint where nothing helps", b"--allow" not in p.stderr, p.stderr)


def json_file():
    path = os.path.join(os.path.dirname(ENV["TMPDIR"]), "result.json")
    p = run("run", "--json", path, "--label", "x", "--", "python3", "-c",
            CONNECT + "raise SystemExit(3)")
    expect(p, "--json", 3, "")
    with open(path) as f:
        result = json.load(f)
    kinds = {"returncode": int, "termination_reason": str, "start_error": str,
             "runtime_ms": int, "backend": str, "network_mode": str,
             "session": str, "user_us": int, "system_us": int,
             "max_rss_kib": int, "stdout_bytes": int, "stderr_bytes": int,
             "stdout_cut": bool, "stderr_cut": bool,
             "memory_peak_bytes": int, "oom_kills": int,
             "limits_enforced": dict,
             "refusals": list, "refused_total": int}
    check("--json: the keys", {k: type(v) for k, v in result.items()} == kinds,
          result)
    check("--json: the values", result["returncode"] == 3 and
          result["network_mode"] == "blocked" and
          result["refused_total"] == 1, result)
    refusal = result["refusals"][0]
    check("--json: the refusal", refusal["address"] == "203.0.113.7" and
          refusal["port"] == 443 and refusal["layer"] == "kernel" and
          refusal["count"] == 1, refusal)
    expect(run("run", "--json", path, "--cwd", "/none", "true"),
           "--json: the sandbox fails", 125, "", "cwd /none: ")
    with open(path, encoding="ascii") as f:
        result = json.load(f)
    check("--json: the sandbox fails", list(result) == ["error"] and
          result["error"]["code"] == "invalid" and
          result["error"]["step"] + result["error"]["object"] == "cwd/none",
          result)
    expect(run("run", "--json", "/no/such/file", "true"), "--json: no file",
           125, "", "/no/such/file")
    folder = place("json")
    path = os.path.join(folder, "result")
    expect(run("run", "-w", folder, "--json", path, "mkfifo", "result"),
           "--json: a FIFO that nobody reads", 125, "", "cannot write")
    r = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    expect(run("run", "--json", path, "true"), "--json: a FIFO", 0, "")
    with os.fdopen(r) as f:
        check("--json: a FIFO has it", json.load(f)["returncode"] == 0)
    mine = os.path.join(PLACE, "mine")
    os.mkdir(mine)
    for option in "-w", "--rw":
        folder = place(f"json{option}")
        link = os.path.join(PLACE, f"json-link{option}")
        os.symlink(os.path.join(folder, "out"), link)
        command = f"cd {folder}; mkdir -p out; mv out o2; ln -s {mine} out"
        make = ("run", option, folder, "-c", f"mkdir {folder}/out")
        expect(run(*make), f"{option}: a folder", 0, "")
        with open(os.path.join(mine, "result"), "w") as f:
            f.write("precious")
        path = os.path.join(link, "result")
        expect(run("run", option, folder, "--json", path, "-c", command),
               f"{option}: a link is put in the folder's place", 0, "")
        with open(os.path.join(folder, "o2", "result")) as f:
            check("--json: it is in the folder as it was",
                  json.load(f)["returncode"] == 0)
        for path in path, os.path.join(folder, "out", "result"):
            expect(run("run", option, folder, "--json", path, "-c",
                       "echo ran"), f"{option}: a link of an earlier run",
                   125, "", "symlink that a command could have made")
        with open(os.path.join(mine, "result")) as f:
            check("--json: a file of the caller's is as it was",
                  f.read() == "precious")
    for path, reason in ((PLACE, "Is a directory"),
                         (f"{PLACE}/", "Is a directory"),
                         (link, "Too many levels of symbolic links"),
                         (f"{PLACE}/no/x", "No such file"),
                         (f"{mine}/result/x", "Not a directory")):
        expect(run("run", "--json", path, "-c", "echo ran"),
               f"--json {path}: said at once", 125, "", reason)
    here = os.path.relpath(os.path.join(PLACE, "rel", "..", "relative"))
    os.mkdir(os.path.join(PLACE, "rel"))
    expect(run("run", "--json", here, "true"), "--json: relative", 0, "")
    with open(here) as f:
        check("--json: relative, it is there",
              json.load(f)["returncode"] == 0)


def audit():
    r, w = os.pipe()
    p = run("run", "--label", "mine", "--audit", f"fd:{w}", "python3", "-c",
            CONNECT, pass_fds=[w])
    os.close(w)
    expect(p, "--audit fd:N", 0, "")
    with os.fdopen(r) as f:
        lines = [json.loads(line) for line in f]
    denied = [e for e in lines if e.get("verdict") == "deny"]
    check("--audit: the refusal", len(denied) == 1 and
          denied[0]["address"] == "203.0.113.7" and
          denied[0]["label"] == "mine", lines)
    path = os.path.join(os.path.dirname(ENV["TMPDIR"]), "audit")
    for i in (1, 2):
        expect(run("run", "--audit", path, "python3", "-c", CONNECT),
               "--audit FILE", 0, "")
        with open(path) as f:
            n = sum(json.loads(e).get("verdict") == "deny" for e in f)
        check("--audit appends", n == i, n)


EVIL = b"a\x1b]0;x\x07\xc2\x9b31m\xe2\x80\xaeb\x9b\xff\x0dc"
# A name as a look-up, as SNI and as Host; what the gate says is printed.
NAMED = """
import socket, struct, sys
evil = sys.stdin.buffer.read()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(struct.pack("!6H", 1, 256, 1, 0, 0, 0) + bytes([len(evil)]) + evil +
         b"\\4test\\0\\0\\1\\0\\1", ("8.8.8.8", 53))
s.recv(512)
sni = struct.pack("!HHHBH", 0, len(evil) + 5, len(evil) + 3, 0, len(evil))
body = b"\\3\\3" + bytes(32) + b"\\0\\0\\2\\x13\\1\\1\\0"
body += struct.pack("!H", len(sni + evil)) + sni + evil
body = b"\\1\\0" + struct.pack("!H", len(body)) + body
for port, data in ((443, b"\\x16\\3\\1" + struct.pack("!H", len(body)) + body),
                   (80, b"GET / HTTP/1.1\\r\\nHost: " + evil + b"\\r\\n\\r\\n")):
    c = socket.create_connection(("203.0.113.7", port), 60)
    c.sendall(data)
    try:
        while said := c.recv(4096):
            sys.stdout.buffer.write(said.replace(b"\\r", b""))
    except OSError:
        pass
"""


def clean(what, *texts):
    """Nothing in them that moves a cursor or turns the writing."""
    for text in texts:
        shown = text.decode("utf-8", "surrogateescape")
        bad = [c for c in shown if c != "\n" and not c.isprintable()]
        check(f"{what}: clean", not bad, bad, text)


def hostile():
    path = place("evil.json", '{"version": 1, "k\\u001b\\u009b\\u202e": 1}')
    for args in (["run", EVIL], ["run", b"/" + EVIL], ["run", "--allow", EVIL],
                 ["run", "-w", b"/" + EVIL, "true"], ["run", b"--" + EVIL],
                 ["run", "--json", b"/no/" + EVIL, "true"],
                 ["run", "--allow-file", b"/no/" + EVIL, "true"],
                 ["policy", "check", path], ["policy", "check", EVIL],
                 ["policy", "test", "--allow", "a.test", EVIL],
                 ["policy", "presets", EVIL]):
        p = run(*args)
        check(f"{args}: refused", p.returncode not in (0, -6, -11), p)
        clean(args, p.stdout, p.stderr)
    result = os.path.join(os.path.dirname(ENV["TMPDIR"]), "evil-result")
    expect(run("run", "--json", result, b"/" + EVIL), "not UTF-8", 125, "",
           "argv[0]: not UTF-8")
    text = EVIL.decode("utf-8", "ignore").encode()
    expect(run("run", "--json", result, b"/" + text), "--json: any command",
           127, "", "a\\x1b")
    log = os.path.join(os.path.dirname(ENV["TMPDIR"]), "evil-audit")
    p = run("run", "--net", "open", "--deny", "x.test", "--explain", "--audit",
            log, "--", "/usr/bin/python3", "-c", NAMED, stdin=EVIL)
    check("names: refused", p.returncode == 0 and b"400 Bad" in p.stdout and
          p.stderr.count(b"exeat: refused") == 3, p)
    with open(log, "rb") as f:
        clean("names", p.stdout, p.stderr, f.read())


def work_dir():
    kept = place("kept")
    expect(run("run", "-w", kept, "-c", "echo kept > file; pwd"), "-w", 0,
           kept + "\n")
    expect(run("run", "-w", ".", "cat", "file", cwd=kept), "-w .", 0, "kept\n")
    check("the file is there", os.path.exists(f"{kept}/file"))


def authority():
    """--ca: programs inside believe it, and the machine's as well."""
    key, pem = (os.path.join(PLACE, x) for x in ("ca.key", "ca.pem"))
    p = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=Own Authority", "-keyout", key, "-out", pem],
        capture_output=True)
    check("a certificate", p.returncode == 0, p)
    os.chmod(pem, 0o644)
    names = ("import ssl; c = ssl.create_default_context().get_ca_certs();"
             "print(sum('Own Authority' in str(x) for x in c), len(c) > 1)")
    machine = os.path.exists("/etc/ssl/certs/ca-certificates.crt")
    expect(run("run", "--ca", pem, "python3", "-c", names), "--ca", 0,
           f"1 {machine}\n")
    expect(run("run", "--ca", pem, "-e", "SSL_CERT_FILE=mine", "-c",
               "echo $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS; "
               "echo x 2>&- >> $NODE_EXTRA_CA_CERTS || echo read-only"),
           "--ca: variables", 0, "mine /etc/exeat-ca.pem\nread-only\n", "")
    expect(run("run", "-c", "ls /etc/exeat-ca.pem; echo $SSL_CERT_FILE"),
           "without --ca", 0, "\n", "No such file")
    for what, path in (("no such file", "/nowhere"), ("no certificate", key)):
        expect(run("run", "--ca", path, "true"), f"--ca, {what}", 125, "",
               "ca_file")


def killed():
    p = subprocess.Popen([EXEAT, "run", "-c", "echo up; sleep 1000"],
                         stdout=subprocess.PIPE, env=ENV)
    p.stdout.readline()
    p.kill()
    p.wait()
    p.stdout.close()
    left = [x for x in left_behind() if "process" in x]
    check("KILL: every process goes", not left, *left)
    expect(run("run", "true"), "the next one sweeps", 0, "")


status()
streams()
signals()
reports()
json_file()
audit()
hostile()
work_dir()
authority()
killed()
finish()
