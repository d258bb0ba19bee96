"""RFC 9113 frame by frame: what breaks a rule ends the stream or the connection with the RFC's error, and nobody else notices."""

import pathlib
import socket
import struct

import hpack
import pytest

from harness import origins, wait
from harness.client import tls_context
from harness.h2client import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ERRORS, GOAWAY, HEADERS, PING, PREFACE, PRIORITY,
                              PRIORITY_UPDATE, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, H2Client, frame)  # fmt: skip

PADDED, PRIORITY_FLAG = 0x8, 0x20
GET = [(":method", "GET"), (":scheme", "https"), (":authority", "site.test"), (":path", "/hold")]
POST = [(":method", "POST")] + GET[1:]


class Raw:
    """A connection whose frames are read for their type, stream and error alone."""

    def __init__(self, port):
        context = tls_context()
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=wait.DEADLINE)
        self.socket = context.wrap_socket(plain, server_hostname="site.test")
        self.encoder, self.seen, self.unread = hpack.Encoder(), [], b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def headers(self, fields, stream=1, flags=END_HEADERS | END_STREAM, kind=HEADERS):
        return frame(kind, flags, stream, self.encoder.encode(fields))

    def frames(self):
        """Until the connection ends."""
        while True:
            while len(self.unread) >= 9:
                size, kind, flags, stream = struct.unpack(">IBBI", b"\0" + self.unread[:9])
                if len(self.unread) < 9 + size:
                    break
                payload, self.unread = self.unread[9 : 9 + size], self.unread[9 + size :]
                yield kind, flags, stream, payload
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.unread += data

    def verdict(self):
        """("connection", error), ("stream", error), or what a PING behind it all shows to be fine; the second, for the first overtakes."""
        self.send(frame(PING, 0, 0, b"the end?"))
        found, pings = None, 0
        for kind, flags, stream, payload in self.frames():
            if kind == GOAWAY:
                return "connection", struct.unpack(">II", payload[:8])[1]
            if kind == RST_STREAM:
                found = "stream", struct.unpack(">I", payload)[0]
            if kind == PING and flags & ACK and payload == b"the end?":
                pings += 1
                if pings == 2:
                    return found or ("fine", None)
                self.send(frame(PING, 0, 0, b"the end?"))
        return "closed", None


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *p) for p in pairs))


CONNECTION, STREAM, FINE = "connection", "stream", "fine"

# section, rule, frames behind preface and SETTINGS (a function of the connection), where the error lies, which
RULES = [
    ("4.2", "a frame is no larger than SETTINGS_MAX_FRAME_SIZE", lambda c: c.headers(POST, flags=END_HEADERS) + frame(DATA, 0, 1, bytes(16385)),
     CONNECTION, "FRAME_SIZE_ERROR"),
    ("4.3", "a field block decodes", lambda c: frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff"), CONNECTION, "COMPRESSION_ERROR"),
    ("4.3", "a field block is one run of frames", lambda c: frame(HEADERS, END_STREAM, 1, c.encoder.encode(GET)) + frame(PING, 0, 0, bytes(8)),
     CONNECTION, "PROTOCOL_ERROR"),
    ("4.3", "… on one stream", lambda c: frame(HEADERS, END_STREAM, 1, c.encoder.encode(GET)) + frame(CONTINUATION, END_HEADERS, 3, b""),
     CONNECTION, "PROTOCOL_ERROR"),
    ("5.1", "an idle stream has no DATA", lambda c: frame(DATA, 0, 1, b"x"), CONNECTION, "PROTOCOL_ERROR"),
    ("5.1", "an idle stream has no RST_STREAM", lambda c: frame(RST_STREAM, 0, 1, bytes(4)), CONNECTION, "PROTOCOL_ERROR"),
    ("5.1", "an idle stream has no WINDOW_UPDATE", lambda c: frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), CONNECTION, "PROTOCOL_ERROR"),
    ("5.1", "nothing but what ends it comes behind END_STREAM", lambda c: c.headers(GET) + frame(DATA, 0, 1, b"x"), CONNECTION, "STREAM_CLOSED"),
    ("5.1.1", "streams of clients have odd numbers", lambda c: c.headers(GET, 2), CONNECTION, "PROTOCOL_ERROR"),
    # Whether it was closed or never opened is not kept: it is passed over, as one that was reset may have to be.
    ("5.1.1", "… that grow", lambda c: c.headers(GET, 5) + c.headers(GET, 3), FINE, None),
    ("5.1.2", "no more streams than SETTINGS_MAX_CONCURRENT_STREAMS",
     lambda c: b"".join(c.headers(GET, 1 + 2 * i) for i in range(5)), STREAM, "REFUSED_STREAM"),
    ("5.5", "frames of an unknown type are passed over", lambda c: frame(0x99, 0xff, 1, b"what") + frame(0x98, 0, 0, b""), FINE, None),
    ("5.5", "… but not within a field block", lambda c: frame(HEADERS, END_STREAM, 1, c.encoder.encode(GET)) + frame(0x99, 0, 0, b""),
     CONNECTION, "PROTOCOL_ERROR"),
    ("6.1", "DATA belongs to a stream", lambda c: frame(DATA, 0, 0, b"x"), CONNECTION, "PROTOCOL_ERROR"),
    ("6.1", "padding is shorter than the frame", lambda c: c.headers(POST, flags=END_HEADERS) + frame(DATA, PADDED, 1, b"\x05abc"),
     CONNECTION, "PROTOCOL_ERROR"),
    ("6.1", "padding is flow-controlled, and no data", lambda c: c.headers(POST, flags=END_HEADERS) + frame(DATA, PADDED, 1, b"\x02abc\0\0"), FINE, None),
    ("6.2", "HEADERS belong to a stream", lambda c: c.headers(GET, 0), CONNECTION, "PROTOCOL_ERROR"),
    ("6.3", "PRIORITY belongs to a stream", lambda c: frame(PRIORITY, 0, 0, bytes(5)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.3", "PRIORITY has five bytes", lambda c: frame(PRIORITY, 0, 1, bytes(4)), None, "FRAME_SIZE_ERROR"),
    ("6.4", "RST_STREAM belongs to a stream", lambda c: frame(RST_STREAM, 0, 0, bytes(4)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.4", "RST_STREAM has four bytes", lambda c: c.headers(GET) + frame(RST_STREAM, 0, 1, bytes(3)), CONNECTION, "FRAME_SIZE_ERROR"),
    ("6.5", "SETTINGS belong to the connection", lambda c: frame(SETTINGS, 0, 1, b""), CONNECTION, "PROTOCOL_ERROR"),
    ("6.5", "SETTINGS have six bytes each", lambda c: frame(SETTINGS, 0, 0, bytes(5)), CONNECTION, "FRAME_SIZE_ERROR"),
    ("6.5", "an acknowledgement is empty", lambda c: frame(SETTINGS, ACK, 0, bytes(6)), CONNECTION, "FRAME_SIZE_ERROR"),
    ("6.5.2", "ENABLE_PUSH is 0 or 1", lambda c: settings((2, 2)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.5.2", "INITIAL_WINDOW_SIZE has 31 bits", lambda c: settings((4, 1 << 31)), CONNECTION, "FLOW_CONTROL_ERROR"),
    ("6.5.2", "MAX_FRAME_SIZE is at least 16384", lambda c: settings((5, 16383)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.5.2", "… and has 24 bits", lambda c: settings((5, 1 << 24)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.5.2", "unknown settings are passed over", lambda c: settings((0x99, 1)), FINE, None),
    ("6.6", "clients push nothing", lambda c: c.headers(GET) + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + c.encoder.encode(GET)),
     CONNECTION, "PROTOCOL_ERROR"),
    ("6.7", "PING belongs to the connection", lambda c: frame(PING, 0, 1, bytes(8)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.7", "PING has eight bytes", lambda c: frame(PING, 0, 0, bytes(7)), CONNECTION, "FRAME_SIZE_ERROR"),
    ("6.8", "GOAWAY belongs to the connection", lambda c: frame(GOAWAY, 0, 1, bytes(8)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.9", "a window grows by more than nothing", lambda c: frame(WINDOW_UPDATE, 0, 0, bytes(4)), CONNECTION, "PROTOCOL_ERROR"),
    ("6.9", "… that of a stream, too", lambda c: c.headers(GET) + frame(WINDOW_UPDATE, 0, 1, bytes(4)), None, "PROTOCOL_ERROR"),
    ("6.9", "WINDOW_UPDATE has four bytes", lambda c: frame(WINDOW_UPDATE, 0, 0, bytes(3)), CONNECTION, "FRAME_SIZE_ERROR"),
    ("6.9.1", "no window is larger than 2^31-1", lambda c: frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2, CONNECTION, "FLOW_CONTROL_ERROR"),
    ("6.9.1", "… that of a stream, too", lambda c: c.headers(GET) + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff") * 2, STREAM, "FLOW_CONTROL_ERROR"),
    ("6.9.1", "nobody sends more than the window takes",
     lambda c: c.headers(POST, flags=END_HEADERS) + frame(DATA, 0, 1, bytes(16384)) * 9, None, "FLOW_CONTROL_ERROR"),
    ("6.10", "CONTINUATION follows HEADERS", lambda c: frame(CONTINUATION, END_HEADERS, 1, b""), CONNECTION, "PROTOCOL_ERROR"),
    ("8.1", "trailers end the stream", lambda c: c.headers(POST, flags=END_HEADERS) + c.headers([("x", "y")], flags=END_HEADERS), STREAM, "PROTOCOL_ERROR"),
    ("8.1", "trailers have no pseudo-header fields", lambda c: c.headers(POST, flags=END_HEADERS) + c.headers([(":path", "/")]), STREAM, "PROTOCOL_ERROR"),
    ("8.1.1", "content-length is what DATA adds up to, not less",
     lambda c: c.headers(POST + [("content-length", "5")], flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"four"), STREAM, "PROTOCOL_ERROR"),
    ("8.1.1", "… nor more",
     lambda c: c.headers(POST + [("content-length", "3")], flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"four"), STREAM, "PROTOCOL_ERROR"),
]

# Of other documents: "RFC 9218, 7.1".
OTHERS = [
    ("RFC 9218, 7.1", "PRIORITY_UPDATE belongs to the connection", lambda c: frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1"), CONNECTION, "PROTOCOL_ERROR"),
    ("RFC 9218, 7.1", "… names a stream", lambda c: frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\0u=1"), CONNECTION, "PROTOCOL_ERROR"),
    ("RFC 9218, 7.1", "… and has room for its number", lambda c: frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0"), CONNECTION, "FRAME_SIZE_ERROR"),
]


@pytest.fixture
def held(served):
    """Requests for /hold stay open. Few streams, small windows."""
    gate = origins.Gate()
    yield served(gate, http2={"streams": 4, "stream_window": 65535, "connection_window": 131072})
    gate.release(50)


@pytest.mark.parametrize("what,where,error", [pytest.param(*r[2:], id="%s %s" % r[:2]) for r in RULES + OTHERS])
def test_rule(held, what, where, error):
    p, origin = held
    with Raw(p.port) as c:
        c.send(PREFACE + frame(SETTINGS))
        c.send(what(c))
        place, code = c.verdict()
    assert where is None or place == where, (place, code)
    assert place == FINE or error is None or code == ERRORS[error], (place, [n for n, v in ERRORS.items() if v == code])
    with H2Client(p.port) as other:
        assert other.get("/free").status == 200


@pytest.mark.parametrize("preface", [b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n", PREFACE[:-1] + b"x", PREFACE + frame(PING, 0, 0, bytes(8))],
                         ids=["HTTP/1.1", "damaged", "without SETTINGS"])  # fmt: skip
def test_a_preface_that_is_none(held, preface):
    """RFC 9113, 3.4"""
    p, origin = held
    with Raw(p.port) as c:
        c.send(preface)
        assert c.verdict()[0] in (CONNECTION, "closed")
    wait.until(lambda: p.counter("connections_open") == 0, "the end")
    assert origin.requests == []


def test_the_settings(held):
    """What a client is told: RFC 8441, 3 and RFC 9218, 2.1 among it."""
    p, _ = held
    with Raw(p.port) as c:
        c.send(PREFACE + frame(SETTINGS))
        kind, _, _, payload = next(c.frames())
    assert kind == SETTINGS
    told = dict(struct.unpack(">HI", payload[i : i + 6]) for i in range(0, len(payload), 6))
    assert told[8] == 1 and told[9] == 1 and told[3] == 4, told


def test_the_document_has_every_rule():
    rows = (pathlib.Path(__file__).parents[2] / "docs/http2.md").read_text().splitlines()
    for section, rule, _, where, error in RULES + OTHERS:
        row = [r for r in rows if r.startswith("| %s | %s | " % (section, rule))]
        assert row, "docs/http2.md lacks: %s %s" % (section, rule)
        assert where == FINE or error in row[0] or len(row) > 1, row
