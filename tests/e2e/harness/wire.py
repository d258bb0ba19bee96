"""
A reference reader of HTTP/1.1 messages, strict in every byte.

Both ends of the tests read with it, so that each message the proxy sends, to a client or to an origin, is checked
against the grammar of RFC 9112 on the way.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"([\x21-\x7e\x80-\xff]([\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t \x21-\x7e\x80-\xff]*)\Z")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\Z")
HEAD_MAX = 256 * 1024


class Malformed(Exception):
    """The peer sent what the grammar does not allow."""


class Ended(Exception):
    """The peer closed in the middle of a message, or before one."""


@dataclass
class Message:
    start: bytes
    fields: list
    body: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)
    head: bytes = b""
    ended_by_close: bool = False

    def all(self, name):
        """Every value of a field, as text, in order."""
        name = name.lower().encode()
        return [v.decode("latin-1") for n, v in self.fields if n.lower() == name]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def names(self):
        return [n.decode().lower() for n, _ in self.fields]


@dataclass
class Request(Message):
    @property
    def method(self):
        return self.start.split(b" ")[0].decode()

    @property
    def target(self):
        return self.start.split(b" ")[1].decode("latin-1")

    @property
    def version(self):
        return self.start.split(b" ")[2].decode()


@dataclass
class Response(Message):
    @property
    def status(self):
        return int(self.start.split(b" ")[1])

    @property
    def version(self):
        return self.start.split(b" ")[0].decode()

    @property
    def text(self):
        return self.body.decode("latin-1")

    def json(self):
        import json

        return json.loads(self.body)


class Reader:
    """Reads messages from `recv`, a function of a size that returns bytes, empty at the end."""

    def __init__(self, recv):
        self._recv = recv
        self.buffer = b""

    def _fill(self):
        data = self._recv(65536)
        if not data:
            raise Ended("closed after %d unread bytes: %r" % (len(self.buffer), self.buffer[:80]))
        self.buffer += data

    def exactly(self, n):
        parts, have = [], 0
        while have < n:
            if not self.buffer:
                self._fill()
            part = self.buffer[: n - have]
            self.buffer = self.buffer[len(part) :]
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def line(self):
        while b"\n" not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise Malformed("endless line")
            self._fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r"):
            raise Malformed("line without CR: %r" % line)
        line = line[:-1]
        if b"\r" in line or b"\0" in line:
            raise Malformed("CR or NUL within a line: %r" % line)
        return line

    def fields(self):
        found = []
        while True:
            line = self.line()
            if not line:
                return found
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not TOKEN.match(name) or not VALUE.match(value):
                raise Malformed("field line: %r" % line)
            found.append((name, value))

    def request_head(self):
        start = self.line()
        if not REQUEST_LINE.match(start):
            raise Malformed("request line: %r" % start)
        request = Request(start, self.fields())
        if len(request.all("host")) != 1 and request.version == "HTTP/1.1":
            raise Malformed("Host: %r" % request.all("host"))
        return request

    def request(self):
        request = self.request_head()
        self.body_of(request)
        return request

    def body_of(self, message, default_length=0):
        """Read the body that the head announces. `default_length` None: up to the close."""
        codings, lengths = message.all("transfer-encoding"), message.all("content-length")
        if codings:
            if lengths or codings != ["chunked"]:
                raise Malformed("framing: %r %r" % (codings, lengths))
            message.body, message.trailers = self.chunked()
        elif lengths:
            if len(lengths) != 1 or not re.match(r"[0-9]+\Z", lengths[0]):
                raise Malformed("Content-Length: %r" % lengths)
            message.body = self.exactly(int(lengths[0]))
        elif default_length is None:
            message.body = self.rest()
            message.ended_by_close = True
        return message

    def pieces(self, message, default_length=0):
        """The body as it comes, in pieces; the trailers are there behind the last."""
        lengths = message.all("content-length")
        if message.all("transfer-encoding"):
            while size := self._chunk_size():
                yield self.exactly(size)
                if self.exactly(2) != b"\r\n":
                    raise Malformed("chunk not followed by CRLF")
            message.trailers = self.fields()
            return
        left = int(lengths[0]) if lengths else default_length
        while left is None or left > 0:
            if not self.buffer:
                try:
                    self._fill()
                except Ended:
                    if left is None:
                        return
                    raise
            piece = self.buffer[:left]
            self.buffer = self.buffer[len(piece) :]
            left = None if left is None else left - len(piece)
            yield piece

    def _chunk_size(self):
        size = self.line()
        if not CHUNK_SIZE.match(size):
            raise Malformed("chunk size: %r" % size)
        return int(size, 16)

    def chunked(self):
        parts = []
        while True:
            n = self._chunk_size()
            if n == 0:
                return b"".join(parts), self.fields()
            parts.append(self.exactly(n))
            if self.exactly(2) != b"\r\n":
                raise Malformed("chunk not followed by CRLF")

    def rest(self):
        parts = [self.buffer]
        self.buffer = b""
        while True:
            data = self._recv(65536)
            if not data:
                return b"".join(parts)
            parts.append(data)

    def response_head(self, interim=None):
        """The next final response's head; the 1xx before it go into `interim`."""
        while True:
            start = self.line()
            if not STATUS_LINE.match(start):
                raise Malformed("status line: %r" % start)
            response = Response(start, self.fields())
            if response.status >= 200 or response.status == 101:
                return response
            if interim is not None:
                interim.append(response)

    def response(self, method="GET"):
        interim = []
        response = self.response_head(interim)
        response.interim = interim
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        return self.body_of(response, default_length=None)


def parse_requests(data):
    """Every complete request in `data`; and what is left over when the last one is not complete."""
    position = [0]

    def recv(n):
        part = data[position[0] : position[0] + n]
        position[0] += len(part)
        return part

    reader = Reader(recv)
    requests = []
    while True:
        if not reader.buffer and position[0] == len(data):
            return requests, b""
        rest = reader.buffer + data[position[0] :]
        try:
            requests.append(reader.request())
        except Ended:
            return requests, rest
