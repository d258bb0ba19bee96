"""An origin of HTTP/2 frame by frame: for what no library would say. Its script is called with each connection."""

import collections
import struct
import threading

import hpack

from . import origins, wait, wire
from .h2client import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ERRORS, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM,
                       SETTINGS, WINDOW_UPDATE, frame)  # fmt: skip

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
NO_LAST = (1 << 31) - 1


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *p) for p in pairs))


class Request:
    def __init__(self, stream, fields, ended):
        self.stream, self.fields, self.ended = stream, fields, ended

    @property
    def path(self):
        return dict(self.fields)[":path"]

    @property
    def method(self):
        return dict(self.fields)[":method"]


class Peer:
    """The server's end of a connection. PING and SETTINGS are acknowledged as they are read."""

    def __init__(self, connection, first=()):
        self.connection, self.encoder, self.decoder = connection, hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.acknowledged = collections.Counter()  # by kind: SETTINGS and PING
        self.requests, self.held, self.resets, self.goaway, self.data = [], [], {}, None, {}
        self._lock = threading.RLock()  # the script reads and answers, its test may say something, too
        assert connection.reader.exactly(len(PREFACE)) == PREFACE
        self.send(settings(*first))

    def send(self, *frames):
        with self._lock:
            self.connection.send(b"".join(frames))

    # --- reading ---

    def read(self):
        """One frame, which is noted: its type."""
        size, kind, flags, stream = struct.unpack(">IBBI", b"\0" + self.connection.reader.exactly(9))
        payload = self.connection.reader.exactly(size)
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind in (SETTINGS, PING):
            self.acknowledged[kind] += 1
        elif kind == HEADERS:
            while not flags & END_HEADERS:
                size, kind, more, _ = struct.unpack(">IBBI", b"\0" + self.connection.reader.exactly(9))
                assert kind == CONTINUATION
                payload, flags = payload + self.connection.reader.exactly(size), flags | more & END_HEADERS
            fields = [(str(n), str(v)) for n, v in self.decoder.decode(payload)]
            self.requests.append(Request(stream, fields, bool(flags & END_STREAM)))
            return HEADERS
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
        elif kind == RST_STREAM:
            self.resets[stream] = struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])[1]
        return kind

    def request(self):
        while self.read() != HEADERS:
            pass
        return self.requests[-1]

    def take(self, n):
        """The next n requests."""
        return [self.request() for _ in range(n)]

    def wait_reset(self, stream):
        while stream not in self.resets:
            self.read()
        return self.resets[stream]

    def wait_end(self):
        try:
            while True:
                self.read()
        except (wire.Ended, OSError):
            pass

    # --- saying ---

    def settled(self):
        """What has been said so far has been read; for a test, while the script reads."""
        before = self.acknowledged[PING]
        self.send(frame(PING, 0, 0, b"read it?"))
        wait.until(lambda: self.acknowledged[PING] > before, "the PING to be answered")

    def headers(self, stream, fields, flags=END_HEADERS):
        block = self.encoder.encode(fields)
        pieces = [block[i : i + 16384] for i in range(0, len(block), 16384)] or [b""]
        last = len(pieces) - 1
        frames = []
        for i, piece in enumerate(pieces):
            mine = (flags if i == 0 else 0) & ~END_HEADERS | (flags & END_HEADERS if i == last else 0)
            frames.append(frame(CONTINUATION if i else HEADERS, mine, stream, piece))
        return b"".join(frames)

    def answer(self, request, body=b"ok", status=200, fields=()):
        head = [(":status", str(status)), ("content-length", str(len(body)))] + list(fields)
        with self._lock:
            self.send(self.headers(request.stream, head), frame(DATA, END_STREAM, request.stream, body))

    def reset(self, request, error="REFUSED_STREAM"):
        self.send(frame(RST_STREAM, 0, request.stream, struct.pack(">I", ERRORS[error])))

    def go_away(self, last=NO_LAST, error="NO_ERROR"):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, ERRORS[error])))

    def widen(self, stream, by):
        self.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by)))

    def serve(self, special=()):
        """
        All that comes, each at once. Those for "/hold" are left to the test; "/die" is what the connection does; `special` has
        functions of peer and request, by path.
        """
        while True:
            request = self.request()
            if request.path in special:
                special[request.path](self, request)
            elif request.path.startswith("/hold"):
                self.held.append(request)
            elif request.path.startswith("/die/"):
                self.held.clear()
                self.connection.reset() if request.path == "/die/reset" else self.connection.close()
            else:
                self.answer(request)

    def let_go(self):
        while self.held:
            request = self.held.pop(0)
            if request.stream not in self.resets:
                self.answer(request)


def speaks_h2(connection):
    """Does the client begin with HTTP/2's preface? What is read for that is read again."""
    reader = connection.reader
    while len(reader.buffer) < 4:
        reader._fill()
    return reader.buffer.startswith(b"PRI ")


class RawOrigin(origins.Recorder):
    """`script` with a Peer for HTTP/2; `plain` with the connection for what speaks HTTP/1.1."""

    def __init__(self, script=Peer.serve, first=(), plain=origins.echo, **options):
        self.peers, self._h2, self._h1, self.first = [], script, plain, first
        super().__init__(self._play, **options)

    def _play(self, c):
        if not speaks_h2(c):
            self._h1(c)
            return
        peer = Peer(c, self.first)
        self.peers.append(peer)
        try:
            self._h2(peer)
        except AssertionError as e:
            self.failures.append(e)
            raise wire.Ended("a failure") from e

    @property
    def held(self):
        """How many each connection holds."""
        return [len(p.held) for p in list(self.peers)]

    def wait_held(self, *numbers):
        wait.until(lambda: self.held == list(numbers), lambda: "%r requests to be held, %r are" % (list(numbers), self.held))

    def let_go(self):
        for p in list(self.peers):
            p.let_go()

    @property
    def all(self):
        """Every request over HTTP/2 so far."""
        return [r for p in list(self.peers) for r in list(p.requests)]
