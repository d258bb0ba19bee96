"""Clients that ask in the same way in either version of HTTP, and tell the answers in the same words."""

import socket
import struct

from . import wire
from .client import Client
from .h2client import H2Client


class Asked:
    """One request. The answer's parts are there as far as they have been read; `whole` when it has ended as it should."""

    def __init__(self, method):
        self.method = method
        self.status, self.fields, self.body, self.trailers, self.interim = None, [], b"", [], []
        self.whole = self.cut = False
        self._taken = 0

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def field(self, name):
        return (self.all(name) or [None])[0]

    def _more(self):
        """Something more of the body; False: it is whole, or cut."""
        raise NotImplementedError

    def head(self):
        """Wait for the final head; its status, None when there is none."""
        raise NotImplementedError

    def read(self, n):
        """The next n bytes of the body."""
        self.head()
        while len(self.body) - self._taken < n:
            assert self._more(), "the response ended after %d bytes" % len(self.body)
        self._taken += n
        return self.body[self._taken - n : self._taken]

    def rest(self):
        """All the rest, whole or cut; the request itself."""
        self.head()
        while self._more():
            pass
        assert self.whole != self.cut
        length = self.field("content-length")
        if self.whole and length is not None and self.method != "HEAD" and self.status != 304:
            assert int(length) == len(self.body)
        return self


def _text(fields):
    return [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in fields]


class H1Asked(Asked):
    def __init__(self, client, method, streamed):
        super().__init__(method)
        self._client, self._streamed, self._pieces = client, streamed, None

    def send(self, data):
        if data:
            self._client.send(b"%x\r\n%s\r\n" % (len(data), data) if self._streamed else data)

    def end(self, trailers=()):
        if self._streamed:
            self._client.send("".join(["0\r\n"] + ["%s: %s\r\n" % f for f in trailers] + ["\r\n"]))

    def abort(self):
        """The connection is reset."""
        self._client.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()

    def _note_interim(self):
        for i in self._interim[len(self.interim) :]:
            self.interim.append((i.status, _text(i.fields)))

    def wait_interim(self):
        """The next head, which has to be an interim one; its status."""
        self._message = wire.Response(self._client.reader.line(), self._client.reader.fields())
        assert self._message.status < 200, "a final response: %r" % self._message.start
        self.interim.append((self._message.status, _text(self._message.fields)))
        return self._message.status

    def head(self):
        if self._pieces is not None or self.cut:
            return self.status
        interim = []
        try:
            self._message = self._client.reader.response_head(interim)
        except (wire.Ended, ConnectionError):
            self.cut = True
            return None
        self.interim += [(i.status, _text(i.fields)) for i in interim]
        self.status, self.fields = self._message.status, _text(self._message.fields)
        bodiless = self.method == "HEAD" or self.status in (204, 304)
        self._pieces = iter(()) if bodiless else self._client.reader.pieces(self._message, default_length=None)
        return self.status

    def _more(self):
        if self.whole or self.cut:
            return False
        try:
            self.body += next(self._pieces)
            return True
        except StopIteration:
            self.whole, self.trailers = True, _text(self._message.trailers)
        except (wire.Ended, ConnectionError):
            self.cut = True
        return False


class H1Front:
    """One connection, one request at a time."""

    version = "HTTP/1.1"

    def __init__(self, port, **options):
        self.client = Client(port, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def open(self, method="GET", path="/", fields=(), length=None, streamed=False):
        """The head of a request: without a body, with one of `length` bytes, or with one that has no length."""
        fields = list(fields) + ([("content-length", str(length))] if length is not None else [])
        self.client.send_request(method, path, fields + ([("transfer-encoding", "chunked")] if streamed else []))
        return H1Asked(self.client, method, streamed)

    def ask(self, method="GET", path="/", fields=(), body=None):
        return _ask(self, method, path, fields, body)


class H2Asked(Asked):
    def __init__(self, client, method, stream, ended):
        super().__init__(method)
        self._client, self._stream, self._ended = client, stream, ended
        self._response = client.responses[stream]

    @property
    def reset(self):
        return self._response.reset

    def send(self, data):
        self._client.send_body(self._stream, data, end=False)

    def end(self, trailers=()):
        if self._ended or self._response.reset is not None:
            return
        if trailers:
            self._client.send_trailers(self._stream, trailers)
        else:
            self._client.h2.end_stream(self._stream)
            self._client.flush()

    def abort(self):
        """The stream is reset; the connection goes on."""
        self._client.reset(self._stream)

    def _note(self):
        r = self._response
        self.interim = [(int(dict(h)[":status"]), [f for f in h if f[0] != ":status"]) for h in r.interim]
        self.status = r.status
        self.fields = [f for f in r.head or () if f[0] != ":status"]
        self.body, self.trailers = r.body, list(r.trailers or ())
        self.whole = r.ended
        self.cut = not r.ended and (r.reset is not None or self._client.closed)

    def wait_interim(self):
        seen = len(self.interim)
        while len(self._response.interim) == seen and self._response.head is None and self._client.receive():
            pass
        self._note()
        assert len(self.interim) > seen, "a final response: %r" % self.status
        return self.interim[seen][0]

    def head(self):
        self._client.wait_head(self._stream)
        self._note()
        return self.status

    def _more(self):
        size = len(self.body)
        while len(self._response.body) == size and not self._response.over and self._client.receive():
            pass
        self._note()
        return len(self.body) > size


class H2Front:
    """One connection, any number of requests."""

    version = "HTTP/2"

    def __init__(self, port, **options):
        self.client = H2Client(port, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def open(self, method="GET", path="/", fields=(), length=None, streamed=False):
        fields = list(fields) + ([("content-length", str(length))] if length is not None else [])
        bodiless = length is None and not streamed
        return H2Asked(self.client, method, self.client.request(method, path, fields, end=bodiless), bodiless)

    def ask(self, method="GET", path="/", fields=(), body=None):
        return _ask(self, method, path, fields, body)


def _ask(front, method, path, fields, body):
    """A request with all of its body, and the whole answer."""
    asked = front.open(method, path, fields, length=None if body is None else len(body))
    if body is not None:
        asked.send(body)
        asked.end()
    return asked.rest()
