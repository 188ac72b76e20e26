"""The manual, the help and the completion know the same commands and options.

Usage: manual.py EXEAT FOLDER-OF-PAGES HEADER README

What the command's own help lists is what a page, the completion and the prose
of all of them must have, no less and no more. A page that is referred to is
there; so is a function.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import subprocess
import sys

# options of other programs, in examples
FOREIGN = {"scope", "cflags", "libs", "static", "build", "parallel", "install",
           "prefix", "offline"}
wrong = []


def check(what, good):
    if not good:
        wrong.append(what)
        print("FAIL: " + what)


def same(what, found, wanted):
    check(f"{what}: too many: {sorted(found - wanted)}, "
          f"missing: {sorted(wanted - found)}", found == wanted)


def said(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def commands(exeat):
    """{command: its long options}, as the help says."""
    found = {}
    for name in re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", said(exeat, "help"),
                           re.M):
        text = said(exeat, "help", *name.split())
        for option in ("--help", "-h"):
            check(f"exeat {name} {option} is another help",
                  text == said(exeat, *name.split(), option))
        found[name] = set(re.findall(r"^  (?:-\w, |    )--([a-z-]+)", text,
                                     re.M))
    return found


def plain(text):
    text = re.sub(r"\\f[BIR]|^\.TH .*", "", text, flags=re.M)
    return text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\&", "")


def pages(folder):
    """{(name, section): text}; a page of one line is what it names."""
    found = {}
    for where in ("man1", "man3", "man5", "man8"):
        for name in os.listdir(os.path.join(folder, where)):
            with open(os.path.join(folder, where, name),
                      encoding="utf-8") as file:
                text = file.read()
            stem, section = name.rsplit(".", 1)
            check(f"{where}/{name}", where == "man" + section)
            found[stem, section] = text
    return found


def part(text, command):
    """What a page says of one command: its part, or all."""
    parts = re.split(r"^\.SS exeat (.*)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2])).get(command, text)


def completed(script, words):
    """What bash completes "exeat WORDS" to."""
    return set(said(
        "bash", "-c", 'eval "$0"; COMP_WORDS=(exeat "$@"); COMP_CWORD=$#; '
        '_exeat; printf "%s\\n" "${COMPREPLY[@]}"', script, *words).split())


def options(exeat, all_pages):
    table = commands(exeat)
    check("the help lists commands", "run" in table and table["run"])
    script = said(exeat, "completion")
    first = {name.split()[0] for name in table}
    for name, wanted in table.items():
        words = name.split()
        page = all_pages.get(("exeat-" + words[0], "1"), "")
        text = part(page, name)
        tags = re.findall(r"^\.TP\n(\\fB(?:\\-|-).*)", text, re.M)
        found = {o for tag in tags
                 for o in re.findall(r"--([a-z-]+)", plain(tag))}
        same(f"exeat-{words[0]}(1), {name}", found, wanted)
        check(f"exeat(1) leads to exeat-{words[0]}(1)",
              f"\\fBexeat {name}\\fR" in all_pages["exeat", "1"])
        same(f"completion of exeat {name} --",
             completed(script, words + ["--"]),
             {"--" + o for o in wanted | {"help"}})
        check(f"completion of exeat {name} -",
              "-h" in completed(script, words + ["-"]))
        if len(words) == 2:
            check(f"exeat {words[0]} TAB: {words[1]}",
                  words[1] in completed(script, [words[0], ""]))
    same("completion of exeat", completed(script, [""]),
         first | {"help", "--version", "-h", "--help"})
    same("completion of exeat help", completed(script, ["help", ""]), first)
    return {o for found in table.values() for o in found} | {"help", "version"}


def tags(text, section):
    """The keys that a section of a page explains."""
    body = text.split(f".SH {section}\n")[1].split("\n.SH ")[0]
    return {word for tag in re.findall(r"^\.TP\n(.*)", body, re.M)
            for word in re.findall(r"[a-z_]{2,}", tag)}


def keys(exeat, all_pages):
    """The result file and the policy file have the keys that are told."""
    same("exeat-run(1), RESULT FILE",
         tags(all_pages["exeat-run", "1"], "RESULT FILE"),
         set(json.loads(said(exeat, "run", "--json", "/dev/stdout", "--",
                             "true"))))
    size = {"a.example": "1M"}
    policy = {"version": 1, "network_mode": "allowlist",
              "network_allowlist": ["a.example", {
                  "rule": "b.example", "comment": "why", "max_upload": "1K",
                  "max_download": "1K", "upstream_proxy": "direct"}],
              "network_denylist": ["c.example"], "network_ceiling": None,
              "require_names": False, "dns_refusal": "refused",
              "max_upload": size, "max_download": size,
              "upstream_proxy": "http://proxy.example", "upstream_by": "name",
              "upstream_dns": "local", "upstream_direct": ["d.example"]}
    told = tags(all_pages["exeat-policy", "5"], "POLICY FILE")
    same("exeat-policy(5), POLICY FILE", told, set(policy) - {"version"})
    known = subprocess.run([exeat, "policy", "check", "/dev/stdin"],
                           input=json.dumps(policy), text=True, check=False,
                           stdout=subprocess.PIPE)
    check("all of them are keys", known.returncode == 0)
    same("the canonical form", set(json.loads(known.stdout or "{}")) |
         {"max_upload", "max_download"}, set(policy))


def references(all_pages, header):
    functions = set(re.findall(r"\b(exeat_\w+)\(", header))
    referred = set()
    for (name, section), text in all_pages.items():
        text = plain(text)
        if text.startswith(".so "):
            target = re.fullmatch(r"\.so man\d/(.+)\.(\d)\n", text).groups()
            check(f"{name}({section}) is {target}", target in all_pages)
            continue
        found = re.findall(r"\b(exeat[\w-]*)(?: |\")?\((\d)\)", text)
        for reference in found:
            check(f"{name}({section}) refers to {reference}",
                  reference in all_pages)
        see = text.partition(".SH SEE ALSO\n")[2].split("\n.SH ")[0]
        lines = [line for line in see.split("\n") if line]
        check(f"{name}({section}) has a SEE ALSO", lines)
        for i, line in enumerate(lines):
            comma = "," if i + 1 < len(lines) else ""
            check(f"{name}({section}), SEE ALSO: {line}",
                  re.fullmatch(rf"\.BR [\w-]+ \(\d\){comma}", line))
            check(f"{name}({section}) refers to itself",
                  f".BR {name} ({section})" not in line)
        keys = [tuple(line.rstrip(",").split("(")[::-1]) for line in lines]
        check(f"{name}({section}): SEE ALSO in order", keys == sorted(keys))
        referred.update(re.findall(r"\.BR ([\w-]+) \((\d)\)", see))
        for function in re.findall(r"\b(exeat_\w+)\(\)", text):
            check(f"{name}({section}): {function}()", function in functions)
    for page, text in all_pages.items():
        check(f"no page leads to {page}",
              text.startswith(".so ") or page in referred)
    return functions


def prose(texts, known, functions, header):
    words = set(re.findall(r"\bEXEAT_\w+", header)) | {"EXEAT_HELPER"}
    for name, text in texts.items():
        text = plain(text)
        for option in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text):
            check(f"{name}: --{option} is no option, nor in FOREIGN",
                  option in known | FOREIGN)
        for function in re.findall(r"\b(exeat_\w+)\(", text):
            check(f"{name}: {function}()", function in functions)
        for word in re.findall(r"\bEXEAT_[A-Z_]+\b", text):
            check(f"{name}: {word}", word in words or word.endswith("_"))


def paths(readme):
    """Files that a README names are there."""
    top = os.path.dirname(os.path.realpath(readme))
    for name in (readme, os.path.join(top, "core/README.md")):
        with open(name, encoding="utf-8") as file:
            text = file.read()
        found = re.findall(r"`((?:core|policy|proxy|backends|tests|examples)/"
                           r"[\w./-]*)`", text)
        check(f"{name} names files", found)
        for path in found:
            check(f"{name}: {path}", os.path.exists(os.path.join(top, path)))


def main(exeat, folder, header, readme):
    all_pages = pages(folder)
    with open(header, encoding="utf-8") as file:
        header = file.read()
    with open(readme, encoding="utf-8") as file:
        texts = {"README.md": file.read()}
    known = options(exeat, all_pages)
    keys(exeat, all_pages)
    functions = references(all_pages, header)
    texts.update((f"{name}({section})", text)
                 for (name, section), text in all_pages.items())
    prose(texts, known, functions, header)
    paths(readme)
    print(f"{len(all_pages)} pages, {len(known)} options: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
