"""An origin that speaks HTTP/2, by python3-h2, which checks what the proxy sends; many streams a connection."""

import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from . import wait
from .backs import Cut, Exchange
from .h2client import ERRORS
from .listener import Listener, cut, reset_at_close, server_context


class H2Exchange(Exchange):
    """Guarded by its connection's lock, which its thread waits on."""

    version = "HTTP/2"

    def __init__(self, connection, stream, fields):
        head = dict(f for f in fields if f[0].startswith(":"))
        super().__init__(connection, head.get(":method"), head.get(":path"), head.get(":authority"),
                         [f for f in fields if not f[0].startswith(":")])  # fmt: skip
        self.scheme, self.stream = head.get(":scheme"), stream
        self.over = self.left = False  # the response has ended; the script has
        self.arrived, self._flow = [], 0

    def _wait(self, condition):
        """With the lock held, until that holds; Cut when it can not any more."""
        c = self.connection
        ok = c.changed.wait_for(lambda: condition() or self.reset is not None or c.closed, wait.DEADLINE)
        assert ok, "the proxy has not gone on"
        if not condition():
            raise Cut("RST_STREAM %s" % self.reset if self.reset is not None else "the connection ended")

    def _more(self):
        with self.connection.changed:
            self._wait(lambda: self.arrived or self.request_ended)
            if not self.arrived:
                return False
            data, flow = self.arrived.pop(0)
            self.body += data
            self.connection.take(flow, self.stream)
            return True

    def wait_cut(self):
        """The connection itself has to live on."""
        c = self.connection
        with c.changed:
            assert c.changed.wait_for(lambda: self.reset is not None or c.closed, wait.DEADLINE), "no RST_STREAM came"
            assert self.reset is not None, "the connection ended in place of the stream"

    def _do(self, what, *arguments, **more):
        with self.connection.changed:
            if self.reset is not None or self.connection.closed:
                raise Cut("RST_STREAM %s" % self.reset)
            try:
                what(*arguments, **more)
                self.connection.flush()
            except h2.exceptions.StreamClosedError as e:
                raise Cut("the stream is closed") from e
            except ConnectionError as e:
                raise Cut("the connection has ended") from e

    def _head(self, status, fields, end):
        self._do(self.connection.h2.send_headers, self.stream, [(":status", str(status))] + list(fields), end_stream=end)

    def interim(self, status, fields=()):
        self._head(status, fields, False)

    def respond(self, status=200, fields=(), length=None, end=False):
        self.over = end
        self._head(status, list(fields) + ([("content-length", str(length))] if length is not None else []), end)

    def _window(self):
        try:
            return self.connection.h2.local_flow_control_window(self.stream)
        except h2.exceptions.StreamClosedError as e:
            raise Cut("the stream is closed") from e

    def send(self, data, end=False):
        s = self.connection.h2
        self.over = end
        while data:
            with self.connection.changed:
                self._wait(lambda: self._window() > 0)
                room = min(self._window(), s.max_outbound_frame_size)
                self._do(s.send_data, self.stream, data[:room], end_stream=end and room >= len(data))
            data = data[room:]

    def end(self, trailers=()):
        self.over = True
        if trailers:
            self._do(self.connection.h2.send_headers, self.stream, list(trailers), end_stream=True)
        else:
            self._do(self.connection.h2.end_stream, self.stream)

    def abort(self, error="INTERNAL_ERROR"):
        self.over = True
        self._do(self.connection.h2.reset_stream, self.stream, ERRORS[error])


class H2Connection:
    """Its thread reads; each stream has one that plays."""

    def __init__(self, origin, sock):
        self.origin, self.socket, self.closed = origin, sock, False
        self.changed = threading.Condition()  # with an RLock
        self.exchanges = {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=origin.strict,
            normalize_outbound_headers=origin.strict))  # fmt: skip

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def take(self, flow, stream):
        if flow:
            self.h2.acknowledge_received_data(flow, stream)
            self.flush()

    def run(self):
        try:
            with self.changed:
                self.h2.initiate_connection()
                self.h2.update_settings(self.origin.settings)
                self.flush()
            while self._read():
                pass
        except h2.exceptions.ProtocolError as e:
            self.origin.failures.append(e)
            with self.changed:
                self.flush()
        finally:
            with self.changed:
                self.socket.close()
                self.closed = True
                self.changed.notify_all()

    def _read(self):
        """A socket of TLS must not be read and written at the same time."""
        if not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            wait.readable(self.socket)
        with self.changed:
            data = self.socket.recv(65536)
            for event in self.h2.receive_data(data) if data else ():
                self._note(event)
            self.flush()
            self.changed.notify_all()
        return bool(data)

    def _note(self, e):
        x = self.exchanges.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.RequestReceived):
            x = H2Exchange(self, e.stream_id, list(e.headers))
            self.exchanges[e.stream_id] = x
            self.origin.exchanges.append(x)
            threading.Thread(target=self._play, args=(x,), daemon=True).start()
        elif isinstance(e, h2.events.DataReceived):
            if x.left:
                self.take(e.flow_controlled_length, e.stream_id)
            else:
                x.arrived.append((e.data, e.flow_controlled_length))
        elif isinstance(e, h2.events.TrailersReceived):
            x.trailers = list(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            x.request_ended = True
        elif isinstance(e, h2.events.StreamReset):
            x.reset = e.error_code

    def _play(self, x):
        try:
            self.origin.play(x)
        except Cut:
            pass
        except Exception as e:
            self.origin.failures.append(e)
        with self.changed:
            x.left = True
            try:
                for _, flow in x.arrived:
                    self.take(flow, x.stream)
                if not x.over and x.reset is None and not self.closed:
                    self.h2.reset_stream(x.stream, ERRORS["INTERNAL_ERROR"])
                self.flush()
            except (h2.exceptions.H2Error, OSError):
                pass

    def raw(self, data):
        with self.changed:
            self.socket.sendall(data)

    def go_away(self, last):
        """No stream above that one has been looked at, nor will be; the others go on."""
        with self.changed:
            self.h2.close_connection(0, last_stream_id=last)
            self.flush()
            self.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN

    def reset(self):
        """Close with RST instead of FIN."""
        with self.changed:
            reset_at_close(self.socket)
            self.socket.shutdown(socket.SHUT_RD)  # the thread that reads closes it
            assert self.changed.wait_for(lambda: self.closed, wait.DEADLINE)

    def close(self):
        cut(self.socket)


class H2Origin(Listener):
    """With an identity by TLS and ALPN, else by prior knowledge. `strict` False: it may say what nobody may."""

    version = "HTTP/2"

    def __init__(self, script, identity=None, settings=None, strict=True):
        self.play, self.settings, self.strict = script, settings or {}, strict
        self.exchanges = []
        super().__init__(server_context(identity, ["h2"]) if identity else None)

    def _serve(self, sock):
        try:
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True)
                assert sock.selected_alpn_protocol() == "h2", "h2 was not offered"
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = H2Connection(self, sock)
            self.connections.append(c)
            c.run()
        except (OSError, AssertionError) as e:
            if not isinstance(e, ConnectionError):
                self.failures.append(e)
