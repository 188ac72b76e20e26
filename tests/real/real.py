"""Package managers and their real registries: install, use, be refused.

Usage: real.py npm|apt|pip|uv EXEAT

No host is named here: the clients know theirs. Each is asked first, outside;
when it gets no answer, or is not installed, the test is skipped (77), also
where EXEAT_MUST_RUN forbids skips: that is about what this machine can do.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

SKIP = 77
ANSWER_S = 60           # for a registry
INSTALL_S = 150


class Failed(Exception):
    pass


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIP)


def call(argv, cwd, limit):
    """Exit status, all output, seconds; status None: not within the limit."""
    begin = time.monotonic()
    try:
        done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit,
                              text=True, errors="replace", check=False)
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        status, text = None, str(expired.stdout or "")
    took = time.monotonic() - begin
    print(f"[{status}, {took:.2f} s] {' '.join(argv)}")
    return status, text, took


class Client:
    """One client's commands, what using prints, seconds of a refusal beyond
    those that the client needs for an answer, twice. `first` brings the
    client itself; `control` is for outside, where `install` must not be."""
    def __init__(self, program, preset, ask, install, use, expect, refused_s,
                 first=None, control=None):
        self.program, self.preset, self.ask = program, preset, ask
        self.install, self.use, self.expect = install, use, expect
        self.refused_s, self.first = refused_s, first
        self.control = control or install


PIP = ["pip", "install", "-q", "--no-input", "--disable-pip-version-check"]
ASK_PIP = ["/usr/bin/python3", "-m", "pip", "download", "-q", "--no-input",
           "--disable-pip-version-check", "--retries", "0", "--no-deps", "-d",
           "."]
USE_SIX = ["python", "-c", "import six, sys; print(sys.prefix, six.__file__)"]


CLIENTS = {
    "npm": Client(
        "npm", "@npm",
        ["npm", "view", "--fetch-retries=0", "is-number", "version"],
        ["npm", "install", "--no-fund", "--no-audit", "is-number"],
        ["node", "-e", "console.log(require('is-number')(5))"], "true",
        refused_s=2),
    "apt": Client(
        "apt-get", "@debian",
        ["apt-get", "-o", "Acquire::Retries=0", "download", "hello"],
        ["apt-get", "download", "hello"],
        ["sh", "-c", "dpkg-deb -I hello_*.deb"], "Package: hello",
        # three retries with pauses: no variable tells it not to
        refused_s=30),
    "pip": Client(
        "pip3", "@pypi", [*ASK_PIP, "six"], [*PIP, "--ignore-installed", "six"],
        USE_SIX, "/.exeat/venv/lib/", refused_s=2,
        control=[*ASK_PIP, "six"]),
    # in the environment that is there, by a program that pip put into it
    "uv": Client(
        "pip3", "@pypi", [*ASK_PIP, "uv"],
        ["uv", "pip", "install", "--reinstall", "six"],
        USE_SIX, "/.exeat/venv/lib/", refused_s=2, first=[*PIP, "uv"],
        control=[*ASK_PIP, "six"]),
}


def test(client, exeat, folder):
    outside = os.path.join(folder, "outside")
    for name in ("outside", "work", "empty"):
        os.mkdir(os.path.join(folder, name))
    status, text, answered = call(client.ask, outside, ANSWER_S)
    if status != 0:
        last = (text.strip().splitlines() or ["no answer"])[-1]
        skip(f"no registry answers {client.program}: {last}")

    def run(where, *argv, limit=INSTALL_S):
        return call([exeat, "run", "-w", ".", "--explain", *argv],
                    os.path.join(folder, where), limit)

    for where in ("work", "empty") if client.first else ():
        status, text, _ = run(where, "--allow", client.preset, "--",
                              *client.first)
        if status != 0:
            raise Failed(f"no {client.install[0]}:\n{text}")
    status, text, _ = run("work", "--allow", client.preset, "--",
                          *client.install)
    if status != 0:
        # the control: the registry may be what failed
        if call(client.control, outside, INSTALL_S)[0] != 0:
            skip(f"no installation by {client.program} outside, either")
        raise Failed(f"the installation failed:\n{text}")
    status, text, _ = run("work", "--", *client.use)
    if status != 0 or client.expect not in text:
        raise Failed(f"what was installed does not work:\n{text}")

    # an empty work dir has no cache to take it from
    status, text, took = run("empty", "--", *client.install)
    if status in (0, None):
        raise Failed(f"blocked, and yet: {status}\n{text}")
    if took > client.refused_s + 2 * answered:
        raise Failed(f"the refusal took {took:.1f} s\n{text}")
    if "exeat: refused " not in text or "--allow" not in text:
        raise Failed(f"the refusal is not explained:\n{text}")


def main(name, exeat):
    client = CLIENTS[name]
    if not shutil.which(client.program):
        skip(f"{client.program} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        try:
            test(client, os.path.abspath(exeat), folder)
        except Failed as failed:
            print(f"FAIL: {failed}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
