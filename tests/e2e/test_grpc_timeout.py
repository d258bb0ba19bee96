"""How long a call may take (grpc-timeout): in place of the timeouts of its route, and told in the words of gRPC."""

import pytest

from harness import fronts, wait
from harness.before import several, statuses
from harness.h2client import DATA, END_HEADERS, END_STREAM, ERRORS, frame

HEAD = [(":status", "200"), ("content-type", "application/grpc")]
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def call(c, path, timeout, body=b"\0\0\0\0\0"):
    asked = c.open("POST", path, GRPC + [("grpc-timeout", timeout)], streamed=True)
    if body is not None:
        asked.send(body)
        asked.end()
    return asked


@pytest.mark.parametrize(
    "timeout, tunnel", [("200m", "1h"), ("200000u", "1h"), ("1n", "1h"), ("1H", "200ms"), ("99999999S", "200ms")]
)
def test_a_call_that_takes_too_long(before, timeout, tunnel):
    """Its own deadline holds, up to timeouts.tunnel: both sides are told in their words."""
    origin = before.origin()
    p = before.start(timeouts={"response": "1h", "tunnel": tunnel})
    c = before.connect()
    assert c.ask().body == b"ok"
    beside = several(c, 1)
    r = call(c, "/hold/call", timeout).rest()
    assert r.whole and r.status == 200 and r.body == b"" and r.trailers == []
    assert r.field("grpc-status") == "4" and r.field("content-type") == "application/grpc" and r.field("grpc-message")
    p.wait_log(r"POST site\.test/hold/call: 504: the call took longer than its grpc-timeout")
    assert p.counter("requests_refused") == 1
    peer = origin.peers[0]
    if any(q.path == "/hold/call" for q in peer.requests):  # with 1n it may be over before it goes out
        stream = next(q.stream for q in peer.requests if q.path == "/hold/call")
        wait.until(lambda: peer.resets.get(stream) == ERRORS["CANCEL"], "the server to be told")
    wait.until(lambda: peer.held, "what came beside")
    origin.let_go()
    assert statuses(beside) == [200]
    assert len(origin.peers) == 1 or timeout == "1n"


def test_a_call_may_take_longer_than_others(before):
    origin = before.origin()
    before.start(timeouts={"response": "200ms", "response_body": "200ms", "tunnel": "1h"})
    c = before.connect()
    asked = call(c, "/hold/call", "1H")
    origin.wait_held(1)
    held = origin.peers[0].held.pop()
    for _ in range(2):
        assert c.ask("GET", "/hold/other").status == 504
    peer = origin.peers[0]
    peer.send(peer.headers(held.stream, HEAD))
    assert asked.head() == 200
    for _ in range(2):
        assert c.ask("GET", "/hold/other").status == 504
    end = peer.headers(held.stream, [("grpc-status", "0")], END_HEADERS | END_STREAM)
    peer.send(frame(DATA, 0, held.stream, b"\0\0\0\0\0"), end)
    r = asked.rest()
    assert r.whole and r.body == b"\0\0\0\0\0" and r.trailers == [("grpc-status", "0")]


def test_a_call_that_stops_within_its_answer(before):
    def half(peer, r):
        peer.send(peer.headers(r.stream, HEAD), frame(DATA, 0, r.stream, b"\0\0\0\0\0"))

    origin = before.origin(lambda peer: peer.serve({"/half": half}))
    before.start()
    c = before.connect()
    beside = several(c, 1)
    r = call(c, "/half", "300m").rest()
    assert r.whole and r.status == 200 and r.body == b"\0\0\0\0\0"
    assert ("grpc-status", "4") in r.trailers
    peer = origin.peers[0]
    wait.until(lambda: ERRORS["CANCEL"] in peer.resets.values(), "the server to be told")
    origin.let_go()
    assert statuses(beside) == [200] and len(origin.peers) == 1


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
@pytest.mark.parametrize("fields", [HEAD[:1], HEAD[:1] + [("content-length", "100")], HEAD + [("content-length", "100")]],
                         ids=["not of gRPC", "of a length", "of gRPC, of a length"])  # fmt: skip
def test_half_an_answer_does_not_pass_for_the_whole(before, front, fields):
    """What is no call's, or has told its length, can not end with a status: its client has to see that it is cut."""

    def half(peer, r):
        peer.send(peer.headers(r.stream, fields), frame(DATA, 0, r.stream, b"half"))

    before.origin(lambda peer: peer.serve({"/half": half}))
    before.start()
    assert call(before.connect(front), "/half", "300m").rest().cut


def test_a_call_whose_client_takes_its_time(before):
    """The deadline of a call holds while it is sent, in place of timeouts.body."""
    origin = before.origin()
    before.start(timeouts={"body": "100ms"})
    c = before.connect()
    r = call(c, "/hold/call", "500m", body=None).rest()
    assert r.whole and r.field("grpc-status") == "4"
    wait.until(lambda: ERRORS["CANCEL"] in origin.peers[0].resets.values(), "the server to be told")


@pytest.mark.parametrize("timeout", ["", "x", "100", "m", "-1m", "1.5S", "100s", "999999999m", "1 m"])
def test_a_grpc_timeout_that_is_none(before, timeout):
    """Others' timeouts hold then."""
    before.origin()
    before.start(timeouts={"response": "200ms"})
    assert call(before.connect(), "/hold/call", timeout).rest().status == 504


def test_what_is_no_call_has_no_grpc_timeout(before):
    before.origin()
    before.start(timeouts={"response": "300ms"})
    c = before.connect()
    assert c.ask("POST", "/hold", [("grpc-timeout", "1m"), ("content-type", "text/plain")]).status == 504
    assert c.ask("POST", "/hold", [("grpc-timeout", "1m"), ("content-type", "application/grpc-web")]).status == 504
    assert c.ask("POST", "/hold", [("grpc-timeout", "1m")]).status == 504
    assert c.ask("GET", "/hold", [("grpc-timeout", "1m"), ("content-type", "application/grpc")]).status == 504


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
@pytest.mark.parametrize("how, timeout", [("by config", "1H"), ("by ALPN", "300m")])
def test_a_deadline_does_not_keep_a_silent_client(before, front, how, timeout):
    """Where the request goes by HTTP/1.1, its deadline is none; a client that sends nothing can not hang on with one."""
    tls = how == "by ALPN"
    before.origin(tls=tls, **({"alpn": ["http/1.1"]} if tls else {}))
    before.start(timeouts={"body": "100ms"}, upstreams={"origin": {"http2": tls}})
    assert call(before.connect(front), "/hold/call", timeout, body=None).rest().status == 408
