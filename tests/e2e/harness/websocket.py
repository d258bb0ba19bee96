"""WebSockets frame by frame, over either version of HTTP: what a test holds many of without a thread for each."""

import base64
import hashlib
import os

from .client import Client

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": base64.b64encode(b"sixteen bytes ok").decode()}  # fmt: skip

TEXT, CLOSE = 1, 8


def accept_of(key):
    """For Sec-WebSocket-Accept."""
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def masked(opcode, payload):
    """A frame of a client (RFC 6455, 5.2), shorter than 126 bytes."""
    mask = os.urandom(4)
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def unmasked(opcode, payload):
    """A frame of a server."""
    return bytes([0x80 | opcode, len(payload)]) + payload


def connect_head(path="/chat", scheme="https", authority="site.test"):
    """Extended CONNECT (RFC 8441)."""
    return [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", scheme), (":authority", authority), (":path", path),
            ("sec-websocket-version", "13")]  # fmt: skip


def received(c, stream, size):
    """The first `size` bytes of a stream's body, fewer where it has ended."""
    r = c.responses[stream]
    while len(r.body) < size and not r.over and c.receive():
        pass
    return r.body[:size]


class H1WebSocket:
    """A connection of its own."""

    def __init__(self, port, path="/chat", **options):
        self.client = Client(port, **options)
        answer = self.client.request(target=path, fields=UPGRADE)
        assert answer.status == 101, answer.start

    def send(self, opcode, payload):
        self.client.send(masked(opcode, payload))

    def receive(self, size):
        return self.client.reader.exactly(size)

    def close(self):
        self.client.close()


class H2WebSocket:
    """A stream of `client`, a connection that may carry others."""

    def __init__(self, client, path="/chat"):
        self.client = client
        self.stream = client.request(head=connect_head(path, client.scheme, client.name), end=False)
        status = client.wait_head(self.stream).status
        assert status == 200, status

    def send(self, opcode, payload):
        self.client.send_body(self.stream, masked(opcode, payload), end=False)

    def receive(self, size):
        data = received(self.client, self.stream, size)
        self.client.responses[self.stream].body = self.client.responses[self.stream].body[size:]
        return data

    def close(self):
        """Its half."""
        self.client.h2.end_stream(self.stream)
        self.client.flush()


def echoes(s, text):
    """Does a message come back?"""
    s.send(TEXT, text)
    answer = unmasked(TEXT, text)
    return s.receive(len(answer)) == answer
