"""What stories of package managers share: hosts, packets, one step.

SPDX-License-Identifier: Apache-2.0

Each step is judged by the sniffer, too: the allowed names are asked for, their
addresses are reached, and nothing else leaves the host.
"""

import os
import shutil

from world import dns, judge, lib
from world.space import skip
from world.store import Store

from . import Checks, equip

CALLERS = ("root", "user")   # to a client, `oneid` is `user`
CLIENT_S = 120           # a client's time when the machine is busy
# npm's clients, where core/packaging/setup puts what Debian has not
NODE_CLIENTS = "/usr/local/lib/exeat-clients/node_modules"


class Client(Checks):
    def __init__(self, world, env=()):
        super().__init__()
        self.world, self.env = world, list(env)
        self.work = equip(world, "work")
        self.store = Store(world.root)
        self.zone = dns.load(world.zone)

    def have(self, what):
        """Is this program, or file, of a client's here? Says so if not."""
        if shutil.which(what, os.F_OK, lib.SYSTEM_PATH) or \
                os.path.isabs(what) and os.path.exists(what):
            return True
        if os.environ.get("EXEAT_MUST_RUN") == "1":
            self.check(f"{what} is installed", False)
        else:
            print(f"# {what} is not installed", flush=True)
        return False

    def fresh(self, name):
        """Go on in another work dir, without caches."""
        self.work = equip(self.world, name)

    def status(self):
        return super().status() if self.done else skip("no client is here")

    def folder(self, *names):
        """A folder of the work dir."""
        path = self.work
        for name in names:
            path = os.path.join(path, name)
            self.world.folder(os.path.relpath(path, self.world.tmp))
        return path

    def put(self, name, text):
        """A file of the work dir."""
        *folders, name = name.split("/")
        draft = os.path.join(self.world.root, "draft")
        with open(draft, "w", encoding="utf-8") as f:
            f.write(text)
        return self.world.put(self.folder(*folders), draft, name)

    def reach(self, names, port):
        """Packets to any address that these names have."""
        return [f"tcp {address} {port}" for name in names
                for turn in [self.zone[name], *self.zone[name].get(
                    "sequence", [])]
                for kind in ("A", "AAAA") for address in turn.get(kind, [])]

    def step(self, what, names, command, code=0, says=(), more=(), asks=None,
             port=443):
        """Run a command that may reach the names; they are asked for, or
        those of `asks` are, and nothing else; code "fails": its own error."""
        options = ["-w", self.work, "--explain", *more]
        for name in names:
            options += ["--allow", name]
        for pair in self.env:
            options += ["-e", pair]
        asks = names if asks is None else asks
        mark = self.world.mark()
        r = self.world.exeat(options, command, timeout=CLIENT_S)
        wrong = judge.judge_packets(
            self.world.seen(mark), [f"dns {n}" for n in asks],
            [f"dns {n}" for n in names] + self.reach(names, port))
        # below 0: a signal, the test's own when it took too long
        if (r.code <= 0 if code == "fails" else r.code != code):
            wrong.append(f"exit status {r.code}")
        wrong += [f"{part!r} is not in it" for part in says
                  if part not in r.out + r.err]
        self.check(what, not wrong, *wrong, r)
        return r, self.world.log("http", mark)

    def refused(self, what, names, command, name, **how):
        """A name too few: the command fails, and is told the rule."""
        return self.step(what, names, command, "fails",
                         ["exeat: refused ", f"--allow '{name}'",
                          *how.pop("says", ())], **how)
