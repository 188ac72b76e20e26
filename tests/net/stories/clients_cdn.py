"""A host whose addresses change while it is used; what caches ask of it.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib

from world import http

from .registries import CALLERS, Client  # noqa: F401

CDN, FILES = "cdn.test", "files.index.test"
URL, MOVED = f"https://{CDN}/file", f"https://{FILES}/moved"
# The old connection and the old address are used beyond the name's TTL.
ROTATION = f"""
import http.client, socket, ssl, time

def address():
    return socket.getaddrinfo("{CDN}", 443, socket.AF_INET)[0][4][0]

def get(c):
    c.request("HEAD", "/file")
    answer = c.getresponse()
    answer.read()
    return answer.status

def connect(at):
    c = http.client.HTTPSConnection("{CDN}")
    c.sock = ssl.create_default_context().wrap_socket(
        socket.create_connection((at, 443)), server_hostname="{CDN}")
    return c

first = address()
kept = connect(first)
print(get(kept))
while address() == first:
    time.sleep(0.2)
print(get(kept), get(connect(address())), get(connect(first)))
"""
CURL = "curl -sS -L -w '%{http_code}\\n'"
CACHE = (f"{CURL} --etag-save etag -o whole {MOVED}; "
         f"{CURL} --etag-compare etag -o nothing {MOVED}; "
         f"{CURL} -z 'Sat, 01 Jan 2022 00:00:00 GMT' {MOVED}")
RESUME = (f"head -c 1000 whole >part; {CURL} -C - -o part {MOVED}; "
          "sha256sum <part; head -c 2000 whole >moved; "
          f"wget -q -c {MOVED}; sha256sum <moved")


def story(world):
    client = Client(world)
    data = client.store.put(CDN, "/file", http.pattern(1 << 16) * 5)
    client.store.redirect(FILES, "/moved", URL)
    digest = hashlib.sha256(data).hexdigest()
    client.step("an address gives way to another; both are used", [CDN],
                ["/usr/bin/python3", "-c", ROTATION], 0,
                ["200\n200 200 200\n"])
    client.step("curl: not modified", [FILES, CDN], ["sh", "-c", CACHE], 0,
                ["200\n304\n304\n"])
    client.step("curl and wget go on where they were", [FILES, CDN],
                ["sh", "-c", RESUME], 0, ["206\n", f"{digest}  -\n" * 2])
    client.refused("a redirect elsewhere", [FILES],
                   ["curl", "-sSL", MOVED], CDN,
                   says=["Could not resolve host"])
    return client.status()
