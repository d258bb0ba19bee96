"""Debian's HAProxy, one process, in the foreground."""

import pathlib
import signal
import socket
import subprocess

from . import wait
from .ports import free_port

CONFIG = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 30s
    timeout client 30s
    timeout server 30s
"""


class HAProxy:
    """`body` is the rest of its config; {port} in it is a port of its own, where it listens."""

    def __init__(self, directory, body, **values):
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port
        config = pathlib.Path(directory) / ("haproxy-%d.cfg" % self.port)
        config.write_text(CONFIG + body.format(port=self.port, **values))
        self._log_path = config.with_suffix(".log")
        self._log = open(self._log_path, "wb")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=self._log,
                                        stderr=self._log)  # fmt: skip
        wait.until(self._answers, lambda: "haproxy: " + self._log_path.read_text(errors="replace"))

    def _answers(self):
        assert self.process.poll() is None, "haproxy ended: " + self._log_path.read_text(errors="replace")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(wait.DEADLINE)
        self._log.close()
