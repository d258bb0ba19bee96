"""Clients that ask in the same way in either version of HTTP, and tell the answers in the same words."""

from . import wire
from .client import Client
from .h2client import H2Client
from .listener import reset_at_close
from .messages import Incoming, chunk, last_chunk, text


class Asked(Incoming):
    """One request, and the answer to it; `whole` when that has ended as it should."""

    def __init__(self, method):
        super().__init__(method)
        self.status, self.interim = None, []
        self.whole = self.cut = False

    def head(self):
        """Wait for the final head; its status, None when there is none."""
        raise NotImplementedError

    def read(self, n):
        self.head()
        return super().read(n)

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


class H1Asked(Asked):
    def __init__(self, client, method, streamed):
        super().__init__(method)
        self._client, self._streamed, self._pieces = client, streamed, None

    def send(self, data):
        if data:
            self._client.send(chunk(data) if self._streamed else data)

    def end(self, trailers=()):
        if self._streamed:
            self._client.send(last_chunk(trailers))

    def abort(self):
        """The connection is reset."""
        reset_at_close(self._client.raw)
        self._client.close()

    def wait_interim(self):
        """The next head, which has to be an interim one; its status."""
        self._message = wire.Response(self._client.reader.line(), self._client.reader.fields())
        assert self._message.status < 200, "a final response: %r" % self._message.start
        self.interim.append((self._message.status, text(self._message.fields)))
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
        self.interim += [(i.status, text(i.fields)) for i in interim]
        self.status, self.fields = self._message.status, text(self._message.fields)
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
            self.whole, self.trailers = True, text(self._message.trailers)
        except (wire.Ended, ConnectionError):
            self.cut = True
        return False


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


class Front:
    """One connection."""

    version, client_of = None, None

    def __init__(self, port, **options):
        self.client = self.client_of(port, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def _open(self, method, path, fields, streamed, bodiless):
        raise NotImplementedError

    def open(self, method="GET", path="/", fields=(), length=None, streamed=False):
        """The head of a request: without a body, with one of `length` bytes, or with one that has no length."""
        fields = list(fields) + ([("content-length", str(length))] if length is not None else [])
        return self._open(method, path, fields, streamed, length is None and not streamed)

    def ask(self, method="GET", path="/", fields=(), body=None):
        """A request with all of its body, and the whole answer."""
        asked = self.open(method, path, fields, length=None if body is None else len(body))
        if body is not None:
            asked.send(body)
            asked.end()
        return asked.rest()


class H1Front(Front):
    """One request at a time."""

    version, client_of = "HTTP/1.1", Client

    def _open(self, method, path, fields, streamed, bodiless):
        self.client.send_request(method, path, fields + ([("transfer-encoding", "chunked")] if streamed else []))
        return H1Asked(self.client, method, streamed)


class H2Front(Front):
    """Any number of requests at a time."""

    version, client_of = "HTTP/2", H2Client

    def _open(self, method, path, fields, streamed, bodiless):
        return H2Asked(self.client, method, self.client.request(method, path, fields, end=bodiless), bodiless)
