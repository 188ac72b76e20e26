"""What package managers ask for: one small package in the way of each.

SPDX-License-Identifier: Apache-2.0

A story stores what its client needs. What there is says one host; the file
lies on another, and some of them only know that cdn.test has it.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import zipfile

from .fixtures import ANSWER, PACKAGE, wheel

CDN = "https://cdn.test/"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def base64_of(data):
    return base64.b64encode(data).decode()


def tar(files):
    """A .tar.gz of text files, the same bytes each time."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, \
            tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def archive_zip(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    return out.getvalue()


def by_cdn(store, host, path, body):
    """The host sends whoever asks to the other one."""
    name = sha256(body)
    store.put("cdn.test", "/" + name, body)
    store.redirect(host, path, CDN + name)


# ---- Python: PEP 503 ----

def python(store):
    """`exeatdemo` on files.index.test, `exeatcdn` by cdn.test."""
    for package in (PACKAGE, "exeatcdn"):
        data = wheel(package)
        path = f"/packages/{package}-1.0-py3-none-any.whl"
        file = os.path.basename(path)
        store.put("index.test", f"/simple/{package}/",
                  f'<a href="https://files.index.test{path}'
                  f'#sha256={sha256(data)}">{file}</a>', "text/html")
        if package == PACKAGE:
            store.put("files.index.test", path, data)
        else:
            by_cdn(store, "files.index.test", path, data)


# ---- JavaScript ----

def node(store):
    """`exeat-demo`, a program, too, which needs `exeat-cdn`."""
    for package, needs in (("exeat-demo", {"exeat-cdn": "^1.0.0"}),
                           ("exeat-cdn", {})):
        manifest = {"name": package, "version": "1.0.0", "main": "index.js",
                    "dependencies": needs}
        code = f"module.exports = {ANSWER!r}\n"
        if needs:
            manifest["bin"] = "index.js"
            code = ("#!/usr/bin/env node\n"
                    f"module.exports = require('{list(needs)[0]}')\n"
                    "if (require.main === module)\n"
                    "  console.log(module.exports)\n")
        data = tar({"package/package.json": json.dumps(manifest),
                    "package/index.js": code})
        path = f"/{package}/-/{package}-1.0.0.tgz"
        dist = {"tarball": "https://files.registry.test" + path,
                "shasum": hashlib.sha1(data).hexdigest(),
                "integrity": "sha512-" +
                base64_of(hashlib.sha512(data).digest())}
        store.put("registry.test", "/" + package, json.dumps(
            {"name": package, "dist-tags": {"latest": "1.0.0"},
             "time": {"1.0.0": "2022-01-01T00:00:00.000Z"},
             "versions": {"1.0.0": {**manifest, "dist": dist}}}),
            "application/json")
        if needs:
            store.put("files.registry.test", path, data)
        else:
            by_cdn(store, "files.registry.test", path, data)


# ---- Rust: RFC 2789 ----

def rust(store):
    data = tar({"exeatdemo-1.0.0/Cargo.toml":
                '[package]\nname = "exeatdemo"\nversion = "1.0.0"\n'
                'edition = "2021"\n',
                "exeatdemo-1.0.0/src/lib.rs":
                f'pub const ANSWER: &str = "{ANSWER}";\n'})
    store.put("crates.test", "/index/config.json",
              json.dumps({"dl": "https://files.crates.test/crates"}))
    store.put("crates.test", "/index/ex/ea/exeatdemo", json.dumps(
        {"name": "exeatdemo", "vers": "1.0.0", "deps": [], "features": {},
         "cksum": sha256(data), "yanked": False}) + "\n")
    by_cdn(store, "files.crates.test", "/crates/exeatdemo/1.0.0/download",
           data)


# ---- Go: the module proxy and the checksum database ----

MODULE, MODULE_VERSION = "demo.test/answer", "v1.0.0"
SUMS = "sum.test"
# A private key for tests, PKCS 8: a prefix, and 32 bytes that anybody knows.
KEY = bytes.fromhex("302e020100300506032b657004220420") + b"exeat" + bytes(27)


def _openssl(argv, data):
    """What openssl says of the key; {} is a file with the data."""
    with tempfile.TemporaryDirectory() as folder:
        key, file = (os.path.join(folder, n) for n in ("key", "data"))
        for name, content in ((key, KEY), (file, data)):
            with open(name, "wb") as f:
                f.write(content)
        return subprocess.run(
            ["openssl", *(a.format(file) for a in argv), "-inkey"
             if argv[0] == "pkeyutl" else "-in", key, "-keyform"
             if argv[0] == "pkeyutl" else "-inform", "DER"],
            check=True, capture_output=True).stdout


def _public():
    spki = _openssl(["pkey", "-pubout", "-outform", "DER"], b"")
    return b"\x01" + spki[-32:]


def _key_id(public):
    return hashlib.sha256(f"{SUMS}\n".encode() + public).digest()[:4]


def go_verifier():
    """What GOSUMDB says of the key."""
    public = _public()
    return f"{SUMS}+{_key_id(public).hex()}+{base64_of(public)}"


def _note(text):
    """Text with a signature, as such a database writes it."""
    signature = _openssl(["pkeyutl", "-sign", "-rawin", "-in", "{}"],
                         text.encode())
    signed = base64_of(_key_id(_public()) + signature)
    return f"{text}\n\u2014 {SUMS} {signed}\n"


def _h1(files):
    lines = "".join(f"{sha256(text.encode())}  {name}\n"
                    for name, text in sorted(files.items()))
    return "h1:" + base64_of(hashlib.sha256(lines.encode()).digest())


def go(store):
    """A proxy with one module, a database of one record."""
    mod = f"module {MODULE}\n\ngo 1.19\n"
    top = f"{MODULE}@{MODULE_VERSION}"
    files = {f"{top}/go.mod": mod,
             f"{top}/answer.go": f'package answer\n\nconst Is = "{ANSWER}"\n'}
    at = f"/{MODULE}/@v/"
    store.put("goproxy.test", at + "list", MODULE_VERSION + "\n")
    store.put("goproxy.test", f"{at}{MODULE_VERSION}.info", json.dumps(
        {"Version": MODULE_VERSION, "Time": "2022-01-01T00:00:00Z"}))
    store.put("goproxy.test", f"{at}{MODULE_VERSION}.mod", mod)
    by_cdn(store, "goproxy.test", f"{at}{MODULE_VERSION}.zip",
           archive_zip(files))
    record = (f"{MODULE} {MODULE_VERSION} {_h1(files)}\n"
              f"{MODULE} {MODULE_VERSION}/go.mod {_h1({'go.mod': mod})}\n")
    root = hashlib.sha256(b"\0" + record.encode()).digest()
    tree = _note(f"go.sum database tree\n1\n{base64_of(root)}\n")
    store.put(SUMS, f"/lookup/{top}", f"0\n{record}\n{tree}")
    store.put(SUMS, "/latest", tree)
    store.put(SUMS, "/tile/8/0/000.p/1", root)


# ---- Debian ----

def _member(name, data):
    """A file of an ar archive."""
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return head.encode() + data + b"\n" * (len(data) % 2)


def debian(store, names):
    """A flat repository, `deb [trusted=yes] http://archive.test/demo/ ./`."""
    index = ""
    for name in names:
        control = (f"Package: {name}\nVersion: 1.0\nArchitecture: all\n"
                   "Maintainer: World <world@test>\nDescription: of a test\n")
        data = b"!<arch>\n" + _member("debian-binary", b"2.0\n") + \
            _member("control.tar.gz", tar({"./control": control})) + \
            _member("data.tar.gz", tar({f"./usr/share/{name}": ANSWER}))
        file = f"{name}_1.0_all.deb"
        store.put("archive.test", "/demo/./" + file, data)
        index += (f"{control}Filename: ./{file}\nSize: {len(data)}\n"
                  f"SHA256: {sha256(data)}\n\n")
    index = store.put("archive.test", "/demo/./Packages", index)
    store.put("archive.test", "/demo/./Release",
              "Date: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n"
              f" {sha256(index)} {len(index)} Packages\n")


# ---- Maven ----

def maven_pom(group, name, packaging="jar", more="", version="1.0"):
    return ('<project xmlns="http://maven.apache.org/POM/4.0.0">'
            "<modelVersion>4.0.0</modelVersion>"
            f"<groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version}</version><packaging>{packaging}</packaging>"
            f"{more}</project>")


def maven(store, group, name, jar, packaging="jar", version="1.0"):
    """Store an artifact; its jar comes by cdn.test."""
    at = f"/repo/{group.replace('.', '/')}/{name}/{version}/{name}-{version}"
    pom = maven_pom(group, name, packaging, version=version).encode()
    by_cdn(store, "maven.test", at + ".jar", jar)
    store.put("maven.test", at + ".pom", pom, "application/xml")
    for end, data in (("jar", jar), ("pom", pom)):
        store.put("maven.test", f"{at}.{end}.sha1",
                  hashlib.sha1(data).hexdigest())


# ---- container images: the OCI distribution and image specifications ----

def oci(store):
    """demo:1.0; blobs come by cdn.test."""
    layer = tar({"answer": ANSWER})
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids":
                   ["sha256:" + sha256(gzip.decompress(layer))]}}).encode()
    kind = "application/vnd.oci.image."

    def blob(data, what):
        digest = "sha256:" + sha256(data)
        by_cdn(store, "oci.test", "/v2/demo/blobs/" + digest, data)
        return {"mediaType": kind + what, "digest": digest,
                "size": len(data)}
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
        "config": blob(config, "config.v1+json"),
        "layers": [blob(layer, "layer.v1.tar+gzip")]}).encode()
    store.put("oci.test", "/v2/", "{}", "application/json")
    for name in ("1.0", "sha256:" + sha256(manifest)):
        store.put("oci.test", "/v2/demo/manifests/" + name, manifest,
                  kind + "manifest.v1+json")
