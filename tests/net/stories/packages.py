"""One session: what a run installs the next one uses, blocked.

SPDX-License-Identifier: Apache-2.0

Each package manager with its own cache, all of them below the work dir; a
second session on the same work dir finds them, one on another does not.
"""

import os
import shutil

from world import lib, registry
from world.space import skip
from world.store import Store

from . import Checks
from .clients_native import CARGO, GO_MOD
from .registries import CALLERS  # noqa: F401
from .sessions import Drive

ANSWER = registry.ANSWER
CDN = "cdn.test"
PIP = ("PIP_INDEX_URL=https://index.test/simple/ pip install -q --no-input "
       "--disable-pip-version-check --retries 0 {}")
NPM = ("NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "
       "npm_config_registry=https://registry.test npm install --no-fund "
       "--no-audit --fetch-retries=0 {} exeat-demo")
CARGO_ENV = ("CARGO_REGISTRIES_DEMO_INDEX=sparse+https://crates.test/index/ "
             "CARGO_NET_RETRY=0 CARGO_BUILD_JOBS=1 ")
CARGO_MAIN = 'fn main() { println!("{}", exeatdemo::ANSWER); }\n'
GO_ENV = "GOPROXY={} GOFLAGS=-mod=mod GONOSUMDB=* GONOSUMCHECK=1 GOSUMDB=off "
GO_MAIN = (f'package main\n\nimport "{registry.MODULE}"\n\n'
           "func main() { print(answer.Is) }\n")

# A source archive whose builder is in it, so that nothing else is fetched.
BUILDER = f"""import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "exeatsource-1.0-py3-none-any.whl"
    info = "exeatsource-1.0.dist-info/"
    with zipfile.ZipFile(folder + "/" + name, "w") as z:
        z.writestr("exeatsource.py", "ANSWER = {ANSWER!r}\\n")
        z.writestr(info + "METADATA", "Metadata-Version: 2.1\\n"
                   "Name: exeatsource\\nVersion: 1.0\\n")
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\n"
                   "Root-Is-Purelib: true\\nTag: py3-none-any\\n")
        z.writestr(info + "RECORD", "")
    return name
"""
PROJECT = """[build-system]
requires = []
build-backend = "builder"
backend-path = ["."]
"""


def source_archive(store):
    """`exeatsource`, for pip to build."""
    top = "exeatsource-1.0/"
    data = registry.tar({top + "pyproject.toml": PROJECT,
                         top + "builder.py": BUILDER,
                         top + "PKG-INFO": "Metadata-Version: 2.1\n"
                                           "Name: exeatsource\nVersion: 1.0\n"})
    path = "/packages/exeatsource-1.0.tar.gz"
    store.put("files.index.test", path, data)
    store.put("index.test", "/simple/exeatsource/",
              f'<a href="https://files.index.test{path}#sha256='
              f'{registry.sha256(data)}">exeatsource-1.0.tar.gz</a>',
              "text/html")


class Session(Drive):
    def __init__(self, checks, work):
        super().__init__(checks.world, work)
        self.checks = checks

    def step(self, what, rules, command, says="", code=0):
        end, out = self.run("-" if rules else "blocked",
                            ",".join(rules) or "-", command + " 2>&1")
        self.checks.check(what, end == f"end {code}" and
                          says in "\n".join(out), end, *out)
        return out


class Packages(Checks):
    def __init__(self, world):
        super().__init__()
        self.world, self.store = world, Store(world.root)

    def have(self, program):
        """The program; where it must not be missing, that is a failure."""
        if shutil.which(program, path=lib.SYSTEM_PATH):
            return True
        if os.environ.get("EXEAT_MUST_RUN") == "1":
            self.check(f"{program} is installed", False)
        print(f"# {program} is not installed", flush=True)
        return False


def file(name, text):
    """A command that makes a file."""
    folder = os.path.dirname(name) or "."
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("'", "'\\''")
    return f"mkdir -p {folder} && printf %b '{text}' > {name}"


def pip(session):
    for package in ("exeatdemo", "exeatsource"):
        kind = "wheel" if package == "exeatdemo" else "source"
        session.step(f"pip: a {kind} is installed",
                     ["index.test", "files.index.test"], PIP.format(package))
        session.step(f"pip: and used by the next run ({kind})", [],
                     f"python -c 'import {package}; print({package}.ANSWER)'",
                     ANSWER)


def npm(session):
    hosts = ["registry.test", "files.registry.test", CDN]
    session.step("npm: installed", hosts, NPM.format("--prefix js"))
    session.step("npm: used", [], "cd js && node -e "
                 "\"console.log(require('exeat-demo'))\"", ANSWER)
    session.step("npm: a program is installed", hosts, NPM.format("-g"))
    session.step("npm: and found by its name", [], "exeat-demo", ANSWER)


def cargo(session):
    session.step("cargo: a project", [], " && ".join(
        [file("rust/Cargo.toml", CARGO), file("rust/src/main.rs",
                                              CARGO_MAIN)]))
    session.step("cargo: fetched", ["crates.test", "files.crates.test", CDN],
                 f"cd rust && {CARGO_ENV} cargo fetch -q")
    session.step("cargo: built, and what was built is run", [],
                 f"cd rust && {CARGO_ENV} cargo build -q --offline && "
                 "exec target/debug/project", ANSWER)
    session.step("cargo: a program is installed", [], f"cd rust && {CARGO_ENV} "
                 "cargo install -q --offline --debug --path .")
    session.step("cargo: and found by its name", [], "project", ANSWER)


def go(session):
    session.step("go: a project", [], " && ".join(
        [file("go/go.mod", GO_MOD), file("go/main.go", GO_MAIN)]))
    session.step("go: fetched", ["goproxy.test", CDN], "cd go && " +
                 GO_ENV.format("https://goproxy.test") + "go mod download")
    session.step("go: built, and what was built is run", [], "cd go && " +
                 GO_ENV.format("off") + "go build -p 1 -o main . && exec "
                 "./main", ANSWER)
    session.step("go: a program is installed", [], "cd go && " +
                 "rm -f ~/.local/bin/project && " + GO_ENV.format("off") +
                 "go install -p 1 .")
    session.step("go: and found by its name", [], "project", ANSWER)


TOOLS = (("pip3", registry.python, pip), ("npm", registry.node, npm),
         ("cargo", registry.rust, cargo), ("go", registry.go, go))


def surroundings(session, work):
    """The folders and the environment that a session brings."""
    kept = os.path.join(work, ".exeat")
    with open(os.path.join(kept, ".gitignore"), encoding="ascii") as f:
        session.checks.check("all of it is nothing to git", f.read() == "*\n")
    session.checks.check(
        "the virtual environment is there before any run",
        os.path.exists(os.path.join(kept, "venv", "pyvenv.cfg")))
    session.step("where programs are looked for, and HOME", [],
                 "echo $PATH $HOME",
                 f"/run/exeat/bin:{kept}/venv/bin:{kept}/home/.local/bin:"
                 f"/usr/local/sbin:")
    session.step("the caller's home is not seen", [],
                 f"test ! -e {session.checks.world.home}")


def story(world):
    if not os.access(os.environ.get("EXEAT_DRIVE", ""), os.X_OK):
        skip("the driver is not built")
    checks = Packages(world)
    work = world.folder("packages")
    session = Session(checks, work)
    session.step("a session", [], "true")
    surroundings(session, work)
    source_archive(checks.store)
    for program, store, use in TOOLS:
        if checks.have(program):
            store(checks.store)
            use(session)
    checks.check("the session ends", session.end() == 0)
    again = Session(checks, work)
    other = Session(checks, world.folder("packages-other"))
    if checks.have("pip3"):
        use = "python -c 'import exeatdemo; print(exeatdemo.ANSWER)'"
        again.step("a second session of the work dir has it", [], use, ANSWER)
        other.step("one of another work dir has not", [], use,
                   "No module named", 1)
    again.end()
    other.end()
    return checks.status()
