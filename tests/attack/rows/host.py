"""E, G, K: the host's own services and files, and what a start must have.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil

from world import lib
from world.sockets import HostSockets

from . import ALLOW, BLOCKED, NO_NAME, OPEN, REFUSED, deny

EVERY = [BLOCKED, ALLOW, OPEN]
GONE = {"errno": ("ENOENT", "EACCES", "ECONNREFUSED", "EPERM"),
        "step": "connect"}
MADE = {"made": True}
# Who reaches one of these acts for the user, outside.
SERVICES = ("/run/docker.sock", "/run/podman/podman.sock",
            "/run/containerd/containerd.sock", "/run/systemd/private",
            "/run/dbus/system_bus_socket", "/run/user/1000/bus",
            "@/containerd-shim/moby/1/shim.sock@", "@docker.sock",
            "@/tmp/dbus-AbCdEf")
DESKTOP = ("@/tmp/.X11-unix/X0", "/run/user/1000/wayland-0",
           "/run/user/1000/gnupg/S.gpg-agent", "/run/user/1000/keyring/ssh",
           "@/tmp/.ICE-unix/7")
# How programs find them.
FOUND_BY = {"SSH_AUTH_SOCK": "/run/user/1000/keyring/ssh",
            "DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0",
            "XDG_RUNTIME_DIR": "/run/user/1000",
            "DOCKER_HOST": "unix:///run/docker.sock",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus"}
# The libraries of the host's own programs ask there for users.
ASKED = ("/run/dbus/system_bus_socket", "/run/systemd/private")


def listening(paths):
    def before(world, _work):
        return HostSockets(world, paths, unlogged=ASKED)
    return before


def has_none(out):
    """names no way to a service of the host's"""
    return not any(line.split("=")[0] in FOUND_BY
                   for line in out.splitlines())


def has_all(out):
    """names all of them"""
    return all(f"{k}={v}" in out.splitlines() for k, v in FOUND_BY.items())


def connects(paths):
    return [["unix_connect", p] for p in paths]


def from_outside(paths):
    return {"outside": True, "try": connects(paths), "says": MADE}


# ---- files of the host's ----

TARGET, NAME = "203.0.113.66", "evil.test"
POLICY = """{"version": 1, "network_mode": "allowlist",
"network_allowlist": ["allowed.test"]}
"""
OPENED = '{"version": 1, "network_mode": "open"}'
NO_FILE = {"errno": ("EROFS", "EACCES", "ENOENT", "EPERM")}


def policy_in(folder):
    """A policy that, by its mode, anybody may write."""
    def before(world, work):
        path = _filled(folder, world, work)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o777)
        with open(os.path.join(path, "policy.json"), "w",
                  encoding="ascii") as f:
            f.write(POLICY)
        os.chmod(os.path.join(path, "policy.json"), 0o666)
    return before


def policy_below(world, work):
    policy_in("{work}/conf/deep")(world, work)
    os.chmod(os.path.join(work, "conf"), 0o777)


def link_to(folder):
    """The policy lies where no run gets; the link to its folder does not."""
    def before(world, work):
        policy_in(folder)(world, work)
        os.symlink(_filled(folder, world, work), os.path.join(work, "link"))
    return before


def second_name(world, work):
    policy_in("{work}")(world, work)
    os.link(os.path.join(work, "policy.json"), os.path.join(work, "second"))


def password_in(folder):
    def before(world, work):
        path = _filled(folder, world, work)
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "proxy"), "w", encoding="ascii") as f:
            f.write("http://user:hunter2@192.0.2.1:3128\n")
    return before


def unchanged(folder):
    def after(world, work):
        path = os.path.join(_filled(folder, world, work), "policy.json")
        with open(path, encoding="ascii") as f:
            text = f.read()
        return [] if text == POLICY else [f"its policy is now {text!r}"]
    return after


def _filled(folder, world, work):
    return folder.replace("{tmp}", world.tmp).replace("{work}", work)


def rewriting(path):
    """Open everything, then go there."""
    return [["write", path, OPENED], ["tcp", TARGET, "80"],
            ["resolve", NAME], ["tcp", TARGET, "80"]]


# From the inside out: each is there for the next.
KEPT = ["{work}/conf/deep/policy.json", "{work}/conf/deep", "{work}/conf"]
GOES = {"options": ["--allow", TARGET], "try": [["tcp", TARGET, "22"]],
        "says": {"data": "SSH-2.0-World\r\n"}, "sees": [f"tcp {TARGET} 22"]}

# ---- a kernel that lacks something ----

# What the product says that helps.
LINUX, CONTAINER = "it takes Linux 5.", "in a container: "
WITHOUT = os.path.join(os.path.dirname(lib.__file__), "without.py")


def without(what):
    def under(_world):
        return ["/usr/bin/python3", "-B", WITHOUT, what]
    return under


def lacking(letter, what, *said):
    """The product does not begin, and says why."""
    return {"id": "G10" + letter, "title": "a kernel without " + what,
            "options": ALLOW, "under": without(what),
            "try": [["write", "{work}/ran", "x"]], "refuses": said,
            "after": lambda _world, work:
                ["the command ran"] if os.path.exists(work + "/ran") else [],
            "control": {**GOES, "under": without("nothing")}}


# ---- programs ----

def setuid_program(world, _work):
    """Root's program, setuid, where the payload can execute it."""
    path = os.path.join(world.tmp, "setuid")
    os.makedirs(path, exist_ok=True)
    file = os.path.join(path, "python")
    shutil.copy(os.path.realpath("/usr/bin/python3"), file)
    os.chmod(file, 0o4755)


WHO = ["{tmp}/setuid/python", "-c", "import os; print(os.geteuid())"]


def static_client(world, work):
    world.put(work, os.environ["EXEAT_RAWCONNECT"], "rawconnect")


def raw(address):
    return ["program", "{work}/rawconnect", address, "80",
            "GET / HTTP/1.0\r\n\r\n"]


# What would be more than a rule if anybody pasted it into a text.
ODD = ('allowed.test"; accept; "', "allowed.test\n0.0.0.0/0",
       "allowed.test }; flush ruleset", "allowed.test\t*", "a:b:c.test",
       "$(id).test", "a" * 64 + ".test", "\033[2J.test", "@../../etc/passwd",
       "@npm\nx", "203.0.113.66%wan0", "203.0.113.66/0x20")

ROWS = [
    {"id": "E14", "title": "D-Bus, docker, containerd, systemd of the host",
     "options": EVERY, "before": listening(SERVICES),
     "try": connects(SERVICES), "says": GONE,
     "control": from_outside(SERVICES)},

    {"id": "E14b", "title": "the same in folders that are shown",
     "options": [[*mode, "--ro", "/run/user/1000", "--rw", "/run/podman"]
                 for mode in EVERY],
     "before": listening(SERVICES),
     "try": connects(("/run/user/1000/bus", "/run/podman/podman.sock")),
     "says": GONE, "control": from_outside(SERVICES)},

    {"id": "E15", "title": "X11, Wayland, the agents of ssh and gpg",
     "options": EVERY, "before": listening(DESKTOP), "env": FOUND_BY,
     "try": [*connects(DESKTOP), ["program", "env"]],
     "says": [GONE] * len(DESKTOP) + [{"out": has_none}],
     "control": {**from_outside(DESKTOP), "env": FOUND_BY,
                 "try": [*connects(DESKTOP), ["program", "env"]],
                 "says": [MADE] * len(DESKTOP) + [{"out": has_all}]}},

    {"id": "E11", "title": "a static program, system calls alone",
     "options": [BLOCKED, ALLOW], "needs": ["$EXEAT_RAWCONNECT"],
     "before": static_client, "try": [raw(TARGET)],
     "says": {"code": 111, "out": ""},
     "audit": [deny(layer="kernel", address=TARGET, port=80)],
     "control": {"options": ["--allow", TARGET], "try": [raw(TARGET)],
                 "says": {"code": 0, "out": lambda o: "hello" in o},
                 "sees": [f"tcp {TARGET} 80"]}},

    {"id": "G9", "title": "the policy's file",
     "options": ["--policy", "{tmp}/policy/policy.json"],
     "before": policy_in("{tmp}/policy"), "after": unchanged("{tmp}/policy"),
     "try": rewriting("{tmp}/policy/policy.json"),
     "says": [NO_FILE, REFUSED, NO_NAME, REFUSED],
     "audit": [deny(layer="kernel", address=TARGET, port=80)],
     "control": {"outside": True,
                 "try": [["write", "{tmp}/policy/policy.json", OPENED]],
                 "says": {"wrote": lambda w: True}}},

    {"id": "G9b", "title": "the same in the work dir, while it is in force",
     "options": ["--policy", "{work}/policy.json"],
     "before": policy_in("{work}"), "after": unchanged("{work}"),
     "try": rewriting("{work}/policy.json"),
     "says": [{"errno": "EROFS"}, REFUSED, NO_NAME, REFUSED],
     "audit": [deny(layer="kernel", address=TARGET, port=80)],
     "control": {**GOES, "outside": True,
                 "try": [["write", "{work}/policy.json", OPENED]],
                 "says": {"wrote": lambda w: True}, "sees": []}},

    {"id": "G9c", "title": "its folder there, moved out of the way",
     "options": ["--policy", "{work}/conf/deep/policy.json"],
     "before": policy_below,
     "after": unchanged("{work}/conf/deep"),
     "try": [["program", "mv", path, path + ".old"] for path in KEPT],
     "says": {"code": 1, "err": lambda e: "busy" in e},
     "control": {"outside": True,
                 "try": [["program", "mv", path, path + ".old"]
                         for path in KEPT],
                 "says": {"code": 0}}},

    {"id": "G9d", "title": "a link in the work dir that leads to it",
     "options": ["--policy", "{work}/link/policy.json"],
     "before": link_to("{tmp}/policy-d"),
     "try": [["write", "{work}/ran", "x"]], "refuses": ["symlink"],
     "control": GOES},

    {"id": "G9e", "title": "another hard link of it",
     "options": ["--policy", "{work}/policy.json"],
     "before": second_name, "try": [["write", "{work}/ran", "x"]],
     "refuses": ["hard links"],
     "control": GOES},

    {"id": "G9f", "title": "the proxy's password, in a file of the work dir",
     "options": ["--upstream-proxy", "@{work}/conf/proxy"],
     "before": password_in("{work}/conf"),
     "try": [["program", "cat", "{work}/conf/proxy"],
             ["program", "mv", "{work}/conf", "{work}/former"],
             ["write", "{work}/conf/proxy", "http://evil.test"]],
     "says": [{"code": 0, "out": ""}, {"code": 1}, {"errno": "EROFS"}],
     "control": {"outside": True,
                 "try": [["program", "cat", "{work}/conf/proxy"]],
                 "says": {"out": lambda o: "hunter2" in o}}},

    lacking("a", "nf_tables", "NETLINK_NETFILTER", "modprobe"),
    lacking("b", "tproxy", "IP_TRANSPARENT", LINUX, CONTAINER),
    lacking("c", "user namespaces", "user namespaces are not available",
            CONTAINER),
    lacking("d", "network namespaces", "network namespace unshare",
            "CONFIG_NET_NS", CONTAINER),
    lacking("e", "seccomp", "system call filter", "CONFIG_SECCOMP_FILTER"),
    lacking("f", "pidfd", "make session", "Linux 5.3", CONTAINER),
    lacking("g", "mounts by descriptor", "make root tmpfs", LINUX, CONTAINER),
    lacking("h", "leave for mounts", "make root tmpfs", LINUX, CONTAINER),
    lacking("i", "leave for setns", "enter network namespace setns",
            CONTAINER),

    {"id": "G11", "title": "odd names and rules in the policy",
     "options": [["--allow", rule] for rule in ODD],
     "try": [["tcp", TARGET, "80"]], "refuses": ["allow[0]"],
     "control": GOES},

    {"id": "G14b", "title": "a setuid program of root's", "kinds": ("root",),
     "options": [[*mode, "--ro", "{tmp}/setuid"] for mode in EVERY],
     "before": setuid_program, "try": [["program", *WHO]],
     "says": {"code": 0, "out": f"{lib.OWNER_UID}\n"},
     "control": {"outside": True,
                 "try": [["program", "setpriv", "--reuid", "1000", "--regid",
                          "1000", "--clear-groups", *WHO]],
                 "says": {"code": 0, "out": "0\n"}}},

    {"id": "K5", "title": "a command that hides its refusals",
     "options": [[*ALLOW, "--fail-on-deny"], [*BLOCKED, "--fail-on-deny"]],
     "try": [["resolve", NAME], ["tcp", TARGET, "80"]],
     "says": [NO_NAME, REFUSED], "code": 123,
     "audit": [deny(layer="dns", name=NAME),
               deny(layer="kernel", address=TARGET, port=80)],
     "control": {**GOES, "options": ["--allow", TARGET, "--fail-on-deny"]}},
]
