"""RFC 9113 towards origins: what is malformed or slow costs its own stream, or its connection, and nobody else."""

import threading

import pytest

from harness import fronts, h2origin, process, wait
from harness.before import several, statuses
from harness.h2client import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE,
                              RST_STREAM, SETTINGS, WINDOW_UPDATE, frame)  # fmt: skip
from harness.h2raw import INITIAL_WINDOW_SIZE, settings

BIG = bytes(range(256)) * 4096  # 1 MiB
FINE, STREAM, CUT, CONNECTION = "nothing", "the stream", "the stream, which has begun", "the connection"
STATUS = (":status", "200")


def head(*fields, flags=END_HEADERS | END_STREAM):
    """A HEADERS frame."""
    return lambda peer, r: peer.headers(r.stream, list(fields), flags)


def begun(*frames, length=None):
    """Behind a sound head: frames, or functions of peer and request."""

    def build(peer, r):
        fields = [STATUS] + ([("content-length", length)] if length else [])
        return peer.headers(r.stream, fields) + b"".join(f(peer, r) if callable(f) else f for f in frames)

    return build


def data(payload, flags=0):
    return lambda peer, r: frame(DATA, flags, r.stream, payload)


def trailers(*fields, flags=END_HEADERS | END_STREAM):
    return head(*fields, flags=flags)


def raw(payload):
    return lambda peer, r: payload


MALFORMED = [
    ("no :status", STREAM, head(("x-one", "1"))),
    ("nothing at all", STREAM, head()),
    (":status twice", STREAM, head(STATUS, STATUS)),
    (":status behind a field", STREAM, head(("x-one", "1"), STATUS)),
    ("an unknown pseudo-header field", STREAM, head(STATUS, (":what", "1"))),
    ("a request's pseudo-header field", STREAM, head(STATUS, (":path", "/"))),
    *[(":status %r" % v, STREAM, head((":status", v))) for v in ("", "20", "2000", "abc", "2x0", "+20", "099", " 200", "200 ")],
    ("101", STREAM, head((":status", "101"), flags=END_HEADERS)),
    ("an interim response that ends the stream", STREAM, head((":status", "103"))),
    ("an uppercase name", STREAM, head(STATUS, ("X-One", "1"))),
    ("an empty name", STREAM, head(STATUS, ("", "1"))),
    *[("a name with %r" % c, STREAM, head(STATUS, ("x%sone" % c, "1"))) for c in " :\t\r\n\0\x7f()"],
    *[("a value with %r" % c, STREAM, head(STATUS, ("x-one", "a%sb" % c))) for c in "\r\n\0"],
    *[("the field %s" % n, STREAM, head(STATUS, (n, v))) for n, v in (
        ("connection", "close"), ("keep-alive", "timeout=5"), ("proxy-connection", "close"), ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"))],
    *[("content-length %r" % v, STREAM, head(STATUS, ("content-length", v), flags=END_HEADERS)) for v in (
        "x", "-1", "1,1", "", "1 1", "99999999999999999999")],
    ("content-length twice, differing", STREAM, head(STATUS, ("content-length", "1"), ("content-length", "2"), flags=END_HEADERS)),
    ("content-length without a body", STREAM, head(STATUS, ("content-length", "5"))),
    ("a head above limits.head_bytes", STREAM, head(STATUS, *[("x-%d" % i, "x" * 4000) for i in range(10)])),
    ("more fields than limits.fields", STREAM, head(STATUS, *[("x-%d" % i, "1") for i in range(120)])),
    ("DATA before the head", CONNECTION, data(b"abc")),
    ("DATA behind an interim response", STREAM,
     lambda peer, r: peer.headers(r.stream, [(":status", "103")]) + frame(DATA, 0, r.stream, b"a")),
    ("a body shorter than content-length", CUT, begun(data(b"ab", END_STREAM), length="5")),
    ("a body longer than content-length", CUT, begun(data(b"abcdef"), length="5")),
    ("trailers with a pseudo-header field", CUT, begun(data(b"ab"), trailers((":status", "200")))),
    ("trailers that do not end the stream", CUT, begun(data(b"ab"), trailers(("x-sum", "1"), flags=END_HEADERS))),
    ("trailers with an uppercase name", CUT, begun(data(b"ab"), trailers(("X-Sum", "1")))),
    ("trailers with a connection-specific field", CUT, begun(data(b"ab"), trailers(("connection", "close")))),
    ("trailers above limits.head_bytes", CUT, begun(data(b"ab"), trailers(*[("x-%d" % i, "x" * 4000) for i in range(10)]))),
    ("a second head", CUT, begun(data(b"ab"), head(STATUS))),
    ("an interim response behind the final one", CUT, begun(head((":status", "103"), flags=END_HEADERS))),
    ("RST_STREAM", STREAM, lambda peer, r: frame(RST_STREAM, 0, r.stream, b"\0\0\0\2")),
    ("RST_STREAM within the body", CUT, begun(data(b"ab"), lambda peer, r: frame(RST_STREAM, 0, r.stream, b"\0\0\0\0"))),
    ("a stream's window above its maximum", STREAM, lambda peer, r: frame(WINDOW_UPDATE, 0, r.stream, b"\x7f\xff\xff\xff")),
    ("what does not decode", CONNECTION, lambda peer, r: frame(HEADERS, END_HEADERS, r.stream, b"\xff\xff\xff\xff\xff")),
    ("a head far above limits.head_bytes", CONNECTION, head(STATUS, ("x-one", "x" * 4000), *[("x-one", "x" * 4000)] * 200)),
    ("a pushed request", CONNECTION,
     lambda peer, r: frame(PUSH_PROMISE, END_HEADERS, r.stream, b"\0\0\0\2" + peer.encoder.encode([(":path", "/")]))),
    ("a response to nothing", CONNECTION, lambda peer, r: peer.headers(r.stream + 100, [STATUS])),
    ("a response on a stream of the server's", CONNECTION, lambda peer, r: peer.headers(2, [STATUS])),
    ("DATA for nothing", CONNECTION, lambda peer, r: frame(DATA, 0, r.stream + 100, b"a")),
    ("DATA for the connection", CONNECTION, raw(frame(DATA, 0, 0, b"a"))),
    ("a frame that is too large", CONNECTION, data(bytes(16385))),
    ("a head that another frame breaks off", CONNECTION,
     lambda peer, r: peer.headers(r.stream, [STATUS], 0) + frame(PING, 0, 0, bytes(8))),
    ("CONTINUATION of nothing", CONNECTION, lambda peer, r: frame(CONTINUATION, END_HEADERS, r.stream, b"")),
    ("ENABLE_PUSH", CONNECTION, raw(settings((2, 1)))),
    ("INITIAL_WINDOW_SIZE above its maximum", CONNECTION, raw(settings((INITIAL_WINDOW_SIZE, 1 << 31)))),
    ("MAX_FRAME_SIZE below its minimum", CONNECTION, raw(settings((5, 1)))),
    ("SETTINGS of half an entry", CONNECTION, raw(frame(SETTINGS, 0, 0, bytes(3)))),
    ("PING of seven bytes", CONNECTION, raw(frame(PING, 0, 0, bytes(7)))),
    ("GOAWAY for a stream", CONNECTION, lambda peer, r: frame(GOAWAY, 0, r.stream, bytes(8))),
    ("GOAWAY whose number grows", CONNECTION,
     raw(frame(GOAWAY, 0, 0, b"\0\0\0\x11" + bytes(4)) + frame(GOAWAY, 0, 0, b"\0\0\0\x21" + bytes(4)))),
    ("the connection's window above its maximum", CONNECTION, raw(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"))),
    ("the connection's window grown by nothing", CONNECTION, raw(frame(WINDOW_UPDATE, 0, 0, bytes(4)))),
    ("HTTP/1.1", CONNECTION, raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    ("a flood of PING", CONNECTION, raw(frame(PING, 0, 0, bytes(8)) * 1000)),
    ("a flood of acknowledged PING", CONNECTION, raw(frame(PING, 1, 0, bytes(8)) * 1000)),
    ("a flood of SETTINGS", CONNECTION, raw(settings() * 1000)),
    ("a flood of PRIORITY", CONNECTION, lambda peer, r: frame(PRIORITY, 0, r.stream, bytes(5)) * 1000),
    ("unknown frames, settings and flags", FINE,
     lambda peer, r: frame(0x99, 0xFF, r.stream, b"what") * 10 + settings((0x99, 1)) +
        peer.headers(r.stream, [STATUS], END_HEADERS | END_STREAM | 0x40)),
    ("a flood of tiny windows", CONNECTION, raw(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 1000)),
    ("a flood of RST_STREAM", CONNECTION, raw(frame(RST_STREAM, 0, 1, bytes(4)) * 1000)),
    ("a flood of DATA without content", CONNECTION, begun(*[data(b"")] * 1000)),
    ("a flood of CONTINUATION", CONNECTION,
     lambda peer, r: peer.headers(r.stream, [STATUS], 0) + frame(CONTINUATION, 0, r.stream, b"") * 1000),
]  # fmt: skip


@pytest.mark.parametrize("where, what", [pytest.param(*row[1:], id=row[0]) for row in MALFORMED])
def test_malformed(before, where, what):
    """502, or the end where it has begun; what shares the connection goes on, or is asked for again where it has to end."""
    origin = before.origin(lambda peer: peer.serve({"/bad": lambda peer, r: peer.send(what(peer, r))}))
    p = before.start(limits={"head_bytes": "32k", "fields": 100})
    c = before.connect()
    assert c.ask().body == b"ok"
    beside = several(c, 1)
    origin.wait_held(1)
    r = c.open("POST", "/bad").rest()
    if where == CUT:
        assert r.cut
    else:
        assert r.whole and r.status == (200 if where == FINE else 502) or where == CONNECTION and r.cut
    if where == CONNECTION:
        wait.until(lambda: len(origin.peers) == 2 and origin.held[1] == 1, "what came beside to be asked for again")
        assert origin.connections[0].closed.wait(wait.DEADLINE)
        origin.peers[0].held.clear()
    origin.let_go()
    assert statuses(beside) == [200]
    assert c.ask().body == b"ok"
    assert len(origin.peers) == (2 if where == CONNECTION else 1)
    assert p.counter("requests_in_flight") == 0


def test_what_is_malformed_is_not_asked_for_again(before):
    """It is an answer, whatever it says; also on a connection that has carried others."""
    what = head(("x-a", "1"))
    origin = before.origin(lambda peer: peer.serve({"/bad": lambda peer, r: peer.send(what(peer, r))}))
    before.start()
    c = before.connect()
    assert c.ask().body == b"ok"
    assert c.ask("GET", "/bad").status == 502
    assert [r.path for r in origin.all] == ["/", "/bad"]


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
def test_white_space_around_a_value_is_taken_off(before, front):
    """Malformed by the letter (RFC 9113, 8.2.1), but gRPC servers send messages that end so."""
    what = head(STATUS, ("grpc-message", "it is "), ("x-one", " \t1\t "), flags=END_HEADERS)
    last = trailers(("grpc-status", "13"), ("x-two", " 2 "))
    before.origin(lambda peer: peer.serve({"/": lambda peer, r: peer.send(what(peer, r) + last(peer, r))}))
    before.start()
    r = before.connect(front).open("GET", "/").rest()
    fields = dict(r.fields)
    assert r.whole and (fields["grpc-message"], fields["x-one"]) == ("it is", "1")
    assert dict(r.trailers) == {"grpc-status": "13", "x-two": "2"}


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
@pytest.mark.parametrize("form", ["streamed", "length"])
def test_a_client_can_tell_that_a_response_is_cut(before, front, form):
    """Also where nothing in it tells its length."""
    what = begun(data(b"ab"), head(STATUS), length="5" if form == "length" else None)
    before.origin(lambda peer: peer.serve({"/bad": lambda peer, r: peer.send(what(peer, r))}))
    before.start()
    r = before.connect(front).open("GET", "/bad").rest()
    assert r.cut and r.status in (200, None)


# --- who is slow ---


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
def test_a_slow_client_holds_up_its_own_stream_alone(before, front):
    size = 24 << 20

    def script(x):
        if x.target != "/big":
            x.answer(200, BIG)
            return
        x.respond(200)
        sent = 0
        while sent < size:
            x.send(bytes(1 << 16))
            sent += 1 << 16
            progress.append(sent)
        x.end()

    progress = [0]
    origin = before.add(h2origin.H2Origin(script))
    before.start()
    slow = before.connect(front, receive_buffer=4096)
    if front is fronts.H2Front:
        slow.client.automatic = False
    asked = slow.open("GET", "/big")
    seen = []

    def stalled():
        seen.append(progress[-1])
        return len(seen) > 100 and seen[-1] > 0 and len(set(seen[-100:])) == 1

    wait.until(stalled, "the slow one to stall")
    assert progress[-1] < size
    resident = process.resident_kib(before.proxy.worker)
    other = before.connect()
    for _ in range(20):
        assert other.ask().body == BIG
    assert len(origin.connections) == 1
    assert wait.SLOW > 1 or process.resident_kib(before.proxy.worker) - resident < 4096
    if front is fronts.H1Front:
        assert asked.read(1 << 18) == bytes(1 << 18), "and it can go on"
    asked.abort()
    assert other.ask().body == BIG and len(origin.connections) == 1


def test_a_server_that_does_not_read_holds_up_that_upload_alone(before):
    origin = before.origin(lambda peer: (peer.widen(0, 1 << 24), peer.serve()))
    before.start(timeouts={"body": "1h", "send": "1h"})
    c = before.connect(fronts.H1Front)
    stuck = c.open("POST", "/hold", length=len(BIG))
    sender = threading.Thread(target=stuck.send, args=(BIG,))
    sender.start()
    origin.wait_held(1)
    peer = origin.peers[0]
    stream = peer.held[0].stream
    wait.until(lambda: len(peer.data.get(stream, b"")) == 65535, "its window to be full")
    other = before.connect()
    for i in range(20):
        assert other.ask("POST", "/%d" % i, body=BIG[:50_000]).body == b"ok"
    assert len(origin.peers) == 1 and len(peer.data[stream]) == 65535
    peer.widen(stream, 1 << 24)
    wait.until(lambda: len(peer.data[stream]) == len(BIG), "the rest")
    sender.join()
    assert peer.data[stream] == BIG
    origin.let_go()
    assert stuck.rest().body == b"ok"


def test_a_server_that_takes_no_bodies(before):
    """The window of the connection is shut: 504 for who waits for that, and what has no body goes on."""
    origin = before.origin(lambda peer: peer.serve())
    before.start(timeouts={"send": "300ms"})
    c, other = before.connect(), before.connect()
    asked = c.open("POST", "/hold", length=len(BIG))
    origin.wait_held(1)
    blocked = other.open("POST", "/hold/blocked", length=10)
    origin.wait_held(2)
    asked.send(BIG[:65535])
    wait.until(lambda: sum(len(d) for d in origin.peers[0].data.values()) == 65535, "the window to be used up")
    assert other.ask("GET", "/").body == b"ok"
    blocked.send(b"0123456789")
    assert other.ask("GET", "/").body == b"ok"
    assert blocked.rest().status == 504
    asked.abort()
    wait.until(lambda: origin.peers[0].resets, "the upload to be taken back")
    assert other.ask("GET", "/").body == b"ok" and len(origin.peers) == 1


# --- who measures ---

MESSAGE = b"\0\0\0\0\5hello"
MEASURES = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x0a") + frame(PING, 0, 0, b"how far?")  # as gRPC in Go does for each message


@pytest.mark.parametrize("who", ["server", "client"])
def test_each_message_may_be_answered_with_ping(before, who):
    def script(peer):
        peer.request()
        peer.send(peer.headers(peer.requests[0].stream, [STATUS]))
        while True:
            if peer.read() == DATA:
                peer.send(MEASURES if who == "server" else b"", frame(DATA, 0, peer.requests[0].stream, MESSAGE))

    origin = before.origin(script)
    before.start()
    c = before.connect()
    a = c.open("POST", "/", streamed=True)
    for _ in range(1000):
        a.send(MESSAGE)
        assert a.read(len(MESSAGE)) == MESSAGE
        if who == "client":
            c.client.raw(MEASURES)
    assert len(origin.peers) == 1
    a.abort()
    wait.until(lambda: origin.peers[0].resets, "the stream to be taken back")


# --- what one client could have the server hold against all ---


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
def test_clients_that_leave_do_not_share_a_connection_for_ever(before, front):
    """A server takes many resets for an attack, and ends the connection that they come on."""
    origin = before.origin()
    p = before.start()
    stays = several(before.connect(), 1)
    origin.wait_held(1)
    for n in range(250):
        with front(p.port) as c:
            c.open("GET", "/hold/leaves")
            wait.until(lambda: sum(len(q.requests) for q in list(origin.peers)) == n + 2, "the request")
        wait.until(lambda: sum(len(q.resets) for q in list(origin.peers)) == n + 1, "it to be taken back")
    assert [len(q.resets) for q in origin.peers] == [100, 100, 50]
    origin.let_go()
    assert statuses(stays) == [200]
    wait.until(lambda: [c.closed.is_set() for c in origin.connections] == [True, True, False], "the first two to be closed")


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
@pytest.mark.parametrize("where", ["head", "trailers"])
def test_fields_above_what_the_server_takes_are_not_sent(before, front, where):
    """It may end the connection for them: Netty's does, when they are a quarter above."""
    origin = before.origin(first=[(6, 8192)])
    p = before.start()
    beside = before.connect()
    assert beside.ask().body == b"ok"
    held = several(beside, 1)
    origin.wait_held(1)
    c = before.connect(front)
    large = [("x-large", "x" * 8200)]
    if where == "head":
        assert c.ask("GET", "/", [("x-large", "x" * 7000)]).status == 200
        assert c.ask("GET", "/", large).status == 431
    else:
        a = c.open("POST", "/hold", streamed=True)
        a.send(b"some")
        a.end(large)
        assert a.rest().status == 431
    origin.let_go()
    assert statuses(held) == [200]
    assert len(origin.peers) == 1 and p.counter("origin_failures") == 0
    assert large[0] not in [f for r in origin.all for f in r.fields]


def test_what_the_server_takes_is_remembered(before):
    """Else the first request on its next connection would be sent before it can say so."""

    def end(peer, r):
        peer.answer(r)
        peer.connection.close()

    origin = before.origin(lambda peer: peer.serve({"/end": end}), first=[(6, 8192)])
    before.start()
    large = [("x-large", "x" * 8200)]
    assert before.ask("/end").status == 200
    assert origin.connections[0].closed.wait(wait.DEADLINE)
    assert before.ask("/", fields=large).status == 431
    assert before.ask("/", fields=[("x-large", "x" * 7000)]).status == 200
    assert len(origin.peers) == 2 and large[0] not in [f for r in origin.all for f in r.fields]


def test_a_server_takes_larger_fields_than_before(before):
    """What it said is not held against it for ever, though it is not asked."""
    origin = before.origin(first=[(6, 8192)])
    before.start(upstreams={"origin": {"idle_connections": 0}})
    large = [("x-large", "x" * 8200)]
    assert before.ask().status == 200
    origin.first = [(6, 16384)]
    assert before.ask("/", fields=large).status == 431
    assert before.ask("/", fields=large).status == 200


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
def test_a_handler_that_does_not_read_holds_up_no_other_upload(before, front):
    """It has used up the window of its whole connection: bodies go by another, requests without one need none."""
    origin = before.origin()
    before.start()
    c = before.connect(front)
    assert c.ask().status == 200
    stuck = c.open("POST", "/hold/stuck", length=65536)
    stuck.send(bytes(65535))
    wait.until(lambda: sum(len(d) for d in origin.peers[0].data.values()) == 65535, "the window to be used up")
    assert before.ask().status == 200
    behind = []

    def another():
        behind.append(before.connect().open("POST", "/", length=4))
        behind[-1].send(b"some")
        behind[-1].end()
        return len(origin.peers) == 2

    wait.until(another, "it to be taken for stuck")
    assert behind.pop().rest().status == 200
    assert before.ask("/", "POST", body=b"some").status == 200
    assert len(origin.peers) == 2 and len(origin.peers[0].requests) + len(origin.peers[1].requests) == 3 + len(behind) + 2
    origin.peers[0].widen(0, 1 + 4 * len(behind))
    assert statuses(behind) == [200] * len(behind)
    origin.peers[0].widen(origin.peers[0].requests[1].stream, 1)
    stuck.send(b"x")
    stuck.end()
    wait.until(lambda: sum(len(d) for d in origin.peers[0].data.values()) == 65536, "the rest")
    origin.let_go()
    assert stuck.rest().status == 200


def test_windows_of_responses_follow_what_is_taken(before):
    """A response that is read as it comes may run ahead by more than one that nobody reads."""
    widest, sent = [], [0, 0]

    def script(x):
        x.respond(200)
        if x.target == "/read":
            for _ in range(64):
                x.send(bytes(32768))
                widest.append(x.connection.h2.local_flow_control_window(x.stream))
            x.send(b"!", end=True)
            return
        sent[0] = x.connection.h2.local_flow_control_window(x.stream)
        x.send(bytes(sent[0]))
        x.send(b"the end", end=True)

    before.add(h2origin.H2Origin(script))
    before.start()
    assert len(before.connect().ask("GET", "/read").body) == 64 * 32768 + 1
    assert max(widest) > 128 * 1024
    with fronts.H2Front(before.proxy.port) as c:
        assert c.ask("GET", "/first").body.endswith(b"the end") and sent[0] == 64 * 1024, "and the next begins anew"
