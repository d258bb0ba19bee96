"""A client of HTTP/2, by python3-h2: what is legal by its calls, what is not by raw frames."""

import socket
import struct

import h2.config
import h2.connection
import h2.events
import h2.settings

from . import wait
from .client import tls_context

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
ERRORS = {name: code for code, name in enumerate(
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM "
    "CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED".split())}  # fmt: skip


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Response:
    def __init__(self):
        self.interim, self.head, self.body, self.trailers = [], None, b"", None
        self.ended, self.reset = False, None

    @property
    def status(self):
        return int(dict(self.head)[":status"]) if self.head else None

    def field(self, name):
        return dict(self.head).get(name)

    @property
    def over(self):
        return self.ended or self.reset is not None


class H2Client:
    """One connection. Frames are read when something is waited for."""

    def __init__(self, port, name="site.test", *, host="127.0.0.1", tls=True, strict=True, settings=None, receive_buffer=None, **options):
        self.socket = socket.create_connection((host, port), timeout=wait.DEADLINE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if tls:
            context = options.pop("context", None) or tls_context(**options)
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
            assert self.socket.selected_alpn_protocol() == "h2"
        self.name, self.scheme = name, "https" if tls else "http"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=strict, normalize_outbound_headers=strict,
            validate_inbound_headers=True))  # fmt: skip
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.responses, self.goaway, self.closed, self.automatic, self.unread = {}, None, False, True, b""
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # --- sending ---

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def raw(self, data):
        self.socket.sendall(data)

    def head(self, method="GET", path="/", fields=(), authority=None):
        pseudo = [(":method", method), (":scheme", self.scheme), (":authority", authority or self.name), (":path", path)]
        return pseudo + list(fields)

    def request(self, method="GET", path="/", fields=(), body=None, authority=None, end=True, head=None):
        stream = self.h2.get_next_available_stream_id()
        self.responses[stream] = Response()
        self.h2.send_headers(stream, head or self.head(method, path, fields, authority), end_stream=end and body is None)
        self.flush()
        if body is not None:
            self.send_body(stream, body, end=end)
        return stream

    def send_body(self, stream, body, end=True):
        """As the windows allow."""
        at = 0
        while at < len(body):
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body) - at)
            if room == 0:
                if not self.receive() or self.responses[stream].reset is not None:
                    return
                continue
            self.h2.send_data(stream, body[at : at + room])
            at += room
            self.flush()
        if end:
            self.h2.end_stream(stream)
            self.flush()

    def send_trailers(self, stream, fields):
        self.h2.send_headers(stream, fields, end_stream=True)
        self.flush()

    def reset(self, stream, error="CANCEL"):
        self.h2.reset_stream(stream, ERRORS[error])
        self.flush()

    # --- receiving ---

    def receive(self):
        """One read; False: the connection has ended."""
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.unread += data
        while len(self.unread) >= 9 and len(self.unread) >= 9 + int.from_bytes(self.unread[:3], "big"):
            size = 9 + int.from_bytes(self.unread[:3], "big")
            one, self.unread = self.unread[:size], self.unread[size:]
            for event in self.h2.receive_data(one):
                self._note(event)
        self.flush()
        return True

    def _note(self, e):
        response = self.responses.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = e.error_code
            # What has been asked before is still answered; python3-h2 takes nothing more after that frame.
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        elif response is None:
            return
        elif isinstance(e, h2.events.InformationalResponseReceived):
            response.interim.append(list(e.headers))
        elif isinstance(e, h2.events.ResponseReceived):
            response.head = list(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            response.body += e.data
            if self.automatic and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            response.trailers = list(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            response.ended = True
        elif isinstance(e, h2.events.StreamReset):
            response.reset = e.error_code

    def wait(self, stream):
        response = self.responses[stream]
        while not response.over and self.goaway in (None, 0) and self.receive():
            pass
        return response

    def wait_head(self, stream):
        response = self.responses[stream]
        while response.head is None and not response.over and self.receive():
            pass
        return response

    def wait_goaway(self):
        while self.goaway is None and self.receive():
            pass
        return self.goaway

    def wait_closed(self):
        while self.receive():
            pass

    def get(self, path="/", **more):
        return self.wait(self.request("GET", path, **more))
