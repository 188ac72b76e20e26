"""Scenarios as data; the keys of a case.

SPDX-License-Identifier: Apache-2.0

    name      what it shows
    options   of `exeat run`
    run       the command; {work}, {probe}, {raw} stand for paths
    code      its exit status
    out, err  parts that must be in the output; a callable judges all of it
    absent    parts that must not be in either output
    sees      packets that must leave the host, and no others but
    may       these
    audit     records that must be there
    under_s   seconds it may take
    env       of the caller
    work      False: no -w; a name: that folder, kept between cases
"""

ALLOWED, ALLOWED6 = "203.0.113.10", "2001:db8:113::10"
CA = ["-e", "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"]


def web(name, v4, v6=None, port=443):
    """Packets of a client that fetches from a host of two families."""
    tcp = [f"tcp {v4} {port}"] + ([f"tcp {v6} {port}"] if v6 else [])
    return {"sees": [f"dns {name}"], "may": tcp, "any": tcp}
