"""
Origins that are played in the same way in either version of HTTP: a script plays one exchange.

A script is called with an Exchange when the head of a request has come. What goes wrong in one (also a failed assertion) is
in `failures` of the origin, but for Cut: that the proxy breaks off is a matter for the test.
"""

import threading
from collections import defaultdict

from . import origins, wait, wire
from .messages import Incoming, chunk, last_chunk, text


class Cut(wire.Ended):
    """The proxy has broken the exchange off."""


class Signals:
    """Barriers by name, between a script and its test."""

    def __init__(self):
        self._events = defaultdict(threading.Event)

    def say(self, name):
        self._events[name].set()

    def wait(self, name):
        assert self._events[name].wait(wait.DEADLINE), "waited in vain for: " + name


class Exchange(Incoming):
    """One request as it came, and what is said to it. `connection` tells which of them share one."""

    version = None

    def __init__(self, connection, method, target, authority, fields):
        super().__init__(method, fields)
        self.connection, self.target, self.authority = connection, target, authority
        self.request_ended, self.reset = False, None  # that one: the code of RST_STREAM, in HTTP/2

    # --- the request's body ---

    def rest(self):
        """The whole body, once its end has come."""
        while self._more():
            pass
        return self.body

    def wait_cut(self):
        """Until the proxy has broken the exchange off; what still comes before that is thrown away."""
        raise NotImplementedError

    # --- the response ---

    def interim(self, status, fields=()):
        raise NotImplementedError

    def respond(self, status=200, fields=(), length=None, end=False):
        """The head. Without `length` nothing tells how long the body is; `end`: nothing follows."""
        raise NotImplementedError

    def send(self, data, end=False):
        """Some of the body; with `end` nothing follows, and in HTTP/2 the last frame says so."""
        raise NotImplementedError

    def end(self, trailers=()):
        raise NotImplementedError

    def abort(self):
        """Break off: an HTTP/1.1 connection is reset, of an HTTP/2 connection the stream."""
        raise NotImplementedError

    def answer(self, status=200, body=b"", fields=()):
        self.respond(status, fields, length=len(body), end=not body or self.method == "HEAD")
        if body and self.method != "HEAD":
            self.send(body, end=True)


class H1Exchange(Exchange):
    version = "HTTP/1.1"

    def __init__(self, connection, message):
        super().__init__(connection, message.method, message.target, message.get("host"), text(message.fields))
        self._message, self._pieces, self._chunked, self.over = message, connection.reader.pieces(message), False, False

    def _more(self):
        if self.request_ended:
            return False
        try:
            self.body += next(self._pieces)
            return True
        except StopIteration:
            self.request_ended, self.trailers = True, text(self._message.trailers)
            return False
        except (wire.Ended, OSError) as e:
            raise Cut(str(e)) from e

    def wait_cut(self):
        self.connection.socket.settimeout(wait.DEADLINE)
        try:
            while self.connection._recv(65536):
                pass
        except ConnectionError:
            pass
        self.connection.socket.settimeout(None)

    def _send(self, data):
        try:
            self.connection.send(data)
        except OSError as e:
            raise Cut(str(e)) from e

    def interim(self, status, fields=()):
        self._send("".join(["HTTP/1.1 %d X\r\n" % status] + ["%s: %s\r\n" % f for f in fields] + ["\r\n"]))

    def respond(self, status=200, fields=(), length=None, end=False):
        bodiless = self.method == "HEAD" or status in (204, 304)
        self._chunked = length is None and not bodiless
        framing = [("content-length", str(length))] if length is not None else []
        framing += [("transfer-encoding", "chunked")] if self._chunked else []
        self.interim(status, list(fields) + framing)
        if end:
            self.end()

    def send(self, data, end=False):
        if data:
            self._send(chunk(data) if self._chunked else data)
        if end:
            self.end()

    def end(self, trailers=()):
        if self._chunked:
            self._send(last_chunk(trailers))
        self.over = True

    def abort(self):
        self.connection.reset()


class H1Origin(origins.Recorder):
    version = "HTTP/1.1"

    def __init__(self, script, **options):
        self.play, self.exchanges = script, []
        super().__init__(self._connection, **options)

    def _connection(self, c):
        while True:
            x = H1Exchange(c, c.request_head())
            self.exchanges.append(x)
            try:
                self.play(x)
            except Cut:
                return
            except Exception as e:
                self.failures.append(e)
                return
            if not x.over or not x.request_ended and x._more():
                return
