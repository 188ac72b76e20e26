"""Everything that exeat.h declares has its place and its text in a page.

Usage: reference.py HEADER LIBRARY FOLDER-OF-PAGES

The names are found here without what makes the pages: functions as the library
exports them, members and values by the header without its comments.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import subprocess
import sys

TAGS = (".TP", ".TQ", ".SS")


def exported(library):
    """The functions of a shared library."""
    said = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in said.splitlines()
            if line.split()[1] == "T"}


def declared(header):
    """{type: its members or values} of all structs and enums."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    types = {}
    for kind, name, body in re.findall(
            r"^(struct|enum) (\w+) \{(.*?)\};", text, re.S | re.M):
        if kind == "enum":
            found = re.findall(r"[A-Z][A-Z0-9_]+", body)
        else:
            # a callback's parameters are not members
            body = re.sub(r"\(\*(\w+)\)\(.*?\)", r"\1", body, flags=re.S)
            found = re.findall(r"(\w+)(?:\[\w+\])?\s*[;,]", body)
        types[name] = (kind, found)
    return types


def plain(line):
    line = re.sub(r"\\f[BIR]", "", line)
    return line.replace(r"\-", "-").replace(r"\(aq", "'")


def documented(folder):
    """{heading: {words of its tags}}; what has no text is left out."""
    told = {}
    for entry in os.listdir(folder):
        with open(os.path.join(folder, entry), encoding="utf-8") as file:
            lines = [plain(line) for line in file.read().split("\n")]
        if lines[0].startswith(".so "):
            continue
        heading, open_tags = "", []
        for before, line in zip([""] + lines, lines):
            if line.startswith((".SS ", ".SH ")):
                heading = line[4:]
                open_tags = [""]
            elif before in TAGS:
                if before == ".TP":
                    open_tags = []
                open_tags.append(line)
            elif line and not line.startswith("."):
                told.setdefault(heading, set())
                for tag in open_tags:
                    told[heading].update(re.findall(r"\w+", tag))
    return told


def main(header, library, folder):
    with open(header, encoding="utf-8") as file:
        types = declared(file.read())
    functions = exported(library)
    told = documented(folder)
    wrong = []
    for name in sorted(functions):
        if name + "()" not in told:
            wrong.append(f"{name}(): has no text in any page")
        if not os.path.exists(os.path.join(folder, name + ".3")):
            wrong.append(f"{name}(): man finds no page by this name")
    members = 0
    for name, (kind, found) in sorted(types.items()):
        for member in found:
            members += 1
            if member not in told.get(f"{kind} {name}", ()):
                wrong.append(f"{kind} {name}: {member} has no text")
    for line in wrong:
        print("FAIL: " + line)
    print(f"{len(functions)} functions, {len(types)} types with {members} "
          f"members: {len(wrong)} without text")
    return 1 if wrong or not functions or not members else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
