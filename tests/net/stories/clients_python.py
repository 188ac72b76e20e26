"""pip from an index of three hosts, and Python's own clients.

SPDX-License-Identifier: Apache-2.0
"""

from world import registry

from .registries import CALLERS, Client  # noqa: F401

INDEX, FILES, CDN = "index.test", "files.index.test", "cdn.test"
ENV = ["PIP_INDEX_URL=https://index.test/simple/"]
PIP = ["--no-input", "--disable-pip-version-check", "--retries", "0"]
INSTALL = ["pip", "install", "--no-cache-dir", *PIP]
DOWNLOAD = ["pip", "download", "--no-deps", *PIP, "-d", "got", "exeatdemo"]
USE = ["python", "-c", "import {0}; print({0}.ANSWER)"]
FILE = "https://files.index.test/packages/exeatcdn-1.0-py3-none-any.whl"
REQUESTS = """
import requests
s = requests.Session()
whole = s.get(URL)
again = s.get(URL, headers={"If-None-Match": whole.headers["ETag"]})
rest = s.get(URL, headers={"Range": "bytes=100-"})
same = whole.content[:100] + rest.content == whole.content
print(whole.status_code, again.status_code, rest.status_code, same, whole.url)
"""
URLLIB = """
import urllib.error, urllib.request as u
whole = u.urlopen(URL)
first = whole.read(100)
again = u.Request(URL, headers={"Range": "bytes=100-"})
with u.urlopen(again) as rest:
    print(whole.status, rest.status, rest.read() == whole.read(), rest.url)
try:
    u.urlopen(u.Request(URL, headers={"If-None-Match": whole.headers["ETag"]}))
except urllib.error.HTTPError as e:
    print(e.code)
"""


def use(package):
    return [word.format(package) for word in USE]


def script(text):
    return ["/usr/bin/python3", "-c", f"URL = {FILE!r}\n{text}"]


def pip(client):
    client.step("not there yet", [], use("exeatdemo"), 1, ["No module named"])
    client.refused("blocked: no installation", [], [*INSTALL, "exeatdemo"],
                   INDEX)
    client.refused("one name of the two: no installation", [INDEX],
                   [*INSTALL, "exeatdemo"], FILES)
    client.step("both names: installed", [INDEX, FILES],
                [*INSTALL, "exeatdemo"], 0, ["Successfully installed"])
    client.step("blocked: the package is used", [], use("exeatdemo"), 0,
                ["42 from the test index"])
    client.step("the index by its preset's variable", [],
                ["python", "-c", "print(1)"], more=["--allow", "@pypi"])
    client.refused("a redirect to a host that is not allowed",
                   [INDEX, FILES], [*INSTALL, "exeatcdn"], CDN)
    client.step("a redirect to a host that is", [INDEX, FILES, CDN],
                [*INSTALL, "exeatcdn"], 0, ["Successfully installed"])
    client.step("... and used, blocked", [], use("exeatcdn"), 0,
                ["42 from the test index"])
    client.step("by the proxy inside", [INDEX, FILES, CDN],
                [*INSTALL, "--force-reinstall", "exeatcdn"], 0,
                ["Successfully installed"], ["--proxy-env"])


def caches(client):
    client.step("pip fills its cache", [INDEX, FILES], DOWNLOAD, 0,
                ["Successfully downloaded"])
    _, log = client.step("pip asks whether its page is still the same",
                         [INDEX, FILES], DOWNLOAD, 0, ["exeatdemo"],
                         asks=[INDEX])
    client.check("... by a conditional request",
                 any("if-none-match" in r["headers"] for r in log), log)


def libraries(client):
    client.step("urllib: redirect, range, not modified", [FILES, CDN],
                script(URLLIB), 0, ["200 206 True https://cdn.test/",
                                    "\n304\n"])
    client.refused("urllib: a redirect elsewhere", [FILES], script(URLLIB),
                   CDN, says=["urlopen error"])
    if not client.have("/usr/lib/python3/dist-packages/requests"):
        return
    client.step("requests: redirect, range, not modified", [FILES, CDN],
                script(REQUESTS), 0, ["200 304 206 True https://cdn.test/"])
    client.refused("requests: a redirect elsewhere", [FILES],
                   script(REQUESTS), CDN, says=["ConnectionError"])


def story(world):
    client = Client(world, ENV)
    registry.python(client.store)
    if client.have("pip3"):
        pip(client)
        caches(client)
    libraries(client)
    return client.status()
