"""What the pages of the command say is so: rules, files, examples.

Usage: examples.py EXEAT PAGE...

Reads the pages' sources. Examples: "$ COMMAND", then what it prints. A comment
before .EX says more: 'exit N', or 'network', which is not run here. One page's
files are there for the pages after it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import subprocess
import sys
import tempfile


def plain(line):
    for roff, text in ((r"\-", "-"), (r"\(aq", "'"), (r"\(ga", "`"),
                       (r"\(ha", "^"), (r"\(ti", "~"), (r"\&", ""),
                       (r"\e", "\\")):
        line = line.replace(roff, text)
    return line


def blocks(page):
    """(section, note, lines) of every example, rules as ("RULES", ...)."""
    section = note = ""
    lines = None
    before = ""
    for line in page:
        if line.startswith(".SH "):
            section = line[4:]
        elif line.startswith('.\\" ') and lines is None:
            note = line[4:]
        elif line == ".EX":
            lines = []
        elif line == ".EE":
            yield section, note, lines
            lines, note = None, ""
        elif lines is not None:
            lines.append(plain(line))
        elif section == "RULES" and before == ".TP":
            yield section, "", [plain(line).removeprefix(".B ")]
        before = line


def commands(lines):
    """(command, what it prints) of an example."""
    found = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


class Checks:
    def __init__(self, exeat, folder):
        self.count = self.failed = 0
        self.folder = folder
        programs = os.path.join(folder, "bin")
        os.mkdir(programs)
        os.symlink(exeat, os.path.join(programs, "exeat"))
        self.work = os.path.join(folder, "work")
        os.mkdir(self.work)
        self.config = os.path.join(folder, "config")
        self.env = dict(os.environ, XDG_CONFIG_HOME=self.config,
                        XDG_CACHE_HOME=os.path.join(folder, "cache"),
                        PATH=programs + ":/usr/sbin:/usr/bin:/sbin:/bin")

    def run(self, command, want=None, status=0):
        done = subprocess.run(["/bin/bash", "-c", command], cwd=self.work,
                              env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              check=False)
        good = done.returncode == status and want in (None, done.stdout)
        self.count += 1
        print(f"{'ok' if good else 'FAIL'}: {command}")
        if not good:
            self.failed += 1
            print(f"  exit status {done.returncode}, expected {status}\n"
                  f"  printed {done.stdout!r}\n  expected {want!r}")

    def save(self, path, lines):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))

    def example(self, note, lines):
        if note == "network":
            return
        status = re.fullmatch(r"exit (\d+)", note)
        for command, output in commands(lines):
            want = "".join(line + "\n" for line in output)
            self.run(command, want, int(status[1]) if status else 0)


def page_checks(checks, path):
    """The sections of a page that had something to check."""
    with open(path, encoding="utf-8") as file:
        page = file.read().split("\n")
    seen = set()
    for section, note, lines in blocks(page):
        if lines[0].startswith("$ "):
            checks.example(note, lines)
        elif section == "RULES":
            checks.run(f"exeat policy check --allow '{lines[0]}'")
        elif section == "PRESETS":
            checks.save(os.path.join(checks.config,
                                     "exeat/presets/forge.json"), lines)
            checks.run("exeat policy test --allow @forge "
                       "forge.example.com:22")
        elif lines[0].startswith("{"):
            name = section.split()[0].lower() + ".json"
            checks.save(os.path.join(checks.work, name), lines)
            checks.run(f"exeat policy check {name}")
        else:
            continue
        seen.add(section)
    return seen


def main(exeat, *paths):
    wanted = {"exeat-policy.5": {"RULES", "PRESETS", "POLICY FILE", "BUDGETS",
                                 "UPSTREAM PROXY"}}
    missing = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        checks = Checks(os.path.realpath(exeat), folder)
        for path in paths:
            name = os.path.basename(path)
            missing += [f"{name}: {section}" for section in
                        wanted.get(name, {"EXAMPLES"}) -
                        page_checks(checks, path)]
    if missing:
        print(f"FAIL: nothing to check in {missing}")
    print(f"{checks.count} checks, {checks.failed} failed")
    return 1 if checks.failed or missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
