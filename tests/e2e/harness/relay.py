"""
A road of its own to the proxy for each client: what connects to its port arrives at the proxy from its address.

Most programs can not choose the address that they come from, and the proxy tells clients apart by it. Bytes and ends go
through untouched, so that TLS is between the program and the proxy.
"""

import asyncio
import threading

from . import wait
from .listener import reset_at_close
from .ports import free_port


async def _pump(reader, writer):
    """One direction. An end is passed on as one, a reset as a reset."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        s = writer.get_extra_info("socket")
        if not writer.transport.is_closing():
            reset_at_close(s)
        writer.transport.abort()


class Road:
    """Its port leads to the proxy from the address `source`."""

    def __init__(self, source):
        self.source = source
        self.port = free_port()
        self.busy = 0

    def wait_until_empty(self):
        """Until the proxy has seen the end of each connection, which may be after the client has forgotten it."""
        wait.until(lambda: not self.busy, "the road from %s to be empty" % self.source)


class Relay:
    """All roads to one port, in a thread of their own."""

    def __init__(self, target):
        self.target = target
        self._loop = asyncio.new_event_loop()
        self._servers = []
        self._running = set()  # the loop itself holds no task that only waits
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def road(self, source):
        road = Road(source)

        async def accepted(reader, writer):
            self._running.add(task := asyncio.current_task())
            task.add_done_callback(self._running.discard)
            road.busy += 1
            try:
                await self._drive(reader, writer, source)
            finally:
                road.busy -= 1

        started = asyncio.start_server(accepted, "127.0.0.1", road.port)
        self._servers.append(asyncio.run_coroutine_threadsafe(started, self._loop).result())
        return road

    async def _drive(self, reader, writer, source):
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target, local_addr=(source, 0))
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pump(reader, to_writer), _pump(to_reader, writer))
        finally:
            writer.close()
            to_writer.close()

    def stop(self):
        async def end():
            for s in self._servers:
                s.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)  # what they have closed is closed in the next turn

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
