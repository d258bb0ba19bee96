"""Steady load in a thread of its own: keep-alive, new, long-poll and WebSocket connections. Any failure is kept."""

import asyncio
import collections
import ssl
import threading

import websockets

from . import wait
from .client import tls_context


class Load:
    """
    Each kind of client runs until stop(). `done` counts what went well by kind, `failures` holds what did not, and
    `certificates` the DER of those that new handshakes showed. `pace` seconds lie between two requests of a client.
    """

    def __init__(self, port, name, ca, *, keep_alive=4, new=2, long_poll=2, websocket=2, pace=0.002):
        self.port = port
        self.name = name
        self.context = tls_context(ca)
        self.clients = [self._keep_alive] * keep_alive + [self._new] * new
        self.clients += [self._long_poll] * long_poll + [self._websocket] * websocket
        self.pace = pace * wait.SLOW
        self.done = collections.Counter()
        self.failures = []
        self.certificates = set()
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, meanwhile=None):
        """End all clients; `meanwhile` is called until they have ended."""
        self._stopping = True
        while meanwhile and self._thread.is_alive():
            meanwhile()
            self._thread.join(0.01)
        self._thread.join()

    def check(self):
        assert not self.failures, "%d failures, the first: %s" % (len(self.failures), self.failures[:5])

    async def _main(self):
        await asyncio.gather(*(self._run(client) for client in self.clients))

    async def _run(self, client):
        try:
            await client()
        except Exception as e:  # whatever it is, it is a failure of the proxy
            self.failures.append("%s: %r" % (client.__name__.strip("_"), e))

    async def _connect(self):
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, server_hostname=self.name), wait.DEADLINE
        )
        self.certificates.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        return reader, writer

    async def _request(self, reader, writer, target, fields=""):
        writer.write(("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, self.name, fields)).encode())
        await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3 * wait.DEADLINE)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise AssertionError("answered %r" % head[:80])
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)

    async def _keep_alive(self):
        reader, writer = await self._connect()
        while not self._stopping:
            await self._request(reader, writer, "/keep-alive")
            self.done["keep-alive"] += 1
            await asyncio.sleep(self.pace)
        await self._close(writer)

    async def _new(self):
        while not self._stopping:
            reader, writer = await self._connect()
            await self._request(reader, writer, "/new", "Connection: close\r\n")
            if await reader.read() != b"":
                raise AssertionError("bytes behind the answer")
            self.done["new"] += 1
            await self._close(writer)
            await asyncio.sleep(self.pace)

    async def _long_poll(self):
        reader, writer = await self._connect()
        while not self._stopping:
            await self._request(reader, writer, "/poll")
            self.done["long-poll"] += 1
        await self._close(writer)

    async def _websocket(self):
        uri = "wss://%s:%d/websocket" % (self.name, self.port)
        connection = websockets.connect(
            uri, ssl=self.context, server_hostname=self.name, host="127.0.0.1", port=self.port, ping_interval=None
        )
        async with connection as s:
            while not self._stopping:
                message = "message %d" % self.done["websocket"]
                await s.send(message)
                if await asyncio.wait_for(s.recv(), wait.DEADLINE) != message:
                    raise AssertionError("another message came back")
                self.done["websocket"] += 1
                await asyncio.sleep(self.pace)

    @staticmethod
    async def _close(writer):
        writer.close()
        try:
            await writer.wait_closed()
        except (OSError, ssl.SSLError):
            pass


class WebSocketServer:
    """python3-websockets as an origin; `handler` is called with the connection, echo by default."""

    def __init__(self, handler=None, **options):
        self.handler = handler or self.echo
        self.options = dict(dict(ping_interval=None, max_size=None), **options)
        self.headers = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._ready.wait(wait.DEADLINE)
        self.address = "127.0.0.1:%d" % self.port

    @staticmethod
    async def echo(s):
        async for message in s:
            await s.send(message)

    async def _serve(self, s):
        self.headers.append(list(s.request_headers.raw_items()))
        await self.handler(s)

    def _main(self):
        asyncio.set_event_loop(self._loop)
        self._stopping = asyncio.Event()
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self):
        async with websockets.serve(self._serve, "127.0.0.1", 0, **self.options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stopping.wait()

    def stop(self):
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(wait.DEADLINE)
