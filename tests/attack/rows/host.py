"""E, G, K: the host's own services and files, and what a start must have.

SPDX-License-Identifier: Apache-2.0
"""

import os

from world import lib
from world.sockets import HostSockets

from . import ALLOW, BLOCKED, OPEN, deny

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
]
