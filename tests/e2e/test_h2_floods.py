"""Floods of HTTP/2: the connection ends with ENHANCE_YOUR_CALM, others do not notice, and an operator can see it."""

import threading

import pytest

from harness import origins, process, wait
from harness.h2client import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ERRORS, HEADERS, PING, PRIORITY, PRIORITY_UPDATE, SETTINGS,
                              WINDOW_UPDATE, H2Client, frame)  # fmt: skip


def send(c, data):
    try:
        c.raw(data)
    except OSError:
        pass


def closed(p, reason):
    return p.metrics().get('bascule_connections_closed{reason="%s"}' % reason, 0)


def settle(p, metric, value):
    wait.until(lambda: p.counter(metric) == value, lambda: "%s to be %s, not %s" % (metric, value, p.counter(metric)))


FRAMES = [
    ("PING", frame(PING, 0, 0, bytes(8))),
    ("SETTINGS", frame(SETTINGS)),
    ("PRIORITY", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")),
    ("PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1")),
    ("tiny WINDOW_UPDATEs", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")),
    ("frames of other types", frame(0x77, 0, 0, b"x")),
]


@pytest.mark.parametrize("kind,piece", [pytest.param(k, f, id=k) for k, f in FRAMES])
def test_floods_of_frames(served, kind, piece):
    p, _ = served()
    with H2Client(p.port) as other, H2Client(p.port) as c:
        send(c, piece * 2000)
        assert c.wait_goaway() == ERRORS["ENHANCE_YOUR_CALM"]
        assert other.get("/").status == 200, "nobody else notices"
        p.wait_log("HTTP/2: a flood of %s: its connection is closed$" % kind)
        c.close()
        wait.until(lambda: closed(p, "flood") == 1, "the connection to be counted")
        settle(p, "http2_connections_open", 1)
    settle(p, "http2_connections_open", 0)
    assert p.counter("http2_protocol_errors") == 0


def test_empty_data(served):
    p, _ = served(origins.Gate())
    with H2Client(p.port) as c:
        stream = c.request("POST", "/", end=False)
        settle(p, "http2_streams_open", 1)
        send(c, frame(DATA, 0, stream) * 2000)
        assert c.wait_goaway() == ERRORS["ENHANCE_YOUR_CALM"]
        p.wait_log("HTTP/2: a flood of DATA without content")
    settle(p, "http2_streams_open", 0)


def test_the_limits_are_those_of_the_config(served):
    """As many as the burst has are no flood, one more is. What has been used up comes back slowly."""
    p, _ = served(http2={"flood_burst": 60, "flood_rate": 1})
    few = frame(PING, 0, 0, bytes(8)) * 40
    with H2Client(p.port) as c:
        c.raw(few)
        assert c.get("/").status == 200
        send(c, few)
        assert c.wait_goaway() == ERRORS["ENHANCE_YOUR_CALM"]


def test_requests_make_room(served):
    """Who does something may say more beside it: one frame for each request is never a flood."""
    p, _ = served(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), http2={"flood_burst": 50, "flood_rate": 1})
    with H2Client(p.port) as c:
        for _ in range(150):
            c.raw(frame(PING, 0, 0, bytes(8)))
            assert c.get("/").status == 200


def taken_back(c):
    """CVE-2023-44487"""
    stream = c.h2.get_next_available_stream_id()
    c.h2.send_headers(stream, c.head(), end_stream=True)
    c.h2.reset_stream(stream, ERRORS["CANCEL"])
    return c.h2.data_to_send()


def malformed(c):
    stream = c.h2.get_next_available_stream_id()
    c.h2.send_headers(stream, c.head(path="no path"), end_stream=True)
    return c.h2.data_to_send()


def made_to_be_reset(c):
    """CVE-2025-8671: a request that is fine, and then a window that is too large."""
    stream = c.h2.get_next_available_stream_id()
    c.h2.send_headers(stream, c.head(), end_stream=True)
    return c.h2.data_to_send() + frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")


FAULTS = "requests that are malformed or one too many"
RESETS = [(taken_back, "requests that are taken back", "http2_streams_cancelled"),
          (malformed, FAULTS, "http2_requests_malformed"), (made_to_be_reset, FAULTS, "http2_requests_malformed")]  # fmt: skip


@pytest.mark.parametrize("attack,kind,metric", RESETS, ids=[a.__name__ for a, _, _ in RESETS])
def test_requests_for_nothing(served, attack, kind, metric):
    p, origin = served()
    with H2Client(p.port) as other, H2Client(p.port, strict=False) as c:
        for _ in range(60):
            send(c, b"".join(attack(c) for _ in range(50)))
        assert c.wait_goaway() == ERRORS["ENHANCE_YOUR_CALM"]
        assert other.get("/").status == 200
    p.wait_log("HTTP/2: a flood of " + kind)
    wait.until(lambda: closed(p, "flood") == 1, "the end")
    assert len(origin.requests) < 2000 and p.counter(metric) > 100


def test_one_too_many(served):
    """More at a time than http2.streams: REFUSED_STREAM, which says that it may be sent again; a flood of them ends it."""
    gate = origins.Gate()
    p, _ = served(gate, http2={"streams": 2})
    with H2Client(p.port) as c:
        for _ in range(2):
            c.request("GET", "/")
            gate.wait_arrived()

        def more(first, n):
            for stream in range(first, first + 2 * n, 2):
                send(c, frame(HEADERS, END_HEADERS | END_STREAM, stream, c.h2.encoder.encode(c.head())))

        more(5, 1)
        settle(p, "http2_streams_refused", 1)
        assert p.counter("http2_streams_open") == 2
        more(7, 1000)
        settle(p, "http2_connections_open", 0)
    assert closed(p, "flood") == 1
    gate.release(2)
    settle(p, "http2_streams_open", 0)


def test_fields_without_end(served):
    """CONTINUATION upon CONTINUATION, which libnghttp2 bounds, and a section that is far too large."""
    p, _ = served()
    with H2Client(p.port) as c:
        send(c, frame(HEADERS, 0, 1, b"\x82") + frame(CONTINUATION, 0, 1) * 2000)
        assert c.wait_goaway() == ERRORS["ENHANCE_YOUR_CALM"]
    with H2Client(p.port) as c:
        bomb = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000  # a field of 4,000 bytes, to be kept in the table, and it again and again
        send(c, frame(HEADERS, END_HEADERS, 1, bomb + b"\xbe" * 12000))
        assert c.wait_goaway() == ERRORS["ENHANCE_YOUR_CALM"]
    wait.until(lambda: closed(p, "flood") == 2, "the ends")


def test_a_broken_rule_is_counted(served):
    p, _ = served()
    with H2Client(p.port) as c:
        send(c, frame(DATA, 0, 1, b"x"))
        assert c.wait_goaway() == ERRORS["PROTOCOL_ERROR"]
    wait.until(lambda: closed(p, "malformed") == 1, "the end")
    assert p.counter("http2_protocol_errors") == 1 and closed(p, "flood") == 0
    p.wait_log("HTTP/2: PROTOCOL_ERROR")


def test_a_reset_is_counted(served):
    gate = origins.Gate()
    p, _ = served(gate)
    with H2Client(p.port) as c:
        stream = c.request("GET", "/")
        gate.wait_arrived()
        c.reset(stream)
        settle(p, "http2_streams_cancelled", 1)
        assert p.counter("http2_streams_refused") == 0 and p.counter("http2_requests_malformed") == 0
    gate.release(1)


# --- windows that stay closed ---


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, (1 << 31) - 1], ids=["of streams", "of the connection"])
def test_windows_that_stay_closed(served, window):
    """Many large responses that nobody takes: what is kept is bounded, timeouts.send ends them, and they are counted."""
    streams, stuck = 100, threading.Semaphore(0)
    p, _ = served(origins.endless(stuck.release, patience=0.5), timeouts={"send": "5s"})
    with H2Client(p.port, settings={4: window}) as c:
        c.automatic = False
        c.wait_head(c.request("GET", "/", authority="other.test"))
        before = 1024 * process.resident_kib(p.worker)
        for _ in range(streams):
            c.request("GET", "/")
        for _ in range(streams):
            assert stuck.acquire(timeout=wait.DEADLINE)
        kept = 1024 * process.resident_kib(p.worker) - before
        assert wait.SLOW > 1 or kept < (1 << 20) + streams * 2 * (64 << 10), "kept: %d" % kept
        settle(p, "http2_streams_open", 0)
        assert streams <= p.counter("http2_streams_stuck") <= streams + 1
        assert p.counter("connections_open") == 1


@pytest.mark.slow
def test_who_waits_behind_others_is_not_stuck(served):
    """A client that takes little, but some: its connection's window is always used up by what is more urgent."""
    p, _ = served(origins.by_target({
        "/urgent": b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_000),
        "/stuck": b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000),
        "/patient": b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + bytes(50_000)}), timeouts={"send": "2s"})  # fmt: skip
    with H2Client(p.port) as c:
        c.automatic = False

        def grow(n, stream=None):
            c.h2.increment_flow_control_window(n, stream)
            c.flush()

        urgent = [c.request("GET", "/urgent", fields=[("priority", "u=3")]) for _ in range(3)]
        for stream in urgent:
            grow(1 << 30, stream)
        while sum(len(c.responses[u].body) for u in urgent) < 65535:
            assert c.receive()
        patient = c.request("GET", "/patient", fields=[("priority", "u=6")])
        p.access(1)
        stuck = c.request("GET", "/stuck", fields=[("priority", "u=0")])
        c.wait_head(stuck)
        grow(65535)
        while len(c.responses[stuck].body) < 65535:
            assert c.receive()
        while c.responses[stuck].reset is None:
            grow(2048)
            assert c.receive() and c.responses[patient].reset is None
        assert p.counter("http2_streams_stuck") == 1 and c.responses[patient].body == b""
        grow(1 << 30)
        r = c.wait(patient)
        assert r.ended and len(r.body) == 50_000
        assert not [u for u in urgent if c.responses[u].reset is not None]
