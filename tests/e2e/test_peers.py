"""HTTP/2 and WebSocket with the programs that people have: Node's own, npm's ws, h2load, nghttp and nghttpd, nginx. No reload cuts
anything of what they do."""

import os
import re
import signal

import pytest

from harness import wait
from harness.h2peers import Nghttpd, h2load, nghttp

SIZES = [0, 1, 1000, 16384, 65535, 65536, 100_000, 300_000] * 6
# What an origin speaks. h1tls could be spoken HTTP/2 to, by us, but it picks the other one.
KINDS = ["h1", "h1tls", "h2", "h2tls"]


def upstream(kind, ca):
    """What an upstream's entry says of it."""
    tls = {"tls": {"ca": ca.file, "name": "site.test"}} if kind.endswith("tls") else {}
    return {} if kind == "h1" else dict(tls, http2=True)


def listening(server):
    return "127.0.0.1:%d" % server.call("listen")


@pytest.fixture
def web(node, rotating, identity, ca):
    """Node's server as the origin, and the proxy before it."""

    def start(kind, **over):
        server = node("web_server", kind, identity.file)
        return rotating(listening(server), upstreams={"origin": upstream(kind, ca)}, **over), server

    return start


@pytest.fixture
def browse(node, ca):
    """Node's client, connected to a proxy."""

    def connect(p):
        c = node("h2_client", p.port, ca.file)
        assert c.call("connect")["alpn"] == "h2"
        return c

    return connect


# --- Node's http2 ---


@pytest.mark.threads
@pytest.mark.parametrize("kind", KINDS)
def test_node_in_the_midst_of_a_reload(web, browse, kind):
    """Bodies go both ways at once, half of each before the certificate changes and half behind."""
    p, server = web(kind)
    c = browse(p)
    posts = c.start("post_many", path="/mirror", sizes=SIZES)
    server.wait("request", len(SIZES))
    p.rotate()
    c.call("finish")
    for size, r in zip(SIZES, posts.get()):
        assert (r["status"], r["length"], r["same"]) == (200, size, True)
        assert r["trailers"]["x-length"] == str(size) and len(r["trailers"]["x-sum"]) == 40
    p.rotate()
    assert c.call("get", path="/after")["body"] == "/after"
    assert c.events == [], "nothing was said of an end"
    assert {e["version"] for e in server.told("request")} == {"1.1" if kind.startswith("h1") else "2.0"}
    assert kind.startswith("h1") or server.call("connections") <= 2 * p.contents["threads"]


@pytest.mark.parametrize("kind", KINDS)
def test_node_is_told_of_a_drain(web, browse, kind):
    """GOAWAY, and what is on its way is answered before the connection closes."""
    p, server = web(kind)
    c = browse(p)
    held = c.start("get_many", path="/held/", count=50)
    server.wait("request", 50)
    p.send_signal(signal.SIGQUIT)
    assert c.wait("goaway")["code"] == 0
    server.call("open")
    assert held.get() == [{"status": 200, "body": "/held/%d" % i} for i in range(50)]
    c.wait("close")
    assert c.told("error") == []


@pytest.mark.parametrize("kind", KINDS)
def test_node_leaves(web, browse, kind):
    """Who goes takes its requests along, at the origin too."""
    p, server = web(kind)
    c = browse(p)
    c.start("get_many", path="/held/", count=10)
    server.wait("request", 10)
    c.process.kill()
    server.wait("aborted", 10)
    wait.until(lambda: p.counter("requests_in_flight") == 0, "the exchanges to end")


@pytest.mark.threads
@pytest.mark.parametrize("kind", ["h2", "h2tls"])
def test_node_as_an_origin_says_goaway(web, browse, kind):
    """What is on its way ends there, what follows goes elsewhere, and nobody notices."""
    p, server = web(kind)
    c = browse(p)
    for i in range(5):
        held = c.start("get_many", path="/held/%d/" % i, count=20)
        server.wait("request", 20)
        server.call("goaway")
        free = c.call("get_many", path="/free/%d/" % i, count=20)
        assert [r["status"] for r in free] == [200] * 20
        server.call("open")
        assert [r["status"] for r in held.get()] == [200] * 20
        server.events.clear()
    assert server.call("connections") > 1


# --- ws ---


@pytest.fixture
def sockets(node, rotating, ca):
    """The proxy before a server by ws, and a function that starts a client of this version of HTTP."""
    server = node("ws_server")
    p = rotating(listening(server))
    return p, server, lambda version: node("ws_client", p.port, ca.file, version)


VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["Upgrade", "CONNECT"])


@VERSIONS
def test_ws(sockets, version):
    p, server, client = sockets
    c = client(version)
    (extensions,) = c.call("open", path="/chat")
    assert extensions.startswith("permessage-deflate") and server.wait("connection")["extensions"] == "permessage-deflate"
    c.call("echo", sizes=[0, 1, 125, 126, 65535, 65536, 1_000_000])
    c.call("ping", data="from the client")
    server.wait("ping", data="from the client")
    c.wait("pong", data="from the client")
    server.call("ping", data="from the server")
    server.wait("pong", data="from the server")
    assert p.counter("tunnels_open") == 1
    c.call("close", code=4001, reason="enough")
    server.wait("closed", code=4001, reason="enough")
    c.wait("closed", code=4001, reason="enough")
    wait.until(lambda: p.counter("tunnels_open") == 0, "the tunnel to end")
    (line,) = [line for line in p.access(1) if line["target"] == "/chat0"]
    assert line["protocol"] == ("HTTP/1.1" if version == 1 else "HTTP/2.0")


@VERSIONS
def test_ws_closed_by_the_server(sockets, version):
    p, server, client = sockets
    c = client(version)
    c.call("open", path="/chat", count=3)
    server.wait("connection", 3)
    server.call("close", code=4002, reason="no more")
    c.wait("closed", 3, code=4002, reason="no more")
    server.wait("closed", 3, code=4002)
    wait.until(lambda: p.counter("tunnels_open") == 0, "the tunnels to end")


@VERSIONS
def test_ws_across_reloads(sockets, version):
    p, server, client = sockets
    c = client(version)
    c.call("open", path="/chat", count=20)
    assert p.counter("connections_open") == (20 if version == 1 else 1)
    for _ in range(wait.fewer(5, 2)):
        talk = c.start("echo", sizes=[10, 10_000, 100_000])
        p.rotate()
        talk.get()
        c.call("echo", sizes=[1])
    assert c.events == [] and not server.told("closed") and not server.told("error")


# --- h2load, nghttp, nghttpd and nginx ---


@pytest.fixture
def origin(request, nginx, directory, identity, ca):
    """A real server, by what is spoken to it, with two files: its address, and what an upstream's entry says of it."""
    program, kind = request.param.split()
    files = {"a.txt": b"a" * 1024, "large.txt": os.urandom(1 << 20)}
    if program == "nginx":
        server = nginx(identity=identity if kind == "h2tls" else None, http2=kind != "h1")
        for name, data in files.items():
            server.file(name, data)
    else:
        root = directory / "nghttpd"
        root.mkdir()
        for name, data in dict(files, echo=b"").items():  # it sends back what is posted to /echo
            (root / name).write_bytes(data)
        server = Nghttpd(root, "--echo-upload", "--trailer=x-trailer: of nghttpd", identity=identity if kind == "h2tls" else None)
    yield server.address, upstream(kind, ca), files
    server.stop()


SERVERS = ["nginx h1", "nginx h2", "nginx h2tls", "nghttpd h2", "nghttpd h2tls"]


@pytest.mark.parametrize("origin", SERVERS, indirect=True)
def test_h2load_across_reloads(rotating, origin):
    """16 connections of 16 streams each: not one request of them notices."""
    address, entry, _ = origin
    p = rotating(address, upstreams={"origin": entry})
    total = wait.fewer(30_000, 3000)
    reloads = 0
    with h2load(p.port, "/a.txt", "-n", total, "-c", 16, "-m", 16) as load:
        while reloads < 3 or load.poll() is None:
            p.rotate()
            reloads += 1
            assert reloads > 3 or load.poll() is None, "it was done before: more requests are needed"
    said = load.said
    assert "%d total, %d started, %d done, %d succeeded, 0 failed, 0 errored, 0 timeout" % ((total,) * 4) in said, said
    assert "status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx" % total in said, said
    assert "Application protocol: h2" in said
    assert p.counter("requests") == total


@pytest.mark.parametrize("origin", SERVERS, indirect=True)
def test_nghttp(rotating, origin):
    address, entry, files = origin
    p = rotating(address, upstreams={"origin": entry})
    said = nghttp(p.port, "/large.txt", "--null-out", "--verbose")
    assert "The negotiated protocol: h2" in said and ":status: 200" in said
    sizes = re.findall(r"recv DATA frame <length=(\d+),", said)
    assert sum(int(n) for n in sizes) == len(files["large.txt"])
    assert re.search(r"send GOAWAY frame.*\n.*\n?.*error_code=NO_ERROR", said) and "recv RST_STREAM" not in said
    assert nghttp(p.port, "/a.txt").encode() == files["a.txt"]
    assert nghttp(p.port, "/a.txt", "--multiply=20").encode() == files["a.txt"] * 20


@pytest.mark.parametrize("origin", ["nghttpd h2", "nghttpd h2tls"], indirect=True)
def test_nghttpd_echoes_an_upload(rotating, origin, directory):
    address, entry, files = origin
    p = rotating(address, upstreams={"origin": entry})
    body = directory / "body"
    body.write_bytes(b"0123456789" * 30_000)
    assert nghttp(p.port, "/echo", "--data=%s" % body) == body.read_text()
    said = nghttp(p.port, "/a.txt", "--data=%s" % body, "--trailer=x-behind: the body", "--null-out", "--verbose")
    assert ":status: 200" in said and "x-trailer: of nghttpd" in said
