"""Rows by group; the keys of a row.

SPDX-License-Identifier: Apache-2.0

    id, title   as the list of attacks numbers and names them
    options     of `exeat run`; a list of lists: the row holds under each
    try         probes (world/probe.py), all in one sandbox; here and in
                options, {work} is the work dir, {tmp} the caller's TMPDIR
    says        what each must report: one dict for all, or a list
    sees        packets that must leave the host, and no others but
    may         these
    late        and these, if the machine was late meanwhile: for the gate,
                a program that does not run is one that is silent
    audit       records that must be there
    allows      True: a record may say "allow" though nothing leaves
    counts      True: what the audit counted is what the sniffer saw leave
    logs        {log: check} on what the servers got
    kinds       of callers for which it makes sense (default: all)
    passes      the row is about something that must work
    control     the same keys: what must get through ("outside": without
                any sandbox)
    before      called with the world and the work dir; what it returns lives
                as long as the row
    after       called likewise before the control: what the host complains of
    work        rows of the same work dir, by this name
    env         of the caller
    stderr      called with what the command's stderr got: is it right?
    stdin       text of a file outside of the view, which is standard input
                and must be the same afterwards
    prompt_ms   an answer must take less than this
    code        the command's exit status (default 0)
    needs       programs of the system, or $NAME of a program of ours, without
                which it cannot be tried
    refuses     the product must not begin, and its stderr have these texts
    under       called with the world: what stands before the product's argv

`register` says of every row of the list where it is tried.
"""

import importlib
import os

ALLOW = ["--allow", "allowed.test", "--allow", "*.wild.test"]
OPEN = ["--net", "open"]
BLOCKED = ["--net", "blocked"]

# Addresses of world/zone.json.
ALLOWED, EVIL = "203.0.113.10", "203.0.113.66"
ALLOWED6, EVIL6 = "2001:db8:113::10", "2001:db8:113::66"

REFUSED = {"errno": "ECONNREFUSED", "step": "connect"}
RESET = {"errno": "ECONNRESET"}
NO_NAME = {"error": "EAI_NONAME"}


def deny(**fields):
    return {"verdict": "deny", **fields}


def allow(**fields):
    return {"verdict": "allow", **fields}


def found(address):
    def check(addresses):
        return address in addresses
    check.__doc__ = f"has {address}"
    return {"addresses": check}


def groups():
    """The files of rows, by name."""
    return sorted(name[:-3] for name in os.listdir(os.path.dirname(__file__))
                  if name.endswith(".py") and not name.startswith("_"))


def load(group):
    """The rows of one file."""
    found = importlib.import_module("rows." + group).ROWS
    for row in found:
        if "control" not in row and not row.get("passes"):
            raise SystemExit(f"{row['id']}: a refusal needs a control")
    return found
