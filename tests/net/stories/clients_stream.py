"""Connections that live: HTTP/2, streams of events, WebSockets, idle ones.

SPDX-License-Identifier: Apache-2.0

Nothing on the way may keep a byte back: each message is sent when the last
one's answer has come, so that a buffer anywhere is a test that stands still.
No limit of ours ends a relayed connection, however silent: the longest one
before that, LIMIT_PEEK_MS, is waited out.
"""

import os
import shlex

from world import judge
from world.servers import Servers, lacking, lacking_module, path_of

from . import Checks, equip

HOST, AT, AT6 = "h2.test", "203.0.113.60", "2001:db8:113::60"
WEB, ALLOWED, ALLOWED6 = "allowed.test", "203.0.113.10", "2001:db8:113::10"
ECHO_AT, ECHO, SHUTS = "203.0.113.9", 7, 7008
H2_TLS, H2_CLEAR = 8444, 8445
IDLE_S = 5.5      # over LIMIT_PEEK_MS
EVENTS = 15
SIZE = 12 << 20
CA = "/etc/ssl/certs/ca-certificates.crt"

# A stream both ways, as gRPC has it: lock-step, then trailers.
NODE_STREAM = """
const client = require("http2").connect(process.argv[1]);
const stream = client.request({":method": "POST", ":path": "/echo",
	"content-type": "application/grpc", te: "trailers"});
let said = 0, status = "none";
const say = () => stream.write("message " + said);
client.on("error", e => { console.log(e.code); process.exit(9) });
stream.on("trailers", t => { status = t["grpc-status"] });
stream.setEncoding("utf8");
stream.on("data", text => {
	if (text !== "message " + said)
		console.log("not " + said + ": " + text);
	if (++said === 200)
		stream.end();
	else if (said === 100)
		client.ping(say);
	else
		say();
});
stream.on("end", () => client.close(() => console.log(said, status)));
say();
"""
SSE_CURL = """n=0
curl -sSN "$1/events/$2/$3" | while IFS= read -r line; do
	case $line in
	"data: $n") n=$((n + 1)); curl -sS -o /dev/null "$1/ack/$2" ;;
	data*) echo "not $n: $line" ;;
	esac
	echo "$n" >count
done
cat count
"""
SSE_NODE = """
const [base, id, count] = process.argv.slice(1);
(async () => {
	const response = await fetch(`${base}/events/${id}/${count}`);
	let n = 0;
	for await (const piece of response.body) {
		if (Buffer.from(piece).toString() !== `data: ${n++}\\n\\n`)
			console.log("another piece: " + piece);
		await (await fetch(`${base}/ack/${id}`)).text();
	}
	console.log(n);
})();
"""
WEBSOCKET = """
import asyncio, sys, websockets
async def talk(url, idle):
    async with websockets.connect(url) as ws:
        for i in range(100):
            text = str(i) * (i * i)
            await ws.send(text)
            if await ws.recv() != text:
                return "not " + str(i)
        await asyncio.sleep(idle)
        await ws.send(b"\\0\\1")
        return await ws.recv()
async def both(idle, *urls):
    print(await asyncio.gather(*(talk(u, float(idle)) for u in urls)))
asyncio.run(both(*sys.argv[1:]))
"""
# Every kind of connection at once, silent for a while, then used again.
IDLE = """
import socket, ssl, sys, time
name, echo, port, idle = sys.argv[1:]
HEAD = f"HEAD / HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n".encode()
def proxied():
    s = socket.create_connection(("127.0.0.1", 64505))
    s.sendall(f"CONNECT {echo}:{port} HTTP/1.1\\r\\n"
              f"Host: {echo}:{port}\\r\\n\\r\\n".encode())
    return s
def dial(*to):
    return socket.create_connection(to)
def tls():
    return ssl.create_default_context().wrap_socket(
        dial(name, 443), server_hostname=name)
def http(s):
    s.sendall(HEAD)
    return s.recv(4096).startswith(b"HTTP/1.1 200")
def bounce(s):
    s.sendall(b"ping\\0")
    return s.recv(4096) == b"ping\\0"
kinds = {"plain HTTP": (dial(name, 80), http), "TLS": (tls(), http),
         "a pin": (dial(echo, port), bounce), "a proxy": (proxied(), bounce),
         "silence from the first": (dial(echo, port), None)}
kinds["a proxy"][0].recv(4096)
for what, (s, ask) in kinds.items():
    s.settimeout(20)
    assert ask is None or ask(s), what
time.sleep(float(idle))
for what, (s, ask) in kinds.items():
    print("lives:" if (ask or bounce)(s) else "is dead:", what)
"""
SHUT_FIRST = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
data = b""
while some := s.recv(4096):
    data += some
s.sendall(b"said\\n" * 1000)
s.shutdown(socket.SHUT_WR)
print(data, s.recv(1))
"""
RESET = """
import socket, struct, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.sendall(b"ping\\0")
print(s.recv(5))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
"""


class Streams:
    def __init__(self, world, checks):
        self.world, self.checks = world, checks
        self.work = equip(world, "work")

    def inside(self, what, allow, command, *parts, code=0, may=(), more=()):
        """A run under these rules; what it may reach is theirs."""
        options = ["-w", self.work, "-e", f"NODE_EXTRA_CA_CERTS={CA}", *more]
        for rule in allow:
            options += ["--allow", rule]
        mark = self.world.mark()
        r = self.world.exeat(options, command, timeout=90)
        wrong = judge.judge_packets(self.world.seen(mark), [], list(may))
        wrong += [f"{p!r} is not in it" for p in parts
                  if p not in r.out + r.err]
        self.checks.check(what, r.code == code and not wrong, *wrong, r)
        return mark

    def logged(self, mark, **fields):
        return self.world.until(lambda: [
            r for r in self.world.log("net", mark)
            if judge.matches(r, fields)], 20)


def to(name, v4, v6, *ports):
    """Packets of connections to a host."""
    return [f"dns {name}"] + [f"tcp {a} {p}" for a in (v4, v6)
                              for p in ports]


def http2(s):
    """curl and node, on the ports of the web."""
    may = to(HOST, AT, AT6, 80, 443)
    version = ["-w", "%{http_version} %{num_connects}\n"]
    s.inside("curl: HTTP/2 by TLS", [HOST],
             ["curl", "-sS", *version, f"https://{HOST}/",
              f"https://{HOST}/2"], "2 1\n", "2 0\n", may=may)
    s.inside("curl: HTTP/2, many at a time", [HOST],
             ["curl", "-sSZ", *version, f"https://{HOST}/[1-30]"],
             "2 0\n", may=may)
    s.inside("curl: HTTP/2 by prior knowledge", [HOST],
             ["curl", "-sS", "--http2-prior-knowledge", *version,
              f"http://{HOST}/"], "2 1\n", may=may)
    for scheme in ("https", "http"):
        s.inside(f"node: a stream both ways, by {scheme}", [HOST],
                 ["node", "-e", NODE_STREAM, f"{scheme}://{HOST}"],
                 "200 0\n", may=may)


def served(s):
    """Another server of HTTP/2, its own clients, much in few windows."""
    if lacking(s.checks, "nghttpd", "nghttp", "h2load"):
        return
    root, keys = os.path.join(s.world.root, "h2"), s.world.root
    os.mkdir(root)
    with open(os.path.join(root, "big"), "wb") as f:
        f.truncate(SIZE)
    with open(os.path.join(root, "small"), "w", encoding="ascii") as f:
        f.write("a page\n")
    servers = Servers(s.world, s.checks)
    common = [path_of("nghttpd"), "-d", root, "-a", AT]
    tls, clear = (f"https://{HOST}:{H2_TLS}", f"http://{HOST}:{H2_CLEAR}")
    allow = [f"{HOST}:{H2_TLS}", f"{HOST}:{H2_CLEAR}"]
    may = to(HOST, AT, AT6, H2_TLS, H2_CLEAR)
    count = ["-o", "/dev/null", "-w", "%{http_version} %{size_download}\n"]
    servers.start("nghttpd, TLS", [
        *common, str(H2_TLS), os.path.join(keys, "server.key"),
        os.path.join(keys, "server.pem")], H2_TLS)
    servers.start("nghttpd", [*common, "--no-tls", "--echo-upload",
                              str(H2_CLEAR)], H2_CLEAR)
    s.inside("curl: much by HTTP/2", allow, ["curl", "-sS", *count,
                                             f"{tls}/big"],
             f"2 {SIZE}\n", may=may)
    s.inside("curl: much both ways by HTTP/2", allow,
             ["sh", "-c", f"head -c {SIZE} /dev/zero | curl -sS "
              f"--http2-prior-knowledge --data-binary @- {clear}/echo | "
              "wc -c"], f"{SIZE}\n", may=may)
    for url in (tls, clear):
        s.inside(f"nghttp: {url}", allow, ["nghttp", f"{url}/small"],
                 "a page\n", may=may)
    s.inside("nghttp: upgrade", [HOST], ["nghttp", "-u", f"http://{HOST}/"],
             f"hello from {HOST}", may=to(HOST, AT, AT6, 80))
    s.inside("h2load: many streams of many connections", allow,
             ["h2load", "-n", "400", "-c", "8", "-m", "10", f"{tls}/small"],
             "400 succeeded, 0 failed", may=may)
    servers.end()


def events(s):
    may = to(WEB, ALLOWED, ALLOWED6, 80, 443)
    for scheme in ("https", "http"):
        base = f"{scheme}://{WEB}"
        for what, more in (("", []), (", by the proxy", ["--proxy-env"])):
            s.inside(f"curl: events by {scheme}{what}", [WEB],
                     ["sh", "-c", SSE_CURL, "sh", base,
                      f"{scheme}{len(what)}", str(EVENTS)], f"{EVENTS}\n",
                     may=may, more=more)
        s.inside(f"node: events by {scheme}", [WEB],
                 ["node", "-e", SSE_NODE, base, f"{scheme}n", str(EVENTS)],
                 f"{EVENTS}\n", may=may)


def idle(s):
    """Both programs in one run: what they wait for is the same time."""
    web = to(WEB, ALLOWED, ALLOWED6, 80, 443)
    python = "/usr/bin/python3"
    said = [f"lives: {what}" for what in (
        "plain HTTP", "TLS", "a pin", "a proxy", "silence from the first")]
    sockets = [python, "-c", IDLE, WEB, ECHO_AT, str(ECHO), str(IDLE_S)]
    command = shlex.join(sockets)
    if not lacking_module(s.checks, "websockets"):
        said.append("[b'\\x00\\x01', b'\\x00\\x01']")
        command = shlex.join([
            python, "-c", WEBSOCKET, str(IDLE_S), f"wss://{WEB}/ws",
            f"ws://{WEB}/ws"]) + " & " + command + "; wait"
    s.inside("silent connections live on", [WEB, f"{ECHO_AT}:{ECHO}"],
             ["sh", "-c", command], *said, may=[
                 *web, f"tcp {ECHO_AT} {ECHO}"])


def ends(s):
    """One direction ends first; or all of it at once, by a reset."""
    for rule, name, packets in (
            (ECHO_AT, ECHO_AT, [f"tcp {ECHO_AT}"]),
            (f"{WEB}:{SHUTS}", WEB, to(WEB, ALLOWED, ALLOWED6, SHUTS))):
        mark = s.inside(f"{rule}: the server ends first", [rule],
                        ["/usr/bin/python3", "-c", SHUT_FIRST, name,
                         str(SHUTS)], "b'all of it\\n' b''", may=packets)
        s.checks.check(f"{rule}: and hears the rest", s.logged(
            mark, event="heard", data="said\n" * 1000))
    for rule, name, packets in (
            (ECHO_AT, ECHO_AT, [f"tcp {ECHO_AT}"]),
            (f"{WEB}:{ECHO}", WEB, to(WEB, ALLOWED, ALLOWED6, ECHO))):
        mark = s.inside(f"{rule}: the client resets", [rule],
                        ["/usr/bin/python3", "-c", RESET, name, str(ECHO)],
                        "b'ping\\x00'", may=packets)
        s.checks.check(f"{rule}: the server is told", s.logged(
            mark, event="reset", port=ECHO))
    s.inside("the server resets", [f"{WEB}:8080"],
             ["curl", "-sS", f"http://{WEB}:8080/reset"], "begin",
             "Connection reset by peer", code=56,
             may=to(WEB, ALLOWED, ALLOWED6, 8080))


def story(world):
    checks = Checks()
    streams = Streams(world, checks)
    for part in (http2, served, events, idle, ends):
        part(streams)
    return checks.status()
