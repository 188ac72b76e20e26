"""What the test internet serves, made when a world is: keys, packages, git.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import hashlib
import io
import os
import subprocess
import zipfile

PACKAGE = "exeatdemo"
VERSION = "1.0"
ANSWER = "42 from the test index"


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def certificates(folder, names):
    """An authority of our own and one certificate for all names."""
    def at(name):
        return os.path.join(folder, name)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
           "-nodes", "-days", "30"]
    _openssl("req", "-x509", *key, "-keyout", at("ca.key"), "-out",
             at("ca.pem"), "-subj", "/CN=Test Internet Authority",
             "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *key, "-CA", at("ca.pem"), "-CAkey",
             at("ca.key"), "-keyout", at("server.key"), "-out",
             at("server.pem"), "-subj", "/CN=test",
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-addext", "subjectAltName=" + ",".join(names))


def trust_folder(folder, ca):
    """A folder like /etc/ssl/certs that knows our authority alone."""
    name = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", ca],
                          check=True, capture_output=True, text=True)
    with open(ca, "rb") as f:
        data = f.read()
    for file in ("ca-certificates.crt", name.stdout.strip() + ".0"):
        with open(os.path.join(folder, file), "wb") as f:
            f.write(data)


def wheel(package=PACKAGE):
    """A pure Python wheel (PEP 427), in memory."""
    info = f"{package}-{VERSION}.dist-info"
    files = {
        f"{package}.py": f"ANSWER = {ANSWER!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\n"
                            f"Version: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: world\n"
                         "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(
            hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    return out.getvalue()


def package_index():
    """(host, path) -> (content type, bytes): PEP 503, files elsewhere."""
    data = wheel()
    file = f"{PACKAGE}-{VERSION}-py3-none-any.whl"
    page = (f'<a href="https://files.index.test/packages/{file}'
            f'#sha256={hashlib.sha256(data).hexdigest()}">{file}</a>')
    return {
        ("index.test", f"/simple/{PACKAGE}/"): ("text/html", page.encode()),
        ("files.index.test", f"/packages/{file}"):
            ("application/octet-stream", data),
    }


def repository(root):
    """A bare repository demo.git with one commit."""
    path = os.path.join(root, "demo.git")
    git = ["git", "-C", path]
    env = dict(os.environ, HOME=root, GIT_CONFIG_NOSYSTEM="1")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path],
                   check=True, env=env)
    stream = ("commit refs/heads/main\n"
              "committer World <world@test> 1700000000 +0000\n"
              "data 5\nfirst\nM 644 inline README\ndata 12\nhello world\n\n")
    subprocess.run([*git, "fast-import", "--quiet"], input=stream.encode(),
                   check=True, env=env)
    subprocess.run([*git, "config", "http.receivepack", "true"], check=True,
                   env=env)
    with open(os.path.join(path, "git-daemon-export-ok"), "w"):
        pass
