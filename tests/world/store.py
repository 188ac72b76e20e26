"""What hosts of the test internet have stored: files that stories put there.

SPDX-License-Identifier: Apache-2.0

A host is a folder, a path one file of it, its slashes escaped. A symbolic link
is a redirect to where it points. Files are answered as a cache wants it, with
validators, "not modified" and ranges (RFC 9110 13, 14).
"""

import hashlib
import os
import urllib.parse

DATE = "Sat, 01 Jan 2022 00:00:00 GMT"    # when everything changed last
TYPE = ".content-type"


class Store:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "store")

    def _file(self, host, path):
        return os.path.join(self.folder, host,
                            urllib.parse.quote(path, safe=""))

    def _place(self, host, path):
        os.makedirs(os.path.join(self.folder, host), exist_ok=True)
        return self._file(host, path)

    def put(self, host, path, body, content_type="application/octet-stream"):
        """Store text or bytes; answers the bytes."""
        body = body.encode() if isinstance(body, str) else body
        file = self._place(host, path)
        for name, data in ((file, body), (file + TYPE, content_type.encode())):
            with open(name, "wb") as f:
                f.write(data)
        return body

    def redirect(self, host, path, url):
        os.symlink(url, self._place(host, path))

    def find(self, host, path):
        """(status, headers, body); None: nothing of this host is stored."""
        if not host or "/" in host or host.startswith("."):
            return None
        file = self._file(host, path)
        if os.path.islink(file):
            return 302, {"location": os.readlink(file)}, b""
        if not os.path.isfile(file):
            known = os.path.isdir(os.path.join(self.folder, host))
            return (404, {}, b"no such page\n") if known else None
        with open(file, "rb") as f:
            body = f.read()
        with open(file + TYPE, encoding="ascii") as f:
            headers = {"content_type": f.read()}
        headers["etag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers["last_modified"] = DATE
        headers["accept_ranges"] = "bytes"
        return 200, headers, body


def conditional(asked, found):
    """The answer to a request with these fields: all, a part, or neither."""
    status, headers, body = found
    if status != 200:
        return found
    if headers["etag"] in asked.get("if-none-match", "") or \
            "if-none-match" not in asked and \
            asked.get("if-modified-since") == DATE:
        return 304, headers, b""
    unit, _, part = asked.get("range", "").partition("=")
    first, _, last = part.partition("-")
    if unit != "bytes" or not first.isdecimal() or "," in part or \
            asked.get("if-range", DATE) not in (DATE, headers["etag"]):
        return found
    first, end = int(first), int(last) + 1 if last else len(body)
    if first >= len(body):
        return 416, {**headers, "content_range": f"bytes */{len(body)}"}, b""
    end = min(end, len(body))
    span = f"bytes {first}-{end - 1}/{len(body)}"
    return 206, {**headers, "content_range": span}, body[first:end]
