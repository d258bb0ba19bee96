"""Upgraded connections: a tunnel both ways, for as long as both want it."""

import asyncio
import base64
import os
import queue
import random
import socket

import pytest
import websockets

from harness import client, origins, proxy, wait
from harness.h2client import ERRORS, H2Client
from harness.load import WebSocketServer
from harness.process import resident_kib
from harness.websocket import UPGRADE, connect_head, masked, received


@pytest.fixture
def server():
    """A function that starts a WebSocket server."""
    started = []

    def start(handler=None, **options):
        started.append(WebSocketServer(handler, **options))
        return started[-1]

    yield start
    for s in started:
        s.stop()


def talk(p, ca, conversation, **options):
    """Run a conversation, a coroutine function of the connection, through the proxy."""

    async def main():
        async with websockets.connect(
            "wss://site.test:%d/chat" % p.port, ssl=client.tls_context(ca), server_hostname="site.test",
            host="127.0.0.1", port=p.port, ping_interval=None, max_size=None,
            open_timeout=wait.DEADLINE, close_timeout=wait.DEADLINE, **options,
        ) as s:  # fmt: skip
            return await asyncio.wait_for(conversation(s), 6 * wait.DEADLINE)

    return asyncio.run(main())


@pytest.mark.threads
def test_a_thousand_messages(simple, ca, server):
    async def conversation(s):
        for i in range(1000):
            message = "message %d" % i
            await s.send(message)
            assert await s.recv() == message
        await s.ping()

    talk(simple(server().address), ca, conversation)


def test_messages_of_every_size(simple, ca, server):
    async def conversation(s):
        for size in (0, 1, 125, 126, 65535, 65536, 1_000_000, 5_000_000):
            message = os.urandom(size)
            await s.send(message)
            assert await s.recv() == message

    talk(simple(server().address), ca, conversation)


def test_both_ways_at_once(simple, ca, server):
    n = 300

    async def chatter(s):
        async def receive():
            return [await s.recv() for _ in range(n)]

        async def send():
            for i in range(n):
                await s.send("x" * 5000 + str(i))

        got, _ = await asyncio.gather(receive(), send())
        return got

    async def handler(s):
        await chatter(s)
        await s.wait_closed()

    got = talk(simple(server(handler).address), ca, chatter)
    assert got == ["x" * 5000 + str(i) for i in range(n)]


def test_the_client_closes(simple, ca, server):
    closed = []

    async def handler(s):
        await s.wait_closed()
        closed.append((s.close_code, s.close_reason))

    async def conversation(s):
        await s.close(4001, "enough")

    p = simple(server(handler).address)
    talk(p, ca, conversation)
    wait.until(lambda: closed == [(4001, "enough")], "the close frame at the server")
    wait.until(lambda: p.counter("tunnels_open") == 0, "the tunnel to end")


def test_the_server_closes(simple, ca, server):
    async def handler(s):
        await s.close(4002, "no more")

    async def conversation(s):
        await s.wait_closed()
        return s.close_code, s.close_reason

    assert talk(simple(server(handler).address), ca, conversation) == (4002, "no more")


@pytest.mark.parametrize("tls", [True, False])
def test_the_client_vanishes(simple, server, tls):
    gone = []

    async def handler(s):
        try:
            await s.recv()
        except websockets.ConnectionClosed:
            gone.append(1)

    p = simple(server(handler).address, listeners=[proxy.listener(tls=tls)])
    c = p.client(tls=tls)
    assert c.request(target="/chat", fields=UPGRADE).status == 101
    c.close()
    wait.until(lambda: gone, "the server to notice")


def test_the_server_vanishes(simple, recorder):
    def vanish(c):
        c.request_head()
        c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast words")
        c.reset()

    with simple(recorder(vanish).address).client() as c:
        c.send_request(fields=UPGRADE)
        assert c.response().status == 101
        c.rest()


@pytest.mark.threads
def test_it_survives_reloads(simple, ca, server):
    p = simple(server().address)

    async def conversation(s):
        for i in range(10):
            await asyncio.get_running_loop().run_in_executor(None, p.reload)
            await s.send(str(i))
            assert await s.recv() == str(i)

    talk(p, ca, conversation)


def test_what_the_origin_is_sent(simple, ca, server):
    s = server(subprotocols=["chat"])

    async def conversation(s):
        return s.subprotocol

    assert talk(simple(s.address), ca, conversation, subprotocols=["chat"]) == "chat"
    fields = {n.lower(): v for n, v in s.headers[0]}
    assert fields["upgrade"].lower() == "websocket"
    assert fields["connection"].lower() == "upgrade"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-for"] == "127.0.0.1"


def raw_echo(c):
    """Switch, and send back each byte, until the peer's end; then say goodbye."""
    request = c.request_head()
    assert request.get("upgrade") == "raw"
    c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nwelcome")
    if c.reader.buffer:
        c.send(c.reader.buffer)
    while True:
        data = c._recv(65536)
        if not data:
            break
        c.send(data)
    c.send("goodbye")


RAW = {"Connection": "Upgrade", "Upgrade": "raw"}


def test_bytes_that_come_with_the_heads(simple, recorder):
    """What a peer sends in one packet with its head belongs to the tunnel."""
    with simple(recorder(raw_echo).address).client() as c:
        c.send("GET / HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nearly")
        assert c.response().status == 101
        assert c.reader.exactly(12) == b"welcomeearly"


def test_one_side_may_end_before_the_other(simple, recorder):
    p = simple(recorder(raw_echo).address, listeners=[proxy.listener(tls=False)])
    with p.client(tls=False) as c:
        assert c.request(fields=RAW).status == 101
        assert c.reader.exactly(7) == b"welcome"
        c.send("last")
        c.raw.shutdown(socket.SHUT_WR)
        assert c.rest() == b"lastgoodbye"


@pytest.mark.parametrize("tls", [True, False])
def test_the_origin_may_end_before_the_client(simple, recorder, tls):
    """The client's direction goes on by itself, to the last byte."""
    data = random.Random(1).randbytes(3 << 20)
    heard = queue.Queue()

    def listen(c):
        c.request_head()
        c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nbye")
        c.socket.shutdown(socket.SHUT_WR)
        c.wait_for_end()
        heard.put(bytes(c.received).partition(b"\r\n\r\n")[2])

    p = simple(recorder(listen).address, listeners=[proxy.listener(tls=tls)])
    with p.client(tls=tls) as c:
        assert c.request(fields=RAW).status == 101
        assert c.rest() == b"bye"
        assert p.counter("tunnels_open") == 1
        c.send(data)
        if tls:
            c.socket.unwrap()
        else:
            c.raw.shutdown(socket.SHUT_WR)
        assert heard.get(timeout=wait.DEADLINE) == data
    wait.until(lambda: p.counter("tunnels_open") == 0, "the tunnel to end")


def test_an_origin_that_declines(simple, recorder):
    def decline(c):
        while True:
            c.request()
            c.answer("403 Forbidden", "no")

    with simple(recorder(decline).address).client() as c:
        for _ in range(2):
            answer = c.request(fields=UPGRADE)
            assert (answer.status, answer.body) == (403, b"no")


def test_no_upgrade_without_connection(simple, echo):
    with simple().client() as c:
        answer = c.request(fields={"Upgrade": "websocket"})
        assert answer.status == 200
        assert "upgrade" not in [n.lower() for n, _ in answer.json()["fields"]]


def test_http_10_can_not_upgrade(simple, echo):
    with simple().client() as c:
        c.send("GET / HTTP/1.0\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert c.response().status == 200
    assert "upgrade" not in echo.last.names()


def test_an_idle_tunnel_is_closed(simple, recorder):
    p = simple(recorder(raw_echo).address, timeouts={"tunnel": "300ms"})
    with p.client() as c:
        assert c.request(fields=RAW).status == 101
        assert c.reader.exactly(7) == b"welcome"
        c.rest()
    wait.until(lambda: p.counter("tunnels_open") == 0, "the tunnel to end")


def test_a_tunnel_is_in_the_access_log(simple, ca, server):
    async def conversation(s):
        await s.send("x" * 1000)
        await s.recv()

    p = simple(server().address)
    talk(p, ca, conversation)
    (line,) = p.access(1)
    assert line["status"] == 101


def test_an_endless_sender_does_not_fill_memory(simple, recorder):
    """Back-pressure holds in tunnels too."""
    sent = [0]

    def flood(c):
        c.request_head()
        c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
        for _ in range(3000):
            c.send(b"f" * 65536)
            sent[0] += 65536

    p = simple(recorder(flood).address)
    before = resident_kib(p.worker)
    with p.client() as c:
        c.send_request(fields=RAW)
        seen = []

        def stalled():
            seen.append(sent[0])
            return len(seen) > 60 and sent[0] and len(set(seen[-60:])) == 1

        wait.until(stalled, "the flow to stall")
        assert sent[0] < 64 << 20
        assert resident_kib(p.worker) - before < 8192 * max(1, wait.SLOW)


# --- over HTTP/2 (RFC 8441) ---


def opened(c, fields=(), end=False):
    return c.request(head=connect_head() + list(fields), end=end)


@pytest.mark.threads
@pytest.mark.memory
def test_over_http2(simple, server):
    p = simple(server().address)
    with H2Client(p.port) as c:
        stream = opened(c)
        r = c.wait_head(stream)
        assert r.status == 200 and not r.ended
        assert not {"upgrade", "connection", "sec-websocket-accept"} & {n for n, _ in r.head}
        for i in range(20):
            c.send_body(stream, masked(1, b"message %d" % i), end=False)
            answer = b"message %d" % i
            assert received(c, stream, 2 + len(answer)) == bytes([0x81, len(answer)]) + answer
            c.responses[stream].body = b""
        assert p.counter("tunnels_open") == 1
        c.send_body(stream, masked(8, b"\x03\xe8"), end=True)
        assert c.wait(stream).ended
    wait.until(lambda: p.counter("tunnels_open") == 0, "the end")
    (line,) = p.access(1)
    assert line["status"] == 200, "what the client was told"


def test_over_http2_through_a_reload(simple, server):
    p = simple(server().address)
    with H2Client(p.port) as c:
        stream = opened(c)
        assert c.wait_head(stream).status == 200
        for _ in range(3):
            p.reload()
            c.send_body(stream, masked(1, b"still here"), end=False)
            assert received(c, stream, 12) == b"\x81\x0astill here"
            c.responses[stream].body = b""
        assert c.goaway is None


def test_over_http2_refused_by_the_origin(simple, recorder):
    origin = recorder()
    p = simple(origin.address)
    with H2Client(p.port) as c:
        r = c.wait_head(opened(c))
        assert r.status == 200, "the origin takes it for a GET, and answers it"
    fields = {n.lower(): v for n, v in origin.last.fields}
    assert origin.last.method == "GET" and fields[b"upgrade"] == b"websocket" and b"upgrade" in fields[b"connection"].lower()
    assert len(base64.b64decode(fields[b"sec-websocket-key"])) == 16


def test_over_http2_another_protocol(simple, server):
    p = simple(server().address)
    with H2Client(p.port) as c:
        head = [(":method", "CONNECT"), (":protocol", "smtp"), (":scheme", "https"), (":authority", "site.test"), (":path", "/")]
        assert c.wait(c.request(head=head, end=False)).status == 501
    with H2Client(p.port, strict=False) as c:
        assert c.wait(c.request(head=[(":method", "CONNECT"), (":authority", "site.test:443")], end=False)).status == 405


def test_over_http2_too_early(simple, recorder):
    """Before the origin has switched, it would take this for another request."""
    gate = origins.Gate()
    origin = recorder(gate)
    p = simple(origin.address)
    with H2Client(p.port) as c:
        stream = opened(c)
        gate.wait_arrived()
        c.send_body(stream, b"GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n", end=False)
        assert c.wait(stream).reset == ERRORS["PROTOCOL_ERROR"]
        gate.release(2)
        assert c.get("/next").status == 200
    assert "/smuggled" not in origin.targets
