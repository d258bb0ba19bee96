"""Too large, too slow, too many: each has its answer, and costs the others nothing."""

import time

import pytest

from harness import client, proxy, wait, wire
from harness.origins import Gate
from harness.ports import free_port


def refused(c, status, method="GET"):
    """The answer to what was sent is this status, and the end of the connection."""
    answer = c.response(method)
    assert answer.status == status
    assert answer.get("Connection") == "close"
    assert c.rest() == b""
    return True


# --- too large ---


def test_413_by_its_length(simple, echo):
    p = simple(limits={"body_bytes": "10k"})
    with p.client() as c:
        assert c.request("POST", "/", body=b"x" * 10240).status == 200
        echo.forget()
        c.send_request("POST", "/", {"Content-Length": "10241"})
        assert refused(c, 413)
    assert not echo.requests


def test_413_of_a_body_whose_length_shows_only_as_it_comes(simple, echo):
    p = simple(limits={"body_bytes": "10k"})
    with p.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.send("1000\r\n" + "x" * 4096 + "\r\n")
        c.send("2000\r\n" + "x" * 8192 + "\r\n0\r\n\r\n")
        assert refused(c, 413)
    assert not echo.requests, "a request without its end is none"


def test_413_instead_of_100(simple):
    p = simple(limits={"body_bytes": "10k"})
    with p.client() as c:
        c.send_request("POST", "/", {"Expect": "100-continue", "Content-Length": "99999"})
        assert refused(c, 413)


def test_413_reaches_a_client_that_sends_all_of_it(simple):
    """The answer is not lost in a reset because of what was still coming."""
    p = simple(limits={"body_bytes": "10k"})
    for _ in range(10):
        with p.client() as c:
            c.send_request("POST", "/", body=b"x" * 300_000)
            assert c.response().status == 413


def test_413_reaches_a_client_that_sends_slowly(simple):
    p = simple(limits={"body_bytes": "10k"})
    with p.client() as c:
        c.send_request("POST", "/", {"Content-Length": "300000"})
        for _ in range(7):
            c.send(b"x" * 10_000)
            time.sleep(0.5)  # for longer in all than a silent client is waited for
        assert c.response().status == 413


def test_431_of_a_large_head(simple, echo):
    p = simple(limits={"head_bytes": "4k"})
    with p.client() as c:
        assert c.request(fields={"X-A": "x" * 3500}).status == 200
        echo.forget()
        c.send_request(fields={"X-A": "x" * 4096})
        assert refused(c, 431)
    assert not echo.requests


def test_431_of_a_head_without_end(simple):
    p = simple(limits={"head_bytes": "4k"})
    with p.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: site.test\r\nX-A: " + "x" * 8192)
        assert refused(c, 431)


def test_431_of_many_fields(simple, echo):
    p = simple(limits={"fields": 20})
    with p.client() as c:
        assert c.request(fields=[("X-%d" % i, "1") for i in range(15)]).status == 200
        echo.forget()
        c.send_request(fields=[("X-%d" % i, "1") for i in range(25)])
        assert refused(c, 431)
    assert not echo.requests


def test_414(simple):
    p = simple(limits={"head_bytes": "4k"})
    with p.client() as c:
        assert c.request(target="/" + "x" * 3500).status == 200
        c.send_request(target="/" + "x" * 5000)
        assert refused(c, 414)
    with p.client() as c:
        c.send("GET /" + "x" * 5000)
        assert refused(c, 414)


def test_an_answer_with_a_head_too_large(simple, recorder):
    from harness import origins

    huge = b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 8192 + b"\r\nContent-Length: 0\r\n\r\n"
    assert simple(recorder(origins.reply(huge)).address, limits={"head_bytes": "4k"}).get().status == 502


def test_an_error_of_our_own_says_what_is_wrong(simple):
    with simple().client() as c:
        c.send("GET / HTTP/1.1\r\nHost: site.test\r\nX A: b\r\n\r\n")
        answer = c.response()
        assert answer.status == 400
        assert "400" in answer.text and answer.get("Content-Type", "").startswith("text/")


# --- too slow ---


def test_408_of_a_slow_head(simple, echo):
    p = simple(timeouts={"head": "300ms"})
    with p.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: si")
        assert refused(c, 408)
    assert not echo.requests


def test_408_though_bytes_drip_in(simple):
    """The time runs from the head's first byte, whatever comes meanwhile."""
    p = simple(timeouts={"head": "300ms"})
    with p.client() as c:
        c.send("GET / HTTP/1.1\r\n")

        def drip():
            try:
                c.send("X: y\r\n")
            except OSError:
                pass

        import select

        wait.until(lambda: wait.readable(c.raw, 0), "an answer", on_end=drip)
        assert c.response().status in (408, 431)


def test_408_of_a_slow_body(simple, echo):
    p = simple(timeouts={"body": "300ms"})
    with p.client() as c:
        c.send_request("POST", "/", {"Content-Length": "100"})
        c.send("half of it")
        assert refused(c, 408)
    assert not echo.requests


def test_an_idle_connection_is_closed(simple):
    p = simple(timeouts={"idle": "300ms"})
    with p.client() as c:
        assert c.request().status == 200
        assert c.rest() == b"", "closed without an answer to nothing"
    with p.client() as c:
        assert c.rest() == b"", "the same before the first request"


def test_a_handshake_that_does_not_go_on(simple):
    p = simple(timeouts={"handshake": "300ms"})
    with p.client(tls=False) as c:
        c.send(b"\x16\x03\x01")
        c.rest()
    assert p.get().status == 200


def test_a_client_that_takes_nothing(simple, recorder):
    """A client that reads no more is cut off, and its origin is free again."""

    def endless(c):
        c.request()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**9)
        while True:
            c.send(b"x" * 65536)

    origin = recorder(endless)
    p = simple(origin.address, timeouts={"send": "300ms"})
    with p.client(receive_buffer=4096) as c:
        c.send_request()
        wait.until(lambda: origin.connections and origin.connections[0].closed.is_set(), "the origin's connection to be closed")
        wait.until(lambda: p.counter("connections_open") == 0, "the client's connection to be closed")


def test_slow_is_not_too_slow(simple, recorder):
    """A request that waits for its origin longer than an idle connection may wait."""
    gate = Gate()
    p = simple(recorder(gate).address, timeouts={"idle": "200ms", "head": "200ms", "body": "200ms"})
    with p.client() as c, p.client() as marker:
        c.send_request()
        gate.wait_arrived()
        assert marker.rest() == b"", "an idle connection has been closed meanwhile"
        gate.release()
        assert c.response().body == b"released"


# --- too many ---


def test_more_connections_than_allowed(simple):
    p = simple(connections=4, threads=1)
    within = [p.client() for _ in range(4)]
    for c in within:
        assert c.request().status == 200
    for _ in range(6):
        try:
            with p.client() as c:
                assert c.request().status == 503
        except (OSError, wire.Ended):
            pass
    for c in within:
        assert c.request().status == 200
    assert p.counter("connections_refused") >= 6
    for c in within:
        c.close()
    wait.until(lambda: _served(p), "connections to be served again")


def _served(p):
    try:
        return p.get().status == 200
    except (OSError, wire.Ended):
        return False


def test_requests_per_connection(simple):
    with simple(limits={"requests_per_connection": 3}).client() as c:
        assert c.request().get("Connection") is None
        assert c.request().get("Connection") is None
        assert c.request().get("Connection") == "close"
        assert c.ended()


def test_limits_are_a_sites_own(simple, directory, ca):
    p = simple(
        bundles={"tight": ca.leaf("tight.test").files(directory, "tight")},
        sites=[
            proxy.site("site.test"),
            proxy.site("tight.test", bundle="tight", limits={"body_bytes": "1k", "head_bytes": "2k"}),
        ],
    )
    assert client.answered(p.port, "site.test", "POST", body=b"x" * 5000).status == 200
    assert client.answered(p.port, "tight.test", "POST", body=b"x" * 5000).status == 413
    assert client.answered(p.port, "site.test", fields={"X-A": "x" * 3000}).status == 200
    assert client.answered(p.port, "tight.test", fields={"X-A": "x" * 3000}).status == 431


@pytest.mark.parametrize("n", [50])
def test_many_connections_that_send_nothing(simple, n):
    port = free_port()
    p = simple(listeners=[proxy.listener(port)])
    idle = [p.client() for _ in range(n)]
    assert p.get().status == 200
    assert p.counter("connections_open") >= n
    for c in idle:
        c.close()
