"""git over https, ssh and git://: cloned, pushed, fetched by another clone.

SPDX-License-Identifier: Apache-2.0

The servers are git's own and Debian's sshd, unprivileged, with keys made for
this test; the allow-list names one host and one port. sshd wants its user to
be known, and ssh that the system's configuration is root's, which nothing is
in a user namespace of one id.
"""

import os
import subprocess

from world import fixtures, judge, lib
from world.servers import PLAIN, Servers, lacking, path_of

from . import Checks, equip

HOST, AT, AT6 = "git.test", "203.0.113.42", "2001:db8:113::42"
SSH, DAEMON = 2222, 9418
BIG = 3 << 20     # over http.postBuffer: git sends it in chunks
USER = "world"
CONFIGURED = "/etc/ssh/ssh_config.d"
PASSWD = f"root:x:0:0::/:/bin/sh\n{USER}:x:1000:1000::{{home}}:/bin/sh\n"
AS_USER = 'mount --bind "$0" /etc/passwd && exec "$@"'
KEYS = f"""set -e
mkdir -m 700 ~/.ssh
install -m 600 key ~/.ssh/id_ed25519
cp known_hosts ~/.ssh/
printf abc | ssh -p {SSH} {USER}@{HOST} 'cat; exit 7' || echo " status $?"
cp key.pub sent
scp -q -P {SSH} sent {USER}@{HOST}:got
scp -q -P {SSH} {USER}@{HOST}:got back
cmp sent back && echo copied
"""
SSHD = """Port {port}
ListenAddress {at}
ListenAddress {at6}
HostKey {home}/host
AuthorizedKeysFile {home}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
CYCLE = f"""set -e
git config --global user.email w@world.test
git config --global user.name World
git config --global protocol.version 2
git clone -q "$1" one
git -C one log --format=%s | tail -n 1
head -c {BIG} /dev/urandom >one/big
echo "$2" >one/word
git -C one add .
git -C one commit -q -m "$2"
git -C one push -q origin main
git clone -q "$1" two
cmp one/big two/big
echo again >>one/word
git -C one commit -q -a -m again
git -C one push -q
git -C two fetch -q
git -C two merge -q --ff-only origin/main
cat two/word
"""
# Links and renames between folders, as git, npm and cp make them.
FILES = """set -e
mkdir -p a/b c d
echo word >a/b/file
cp -al a copy
test a/b/file -ef copy/b/file
ln a/b/file c/linked
mv a/b/file d/moved
test c/linked -ef d/moved
mv a/b c/folder
mv c/folder d/folder
ln -s ../d/moved c/symbolic
test -e c/symbolic
git init -q repo
git -C repo -c user.name=W -c user.email=w@world.test commit -q \
	--allow-empty -m first
git clone -q repo local
git -C local gc -q
node -e 'fs.cpSync("d", "e", {recursive: true}); fs.linkSync("e/moved", "f");
	fs.renameSync("e", "c/e"); fs.rmSync("c", {recursive: true})'
cat f
"""


class Git:
    def __init__(self, world, checks):
        self.world, self.checks = world, checks
        self.servers = Servers(world, checks)

    def inside(self, what, options, command, port, code=0, parts=(),
               work="work", under_s=lib.TIMEOUT):
        """One run; it reaches this port of the host and nothing else."""
        mark = self.world.mark()
        r = self.world.exeat(["-w", equip(self.world, work), *options],
                             command)
        may = [f"dns {HOST}", f"tcp {AT} {port}", f"tcp {AT6} {port}"]
        wrong = judge.judge_packets(self.world.seen(mark), [],
                                    may if port else [])
        wrong += [f"{p!r} is not in it" for p in parts
                  if p not in r.out + r.err]
        self.checks.check(what, r.code == code and not wrong and
                          r.within(under_s), *wrong, r)

    def cycle(self, what, url, port, work):
        """All that one does with a repository; then it is blocked."""
        self.inside(f"{what}: clone, push, fetch",
                    ["--allow", f"{HOST}:{port}"],
                    ["sh", "-c", CYCLE, "sh", url, what], port,
                    parts=["first\n", f"{what}\nagain\n"], work=work)
        self.inside(f"{what}: blocked fails at once", [],
                    ["git", "clone", "-q", url, "three"], None, 128,
                    work=work, under_s=10)


def over_https(git):
    git.cycle("https", f"https://{HOST}/demo.git", 443, "https")


def over_git(git):
    root = os.path.join(git.world.root, "daemon")
    fixtures.repository(root)
    if git.servers.start("git daemon", [
            "git", "daemon", "--reuseaddr", "--export-all",
            f"--base-path={root}", "--enable=receive-pack", f"--listen={AT}",
            f"--listen={AT6}", root], DAEMON):
        git.cycle("git daemon", f"git://{HOST}/demo.git", DAEMON, "daemon")


def make_keys(git, home, work):
    """Of the host and the user; each side knows the other's."""
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                        name, "-f", os.path.join(home, name)], check=True)
    for name in ("key", "key.pub"):
        git.world.put(work, os.path.join(home, name))
    os.rename(os.path.join(home, "key.pub"), os.path.join(home, "authorized"))
    with open(os.path.join(home, "host.pub"), encoding="ascii") as f:
        host = f.read()
    with open(os.path.join(home, "known_hosts"), "w", encoding="ascii") as f:
        f.write(f"[{HOST}]:{SSH} {host}")
    git.world.put(work, f.name)


def configure():
    """As the system's packages do it, in our mount namespace alone."""
    if not os.path.isdir(CONFIGURED):
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs",
                    CONFIGURED], check=True)
    with open(os.path.join(CONFIGURED, "20-any.conf"), "w",
              encoding="ascii") as f:
        f.write("Host nowhere.test\n\tPort 2\n")


def over_ssh(git):
    if lacking(git.checks, "ssh", "ssh-keygen", "sshd"):
        return
    configure()
    home = os.path.join(git.world.root, "sshd")
    fixtures.repository(home)
    make_keys(git, home, equip(git.world, "ssh"))
    places = {"home": home, "port": SSH, "at": AT, "at6": AT6}
    for name, text in (("passwd", PASSWD), ("config", SSHD)):
        with open(os.path.join(home, name), "w", encoding="ascii") as f:
            f.write(text.format(**places))
    if not git.servers.start("sshd", [
            "unshare", "--mount", "sh", "-c", AS_USER,
            os.path.join(home, "passwd"), *PLAIN, path_of("sshd"), "-D", "-e",
            "-f", os.path.join(home, "config")], SSH):
        return
    git.inside("ssh: a command, scp both ways", ["--allow", f"{HOST}:{SSH}"],
               ["sh", "-c", KEYS], SSH, parts=["abc status 7", "copied"],
               work="ssh")
    git.cycle("ssh", f"ssh://{USER}@{HOST}:{SSH}{home}/demo.git", SSH, "ssh")


def story(world):
    checks = Checks()
    git = Git(world, checks)
    git.inside("links and renames between folders", [],
               ["sh", "-c", FILES], None, parts=["word"])
    for part in (over_https, over_git, over_ssh):
        part(git)
    git.servers.end()
    return checks.status()
