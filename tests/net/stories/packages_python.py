"""A machine without Python, and one with a uv of the caller's own.

SPDX-License-Identifier: Apache-2.0

Python goes by a folder of links in place of /usr/bin, and comes back. uv is
no package of Debian's: it is tried where the machine has it.
"""

import os
import shutil
import subprocess

from world import lib, registry
from world.space import skip
from world.store import Store

from . import Checks
from .clients_python import FILES, INDEX
from .registries import CALLERS, CLIENT_S  # noqa: F401

BIN = "/usr/bin"
# A folder in view that few machines use: where the real one is meanwhile.
ASIDE = "/usr/games"
SCRIPT = "import exeatdemo; print(exeatdemo.ANSWER)"
# Whom uv trusts depends on its version: told, it is one file.
UV = {"UV_DEFAULT_INDEX": "https://index.test/simple/",
      "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
      "UV_PYTHON_DOWNLOADS": "never"}


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def without_python(world):
    """Links to all programs but Python's in place of /usr/bin."""
    folder = os.path.join(world.root, "bin")
    os.mkdir(folder)
    for name in os.listdir(BIN):
        if not name.startswith(("python", "pip")):
            os.symlink(os.path.join(ASIDE, name), os.path.join(folder, name))
    mount("--bind", BIN, ASIDE)
    mount("--bind", folder, BIN)


def with_python():
    subprocess.run(["umount", BIN], check=True)
    subprocess.run(["umount", ASIDE], check=True)


class Machine(Checks):
    def __init__(self, world):
        super().__init__()
        self.world = world
        self.work = world.folder("work")

    def step(self, what, options, command, code=0, says="", env=None):
        r = self.world.exeat(["-w", self.work, *options], command, env=env,
                             timeout=CLIENT_S)
        self.check(what, r.code == code and says in r.out + r.err, r)


def absent(machine):
    world = machine.world
    without_python(world)
    try:
        machine.step("no Python: a session, and no environment in it", [],
                     ["sh", "-c", "echo \"<$VIRTUAL_ENV>\"; ! python3 -V"],
                     says="<>\n")
        script = os.path.join(world.tmp, "script.py")
        with open(script, "w", encoding="ascii") as f:
            f.write("print(6 * 7)\n")
        r = world.run([lib.product(), "run", "-w", machine.work, "--python",
                       script])
        machine.check("no Python: a script for it says what is missing",
                      r.code == 127 and "install python3" in r.err, r)
    finally:
        with_python()
    machine.step("it was installed: the work dir has its environment", [],
                 ["python", "-c", "import sys; print(sys.prefix)"],
                 says=f"{machine.work}/.exeat/venv\n")


def find_uv():
    """The machine's, of whoever started the tests."""
    found = shutil.which("uv")
    if not found:
        return None
    with open(found, "rb") as f:
        return found if f.read(4) == b"\x7fELF" else None


def uv(machine, program):
    """As README says it: nothing is prepared, nothing is activated."""
    world = machine.world
    folder = os.path.join(world.root, "tools")
    os.mkdir(folder)
    shutil.copy(program, os.path.join(folder, "uv"))
    os.chmod(os.path.join(folder, "uv"), 0o755)
    options = [f"-e{key}={value}" for key, value in UV.items()]
    allow = ["--allow", INDEX, "--allow", FILES]
    env = {"PATH": f"{folder}:{lib.SYSTEM_PATH}"}

    def step(what, more, command, code=0, says=""):
        machine.step(f"uv: {what}", [*options, *more], command, code, says,
                     env)

    step("that of the caller's PATH", [], ["sh", "-c", "command -v uv"], 0,
         "/run/exeat/bin/uv" if os.path.dirname(program) not in
         lib.SYSTEM_PATH.split(":") else "uv")
    step("blocked, it installs nothing", [],
         ["sh", "-c", "! uv pip install exeatdemo"])
    step("installed", allow, ["uv", "pip", "install", "exeatdemo"])
    step("used by the next run", [], ["python", "-c", SCRIPT], 0,
         registry.ANSWER)
    step("its cache is below HOME", [],
         ["sh", "-c", "test -e \"$(uv cache dir)\" && uv cache dir"], 0,
         f"{machine.work}/.exeat/home/")
    step("a script", [], ["sh", "-c", f"echo '{SCRIPT}' > s.py && uv run s.py"],
         0, registry.ANSWER)
    step("another environment of it from the cache, offline", [],
         ["sh", "-c", "uv venv -q other && VIRTUAL_ENV=$PWD/other uv pip "
          f"install -q --offline exeatdemo && other/bin/python -c '{SCRIPT}'"],
         0, registry.ANSWER)


def story(world):
    machine, program = Machine(world), find_uv()
    if os.path.exists("/usr/local/bin/python3") or not os.path.isdir(ASIDE):
        print("# this machine's Python cannot be hidden", flush=True)
    else:
        absent(machine)
    if program:
        registry.python(Store(world.root))
        uv(machine, program)
    else:
        print("# uv is not installed", flush=True)
    return machine.status() if machine.done else skip("neither can be tried")
