"""gRPC as people run it: @grpc/grpc-js on both sides, the proxy between, HTTP/2 to clients and to origins."""

import pytest

from harness import wait
from harness.h2client import H2Client

OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 1, 3, 4, 14
KINDS = ["Unary", "Collect", "Scatter", "Chat"]
HUGE = 4 << 20


@pytest.fixture(params=["plain", "tls"])
def server(request, node, identity):
    """A function that starts a gRPC server: the program and its address."""

    def start():
        s = node("grpc_server", *([identity.file] if request.param == "tls" else []))
        s.address = "127.0.0.1:%d" % s.call("listen")
        return s

    start.tls = request.param == "tls"
    return start


@pytest.fixture
def grpc(server, node, rotating, ca):
    """A function that starts the proxy before so many servers: proxy, a client, the servers."""

    def start(servers=1, **over):
        running = [server() for _ in range(servers)]
        entry = dict(over.pop("upstream", {}), http2=True)
        if server.tls:
            entry["tls"] = {"ca": ca.file, "name": "site.test"}
        p = rotating(*[s.address for s in running], upstreams={"origin": entry}, **over)
        return p, node("grpc_client", p.port, ca.file), *running

    return start


def messages(kind):
    return [100] if kind == "Unary" else [100, 0, 70_000, 1] if kind != "Scatter" else [1000] * 20


def test_every_kind_of_call(grpc):
    p, client, server = grpc()
    fields = {"x-text": "some text", "x-bytes-bin": "00ff80"}
    for kind in KINDS:
        r = client.call("run", kind=kind, sizes=messages(kind), fields=dict(fields, do="echo"))
        assert (r["code"], r["same"]) == (OK, True), (kind, r)
        assert {n: r["head"][n] for n in fields} == fields, kind
        assert (r["trailers"]["x-behind"], r["trailers"]["x-behind-bin"]) == ("trailers of some text", "00ff80"), kind
    assert [line["target"] for line in p.access(4)] == ["/test.Peer/" + kind for kind in KINDS]
    assert {line["protocol"] for line in p.access()} == {"HTTP/2.0"}


@pytest.mark.parametrize("late", [False, True], ids=["trailers only", "behind a head"])
def test_a_call_that_fails(grpc, late):
    p, client, server = grpc()
    message = "no: 100 % nicht möglich"
    fields = {"do": "fail", "status": INVALID_ARGUMENT, "message": "no%3A%20100%20%25%20nicht%20m%C3%B6glich", "x-text": "a call"}
    for kind in KINDS:
        r = client.call("run", kind=kind, sizes=messages(kind), fields=dict(fields, **({"late": 1} if late else {})))
        assert (r["code"], r["details"]) == (INVALID_ARGUMENT, message), (kind, r)
        assert r["trailers"]["x-behind"] == "trailers of a call", (kind, r)
    assert {line["status"] for line in p.access(4)} == {200}


def head(path, *more):
    return [(":method", "POST"), (":scheme", "https"), (":authority", "site.test"), (":path", path), ("te", "trailers"),
            ("content-type", "application/grpc"), *more]  # fmt: skip


def test_trailers_only_is_one_head(grpc):
    """An error without a message is a head that ends the stream, not a head and trailers."""
    p, client, server = grpc()
    with H2Client(p.port) as c:
        r = c.wait(c.request(head=head("/test.Peer/Unary", ("do", "fail"), ("status", "3"), ("message", "no")), body=bytes(5)))
        assert (r.status, r.field("grpc-status"), r.body, r.trailers) == (200, "3", b"", None)
        r = c.wait(c.request(head=head("/test.Peer/Missing"), body=bytes(5)))
        assert (r.status, r.field("grpc-status"), r.body, r.trailers) == (200, "12", b"", None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline_passes(grpc, kind):
    p, client, server = grpc()
    r = client.call("run", kind=kind, sizes=messages(kind), fields={"do": "hold"}, timeout=1000)
    assert r["code"] == DEADLINE_EXCEEDED
    assert server.wait("call")["limited"], "the server is told of the deadline"
    server.wait("cancelled")
    wait.until(lambda: p.counter("requests_in_flight") == 0, "the exchange to end")
    assert client.call("run", kind=kind, sizes=messages(kind), fields={"do": "echo"}, timeout=60_000)["code"] == OK


@pytest.fixture
def web(node, rotating):
    """The proxy before an HTTP/2 server that knows nothing of gRPC, and so of no deadlines."""

    def start(**over):
        server = node("web_server", "h2")
        return rotating("127.0.0.1:%d" % server.call("listen"), upstreams={"origin": {"http2": True}}, **over), server

    return start


def test_a_server_that_heeds_no_deadline(web):
    """The proxy ends the call to both sides: with a head alone, and where there was one that is no call's, by a reset."""
    p, server = web()
    with H2Client(p.port) as c:
        r = c.wait(c.request(head=head("/held", ("grpc-timeout", "200m")), body=bytes(5)))
        assert (r.status, r.field("grpc-status"), r.body) == (200, str(DEADLINE_EXCEEDED), b"") and r.ended
        server.wait("aborted", path="/held")
        stream = c.request(head=head("/mirror", ("grpc-timeout", "200m")), body=b"abc", end=False)
        r = c.wait(stream)
        assert (r.status, r.body) == (200, b"abc") and not r.ended and r.reset is not None
        server.wait("aborted", path="/mirror")


def test_a_deadline_holds_in_place_of_timeouts(web):
    p, server = web(timeouts={"response": "300ms"})
    with H2Client(p.port) as c:
        call = c.request(head=head("/held/call", ("grpc-timeout", "1H")), body=bytes(5))
        server.wait("request", path="/held/call")
        assert c.get("/held").status == 504, "who came later is too late already"
        server.call("open")
        r = c.wait(call)
        assert (r.status, r.body) == (200, b"/held/call")


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_cancels(grpc, kind):
    p, client, server = grpc()
    call = client.start("run", kind=kind, sizes=messages(kind), fields={"do": "hold"}, name="mine")
    other = client.start("run", kind=kind, sizes=messages(kind), fields={"do": "hold"})
    server.wait("call", 2)
    client.call("cancel", name="mine")
    assert call.get()["code"] == CANCELLED
    server.wait("cancelled", 1)
    server.call("open")
    assert other.get()["code"] == OK, "no other call on that connection is"
    assert len(server.told("cancelled")) == 1
    wait.until(lambda: p.counter("requests_in_flight") == 0, "the exchanges to end")


@pytest.mark.parametrize("kind", KINDS)
def test_large_messages(grpc, kind):
    p, client, server = grpc()
    r = client.call("run", kind=kind, sizes=[HUGE] * (1 if kind == "Unary" else 3), fields={"do": "echo"})
    assert (r["code"], r["same"]) == (OK, True), r


@pytest.mark.threads
def test_a_hundred_calls_in_the_midst_of_a_reload(grpc):
    """They come over one connection, go over few, and a changed certificate ends none of them."""
    p, client, server = grpc()
    calls = [client.start("run_many", count=25, kind=kind, sizes=messages(kind), fields={"do": "hold"}) for kind in KINDS]
    server.wait("call", 100)
    assert p.counter("connections_open") == 1
    assert server.call("connections") <= 2 * p.contents["threads"]
    for _ in range(3):
        p.rotate()
    assert p.counter("requests_in_flight") == 100
    server.call("open")
    for c in calls:
        assert {(r["code"], r["details"], r["same"]) for r in c.get()} == {(OK, "OK", True)}
    assert server.told("cancelled") == []


def go_on(client):
    """Until calls that begin now have ended."""
    so_far = len(client.told("calls"))
    client.wait("calls", so_far + 5)


@pytest.mark.threads
def test_one_of_two_servers_shuts_down(grpc):
    """What it has begun it ends, and what follows is the other one's; nobody notices, whatever is on its way."""
    p, client, first, second = grpc(servers=2)
    held = client.start("run_many", count=20, kind="Chat", sizes=[10, 10], fields={"do": "hold"})
    wait.until(lambda: len(first.told("call")) + len(second.told("call")) >= 20, "the calls to arrive")
    assert first.told("call") and second.told("call")
    steady = client.start("run_on", lanes=10, kind="Unary", sizes=[1000], fields={"do": "echo"})
    client.wait("calls", 2)
    first.call("shut_down")
    go_on(client)
    assert not held.there, "it waits for the calls that are held"
    first.call("open")
    second.call("open")
    assert {(r["code"], r["same"]) for r in held.get()} == {(OK, True)}
    so_far = len(first.told("call"))
    go_on(client)
    client.call("enough")
    assert set(steady.get()) == {"good"}
    assert len(first.told("call")) == so_far


def test_no_server(grpc):
    """What the proxy itself answers, a gRPC client understands."""
    p, client, server = grpc()
    assert client.call("run", kind="Unary", fields={"do": "echo"})["code"] == OK
    server.stop()
    r = client.call("run", kind="Unary", fields={"do": "echo"})
    assert r["code"] == UNAVAILABLE, r
