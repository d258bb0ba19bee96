"""What is told of HTTP/2 towards origins: in the metrics, in the status and in the access log."""

import pytest

from harness import origins, wait
from harness.before import bodies, several
from harness.h2client import DATA, END_STREAM, frame


def counted(before, name):
    return before.proxy.counter("origin_http2_" + name)


def until_counted(before, name, n):
    wait.until(lambda: counted(before, name) == n, "%s to be %d" % (name, n))


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_open(before, tls):
    origin = before.origin(tls=tls)
    before.start()
    c = before.connect()
    asked = several(c, 3)
    wait.until(lambda: len(origin.all) == 3, "the requests to come")
    assert counted(before, "connections_open") == 1 and counted(before, "streams_open") == 3
    asked[0].abort()
    until_counted(before, "streams_open", 2)
    origin.let_go()
    assert bodies(asked[1:]) == [b"ok"] * 2
    until_counted(before, "streams_open", 0)
    assert counted(before, "connections_open") == 1
    origin.stop()
    until_counted(before, "connections_open", 0)


def test_what_goes_wrong(before):
    """Refused, reset, malformed: each is counted as what it is."""
    seen = []

    def once(peer, r):
        seen.append(r)
        if len(seen) == 1:
            peer.reset(r)
        else:
            peer.answer(r)

    special = {
        "/refused": once,
        "/not%20here": lambda peer, r: peer.reset(r, "HTTP_1_1_REQUIRED"),
        "/reset": lambda peer, r: peer.reset(r, "INTERNAL_ERROR"),
        "/malformed": lambda peer, r: peer.send(frame(DATA, END_STREAM, 0, b"on the connection")),
    }
    before.origin(lambda peer: peer.serve(special))
    before.start()
    assert before.ask("/not%20here", "POST").status == 200 and counted(before, "streams_refused") == 0
    for path, status, name in [("/refused", 200, "streams_refused"), ("/reset", 502, "streams_reset"),
                               ("/malformed", 502, "protocol_errors")]:  # fmt: skip
        assert counted(before, name) == 0
        assert before.ask(path, "POST").status == status
        assert counted(before, name) == 1
    assert counted(before, "streams_refused") == counted(before, "streams_reset") == 1
    until_counted(before, "connections_open", 0)
    assert counted(before, "streams_open") == 0


def test_a_server_that_chooses_http1_is_not_counted(before):
    before.origin(tls=True, alpn=["http/1.1"], plain=origins.echo)
    p = before.start()
    assert before.ask().status == 200
    assert counted(before, "connections_open") == counted(before, "streams_open") == 0
    assert p.access(1)[0]["server_protocol"] == "HTTP/1.1"


def protocols(p):
    return [s["protocol"] for u in p.status()["upstreams"] for s in u["servers"]]


def test_the_version_of_each_server(before, recorder):
    """None before it has answered."""
    before.origin()
    old = recorder(origins.reply(b"HTTP/1.0 200 OK\r\n\r\nold", close=True))
    silent = recorder(lambda c: c.request())
    p = before.start()
    assert protocols(p) == [None]
    assert before.ask().status == 200
    assert protocols(p) == ["HTTP/2.0"]
    assert "HTTP/2.0" in p.command("status").stdout.split("\nUpstreams\n")[1].split("\n\n")[0]

    p.reconfigure(upstreams={"origin": {"http2": False, "servers": [{"address": old.address}]}})
    assert before.ask().body == b"old" and protocols(p) == ["HTTP/1.0"]
    p.reconfigure(upstreams={"origin": {"servers": [{"address": silent.address}]}})
    assert before.ask().status == 502 and protocols(p) == [None]
    assert [line.get("server_protocol") for line in p.access(3)] == ["HTTP/2.0", "HTTP/1.0", None]


def test_why_connections_were_closed(before):
    before.origin()
    p = before.start()
    assert before.ask().status == 200
    wait.until(lambda: p.counter("connections_open") == 0, "the connection to be closed")
    closed = p.status()["connections_closed"]
    assert closed["client"] == 1 and sum(closed.values()) == 1 and "flood" in closed
    text = p.command("status").stdout.split("\nConnections closed, by reason\n")[1]
    assert text.split() == ["client", "1"], "those that are not zero"
