"""HTTP/2 towards clients (RFC 9113): the same sites, routes and origins."""

import os
import signal
import threading

import pytest

from harness import origins, proxy, wait
from harness.client import curl, run
from harness.h2client import ERRORS, H2Client, Response, frame

RANDOM = os.urandom(3_000_000)


def connect(p, **more):
    return H2Client(p.port, **more)


def text(fields):
    return [(n.decode().lower(), v.decode()) for n, v in fields]


# --- what everybody does ---


@pytest.mark.memory
def test_a_request(served):
    p, origin = served()
    with connect(p) as c:
        r = c.get("/a?b=c", fields=[("x-one", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("user-agent", "t")])
    assert r.status == 200 and r.ended
    seen = origin.last
    assert seen.target == "/a?b=c" and seen.method == "GET"
    fields = text(seen.fields)
    assert fields.count(("host", "site.test")) == 1
    assert ("cookie", "a=1; b=2") in fields and ("x-one", "1") in fields
    assert ("x-forwarded-proto", "https") in fields and ("x-forwarded-host", "site.test") in fields
    assert not [n for n, _ in fields if n.startswith(":") or n in ("transfer-encoding", "content-length", "http2-settings")]
    line = p.access(1)[-1]
    assert line["protocol"] == "HTTP/2.0" and line["host"] == "site.test"


def test_a_large_head_of_a_response(served):
    """Larger than what libnghttp2 would send if it were not told to."""
    p, _ = served(sites=[proxy.site("site.test", response_headers={"set": {"X-Large-%d" % i: "x" * 4000 for i in range(25)}})])
    with connect(p, settings={6: 1 << 20}) as c:  # MAX_HEADER_LIST_SIZE
        assert c.get().status == 200, "and the settings are acknowledged"
        r = c.get()
    assert r.ended and sum(len(v) for n, v in r.head if n.startswith("x-large-")) == 100_000


def test_a_route_has_its_own_patience_with_bodies(served):
    """From the head on, before anything of the body has come."""
    routes = [{"path": "^/slow$", "timeouts": {"body": "1h"}}]
    p, origin = served(sites=[proxy.site("site.test", routes=routes)], timeouts={"body": "100ms"})
    with connect(p) as c:
        slow = c.request("POST", "/slow", end=False)
        for _ in range(3):
            assert c.wait(c.request("POST", "/other", end=False)).status == 408
        c.send_body(slow, b"abc")
        assert c.wait(slow).status == 200 and origin.last.body == b"abc"


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 100_000, 3_000_000])
@pytest.mark.parametrize("length", [True, False])
def test_bodies_both_ways(served, size, length):
    p, origin = served()
    body = RANDOM[:size]
    fields = [("content-length", str(size))] if length else []
    with connect(p) as c:
        r = c.wait(c.request("POST", "/echo", fields=fields, body=body))
    assert r.status == 200 and r.ended
    assert origin.last.body == body


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 10, 70_000, 3_000_000])
def test_responses(served, chunked, size):
    body = RANDOM[:size]
    if chunked:
        text = b"Transfer-Encoding: chunked\r\n\r\n" + (b"%x\r\n" % size + body + b"\r\n" if size else b"") + b"0\r\n\r\n"
    else:
        text = b"Content-Length: %d\r\n\r\n" % size + body
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nX-Upper: Value\r\nConnection: keep-alive\r\n" + text))
    with connect(p) as c:
        r = c.get("/")
        assert r.status == 200 and r.ended and r.body == body and r.field("x-upper") == "Value"
        assert r.field("content-length") == (None if chunked else str(size))
        assert not [n for n, _ in r.head if n in ("connection", "transfer-encoding", "keep-alive")]


@pytest.mark.parametrize("status", [204, 304])
def test_without_a_body(served, status):
    p, _ = served(origins.reply(b"HTTP/1.1 %d X\r\nEtag: \"a\"\r\n\r\n" % status))
    with connect(p) as c:
        r = c.get("/")
        assert r.status == status and r.ended and r.body == b""


def test_head(served):
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"))
    with connect(p) as c:
        r = c.wait(c.request("HEAD", "/"))
        assert r.status == 200 and r.ended and r.field("content-length") == "1234" and r.body == b""


@pytest.mark.threads
def test_many_at_once(served):
    gate = origins.Gate()
    p, _ = served(gate)
    with connect(p) as c:
        streams = [c.request("GET", "/%d" % i) for i in range(50)]
        for _ in streams:
            gate.wait_arrived()
        gate.release(len(streams))
        assert [c.wait(s).status for s in streams] == [200] * 50


@pytest.mark.memory
def test_trailers_of_a_request(served):
    p, origin = served()
    with connect(p) as c:
        stream = c.request("POST", "/", body=b"abc", end=False)
        c.send_trailers(stream, [("x-sum", "17"), ("x-client-cert-verify", "SUCCESS")])
        assert c.wait(stream).status == 200
    assert origin.last.body == b"abc"
    assert text(origin.last.trailers) == [("x-sum", "17")]


def test_trailers_of_a_response(served):
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 17\r\n\r\n"))
    with connect(p) as c:
        r = c.get("/")
        assert (r.status, r.body, r.trailers) == (200, b"abc", [("x-sum", "17")])


def test_interim_responses(served):
    p, _ = served(origins.reply(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with connect(p) as c:
        r = c.get("/")
        assert [dict(h)[":status"] for h in r.interim] == ["103", "100"] and dict(r.interim[0])["link"] == "</a>"
        assert (r.status, r.body) == (200, b"ok")


def test_an_early_response(served):
    """The rest of the request is thrown away, and the connection goes on."""

    def refuse(c):
        c.request_head()
        c.answer("403 Forbidden", b"no")
        c.wait_for_end()

    p, _ = served(refuse)
    with connect(p) as c:
        stream = c.request("POST", "/", body=RANDOM[:1000], end=False)
        r = c.wait(stream)
        assert (r.status, r.body) == (403, b"no")
        c.send_body(stream, RANDOM)
        assert c.get("/").status == 403


# --- with well-known clients ---


def test_curl(served, ca):
    p, origin = served()
    done = curl(p.port, "/x", "--http2", "-w", "%{http_version} %{http_code}", "-o", "/dev/null", "-T", "-", ca=ca, data=RANDOM[:500_000])
    assert done.stdout == b"2 200", done
    assert origin.last.body == RANDOM[:500_000]


def test_prior_knowledge(served, port):
    p, _ = served(listeners=[proxy.listener(port, tls=False)])
    say = ("-w", "%{http_version} %{http_code}", "-o", "/dev/null")
    assert curl(p.port, "/x", "--http2-prior-knowledge", *say, scheme="http").stdout == "2 200"
    with H2Client(port, tls=False) as c:
        assert c.get("/").status == 200
    assert curl(p.port, "/x", "--http2", *say, scheme="http").stdout == "1.1 200", "an Upgrade to h2c is not answered"


def test_switched_off(served, ca):
    p, _ = served(http2={"enabled": False})
    assert curl(p.port, "/x", "--http2", "-w", "%{http_version}", "-o", "/dev/null", ca=ca).stdout == "1.1"


@pytest.mark.threads
def test_h2load(served):
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + RANDOM[:1024]))
    done = run("h2load", "-n", "3000", "-c", "5", "-m", "20", "--connect-to", "127.0.0.1:%d" % p.port, "https://site.test:%d/" % p.port)
    assert "3000 succeeded, 0 failed" in done.stdout, done


# --- limits, errors and ends ---


@pytest.mark.parametrize("fields,status", [
    ([("x", "y" * 40_000)], 431),
    ([("x-%d" % i, "y") for i in range(120)], 431),
])  # fmt: skip
def test_too_large_a_head(served, fields, status):
    p, origin = served(limits={"head_bytes": "16k", "fields": 100})
    with connect(p) as c:
        c.h2.remote_settings[6] = 1 << 20
        assert c.get("/", fields=fields).status == status
        assert c.get("/").status == 200, "the connection is fine"


def test_too_large_a_body(served):
    p, _ = served(limits={"body_bytes": 1000})
    with connect(p) as c:
        assert c.wait(c.request("POST", "/", body=b"x" * 5000)).status == 413
        assert c.wait(c.request("POST", "/", fields=[("content-length", "2000")], body=b"x" * 2000)).status == 413
        assert c.get("/").status == 200


def malformed():
    base = [(":method", "GET"), (":scheme", "https"), (":authority", "site.test"), (":path", "/")]

    def without(name):
        return [f for f in base if f[0] != name]

    def with_(name, value):
        return [(n, value if n == name else v) for n, v in base]

    yield "no method", without(":method")
    yield "no path", without(":path")
    yield "no scheme", without(":scheme")
    yield "no authority", without(":authority")
    yield "an empty path", with_(":path", "")
    yield "a relative path", with_(":path", "a")
    yield "a path with a space", with_(":path", "/a b")
    yield "a path with a line end", with_(":path", "/a\r\nx: y")
    yield "a path with a fragment", with_(":path", "/a#b")
    yield "a method with a space", with_(":method", "GET /x HTTP/1.1\r\n")
    yield "an authority with userinfo", with_(":authority", "a@site.test")
    yield "an authority with a slash", with_(":authority", "site.test/x")
    yield "an authority with a line end", with_(":authority", "site.test\r\nx: y")
    yield "another scheme", with_(":scheme", "ftp")
    yield "two paths", base + [(":path", "/b")]
    yield "CONNECT to no port", [(":method", "CONNECT"), (":authority", "site.test")]
    yield "two authorities", base + [(":authority", "site.test")]
    yield "a pseudo-header field of responses", base + [(":status", "200")]
    yield "an unknown pseudo-header field", base + [(":x", "y")]
    yield "pseudo-header fields behind others", [("x", "y")] + base
    yield "an upper-case name", base + [("X-Up", "y")]
    yield "a name with a space", base + [("x y", "z")]
    yield "a name with a colon", base + [("x:y", "z")]
    yield "an empty name", base + [("", "z")]
    yield "a value with a line end", base + [("x", "a\r\nhost: evil")]
    yield "a value with LF", base + [("x", "a\nb")]
    yield "a value with NUL", base + [("x", "a\0b")]
    yield "a value with space before", base + [("x", " a")]
    yield "a value with space behind", base + [("x", "a ")]
    yield "connection", base + [("connection", "close")]
    yield "keep-alive", base + [("keep-alive", "timeout=5")]
    yield "proxy-connection", base + [("proxy-connection", "close")]
    yield "transfer-encoding", base + [("transfer-encoding", "chunked")]
    yield "upgrade", base + [("upgrade", "websocket")]
    yield "te", base + [("te", "gzip")]
    yield "another host", base + [("host", "other.test")]
    yield "two hosts", base + [("host", "site.test"), ("host", "site.test")]
    yield "two lengths", base + [("content-length", "0"), ("content-length", "0")]
    yield "a length that is none", base + [("content-length", "+1")]
    yield "a length of nothing", base + [("content-length", "5")]
    yield "a length in disguise", base + [("content_length", "5")]
    yield "two authorizations", base + [("authorization", "a"), ("authorization", "b")]


@pytest.mark.parametrize("head", [pytest.param(h, id=name) for name, h in malformed()])
def test_malformed_requests(served, head):
    """RFC 9113, 8.1.1: a stream error, nothing of it reaches an origin, and the connection goes on."""
    p, origin = served()
    with connect(p, strict=False) as c:
        r = c.wait(c.request(head=head))
        assert r.reset == ERRORS["PROTOCOL_ERROR"] or r.status == 400, (r.status, r.reset)
        assert origin.requests == []
        assert c.get("/fine").status == 200


def test_misdirected(served):
    p, origin = served()
    with connect(p) as c:
        assert c.get("/", authority="other.test").status == 421
        assert c.get("/").status == 200


@pytest.mark.threads
def test_the_client_resets(served):
    gate = origins.Gate()
    p, origin = served(gate)
    with connect(p) as c:
        stream = c.request("GET", "/slow")
        gate.wait_arrived()
        c.reset(stream)
        wait.until(lambda: p.counter("requests_in_flight") == 0, "the exchange to end")
        gate.release(2)
        assert c.get("/").status == 200
    assert 499 in [line["status"] for line in p.access(2)]


def test_the_origin_breaks_off(served):
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", close=True))
    with connect(p) as c:
        r = c.get("/")
        assert r.status == 200 and r.reset == ERRORS["INTERNAL_ERROR"] and not r.ended


def test_a_slow_reader_holds_nobody_up_and_little(served):
    """Its window is closed: what waits for it is bounded, and other streams go on."""
    p, origin = served(origins.by_target({"/big": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + RANDOM,
                                          "/small": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}))  # fmt: skip
    with connect(p) as c:
        c.automatic = False
        big = c.request("GET", "/big")
        c.wait_head(big)
        while len(c.responses[big].body) < 65535:
            assert c.receive()
        c.h2.increment_flow_control_window(65535)
        c.flush()
        assert c.get("/small").body == b"ok"
        c.automatic = True
        c.h2.increment_flow_control_window(3_000_000, big)
        c.h2.increment_flow_control_window(3_000_000)
        c.flush()
        assert c.wait(big).body == RANDOM


def test_idle_connections_are_told(served):
    p, _ = served(timeouts={"idle": "1s"})
    with connect(p) as c:
        assert c.get("/").status == 200
        assert c.wait_goaway() == 0
        c.wait_closed()
    wait.until(lambda: p.counter("connections_open") == 0, "the end")


def test_a_reload_sends_no_goaway(served):
    gate = origins.Gate()
    p, _ = served(gate)
    with connect(p) as c:
        stream = c.request("GET", "/")
        gate.wait_arrived()
        p.reload()
        gate.release(2)
        assert c.wait(stream).status == 200
        assert c.get("/").status == 200 and c.goaway is None


@pytest.mark.memory
def test_a_drain_lets_requests_end(served):
    gate = origins.Gate()
    p, _ = served(gate)
    with connect(p) as c:
        stream = c.request("GET", "/")
        gate.wait_arrived()
        p.send_signal(signal.SIGQUIT)
        assert c.wait_goaway() == 0
        gate.release(1)
        r = c.wait(stream)
        assert r.status == 200
        c.wait_closed()


def test_a_limit_of_requests(served):
    p, _ = served(limits={"requests_per_connection": 3})
    with connect(p) as c:
        assert [c.get("/").status for _ in range(3)] == [200] * 3
        assert c.wait_goaway() == 0


def test_requests_behind_the_limit_reach_no_origin(served):
    """They come in one read with the last that is taken; what a GOAWAY says was not looked at may be sent again elsewhere."""
    gate = origins.Gate()
    p, origin = served(gate, limits={"requests_per_connection": 1})
    clients = [connect(p) for _ in range(3)]
    for other in clients:
        other.request("GET", "/")
        gate.wait_arrived()
    gate.release(3)
    for other in clients:
        assert other.wait(1).status == 200
        other.close()
    with connect(p) as c:  # for each of its requests a connection is ready
        for n, stream in enumerate((1, 3, 5)):
            c.responses[stream] = Response()
            c.h2.send_headers(stream, c.head("GET", f"/{n}"), end_stream=True)
        c.flush()
        gate.wait_arrived()
        gate.release(3)
        assert c.wait(1).status == 200
        c.wait_closed()
    assert sorted(origin.targets) == ["/", "/", "/", "/0"]


# --- clients that stop reading ---


def open_windows(c):
    c.h2.increment_flow_control_window(1 << 30)
    c.flush()


WIDE = {4: (1 << 31) - 1}  # SETTINGS_INITIAL_WINDOW_SIZE


@pytest.mark.memory
def test_a_reset_while_the_socket_is_full(served):
    """A frame of DATA that was begun waits for the socket, and its stream ends for a fault of the client's."""
    stuck = threading.Event()
    p, _ = served(origins.endless(stuck.set))
    with connect(p, settings=WIDE, receive_buffer=1 << 18) as c:
        open_windows(c)
        stream = c.request("POST", "/", body=b"x", end=False)
        assert stuck.wait(wait.DEADLINE)
        c.send_trailers(stream, [("authorization", "x")])
        assert c.wait(stream).reset == ERRORS["PROTOCOL_ERROR"]
        assert "the worker died" not in p.log and "killed by signal" not in p.log


@pytest.mark.memory
def test_the_last_response_is_not_cut_off(served):
    """While its end is still in the kernel a client sends windows and more: closed with those unread, it would be lost."""
    body = RANDOM[:200_000]
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body), limits={"requests_per_connection": 1})
    with connect(p, settings=WIDE, receive_buffer=1 << 16) as c:
        open_windows(c)
        stream = c.request("GET", "/")
        p.access(1)
        p.status()  # a turn of the loop later, and more
        for _ in range(20):
            c.raw(frame(6, 0, 0, bytes(8)))
        r = c.wait(stream)
        assert r.ended and r.body == body and c.wait_goaway() == 0
