# etc.py - what is ours of /etc stays ours while the host changes its own
# SPDX-License-Identifier: Apache-2.0
"""In a mount namespace of the test's own, where /etc is a copy: once as one
directory, once with a mount below it, as containers have."""
import os
import shutil
import subprocess
import sys

if os.environ.get("EXEAT_TEST_ETC") is None:
    os.environ["EXEAT_TEST_ETC"] = "1"
    WAY = ["-m"] if os.geteuid() == 0 else ["-Urm"]
    if subprocess.run(["unshare", *WAY, "true"], check=False).returncode:
        print("skip: no mount namespace of our own here")
        sys.exit(77)
    os.execvp("unshare", ["unshare", *WAY, sys.executable, "-B", *sys.argv])

# after the test has a namespace: it makes folders
from command import ENV, EXEAT, PLACE, check, finish  # noqa: E402

OURS = ["resolv.conf", "hosts", "passwd", "group", "hostname",
        "nsswitch.conf"]
MARK = "of the host, later"
SECRET = "apt/auth.conf"
ETC = os.path.join(PLACE, "etc")
os.mkdir(ETC)
ORDER = " ".join("/etc/" + name for name in OURS + [SECRET])


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def copy_of_etc():
    """The few that a session needs; large folders are left out."""
    mount("-t", "tmpfs", "-o", "mode=755", "etc", ETC)
    for entry in os.scandir("/etc"):
        if entry.is_file() and os.access(entry.path, os.R_OK):
            shutil.copy(entry.path, ETC)
    os.mkdir(os.path.join(ETC, "apt"))
    mount("--bind", ETC, "/etc")


def put(path, text):
    """As those do who change it: a new file, put in its place."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)


def change(text, keep):
    for name in OURS + [SECRET]:
        if name not in keep:
            put("/etc/" + name, text)


def look(what, keep=()):
    """A run that looks, lets the host change everything, and looks again."""
    change("of the host\n", keep)
    # what is inside has the host's lines, too
    put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    put("/etc/group", "root:x:0:\n")
    p = subprocess.Popen(
        [EXEAT, "run", "--", "sh", "-c",
         f"cat {ORDER} 2>/dev/null; echo; read go; cat {ORDER}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=ENV)
    before = []
    for line in p.stdout:
        if line == "\n":
            break
        before.append(line)
    change(MARK + "\n", keep)
    after, errors = p.communicate("go\n", timeout=60)
    before = "".join(before)
    check(f"{what}: at first", "nameserver 192.0.0.5\n" in before and
          "of the host" not in before, before, errors)
    check(f"{what}: later", "nameserver 192.0.0.5\n" in after and
          MARK not in after and after.startswith(before), after, errors)
    check(f"{what}: a name that is masked is not there", SECRET in errors,
          errors)


copy_of_etc()
look("one directory")
mount("--bind", "/etc/host.conf", "/etc/hosts")
look("with a mount below it", ["hosts"])
subprocess.run(["umount", "-R", "/etc", ETC], check=True)
finish()
