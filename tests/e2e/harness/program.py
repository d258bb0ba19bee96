"""Servers that others have written: one process each, which listens on 127.0.0.1."""

import pathlib
import signal
import socket
import subprocess

from . import wait


class Program:
    """It listens once it is there. What it says goes into a log."""

    def __init__(self, command, port, log_path):
        self.port = port
        self.address = "127.0.0.1:%d" % port
        self._command, self._log_path = [str(c) for c in command], pathlib.Path(log_path)
        with open(self._log_path, "wb") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait.until(self._listens, lambda: "%s: %s" % (self._command[0], self.log()))

    def _listens(self):
        assert self.process.poll() is None, "%s ended: %s" % (self._command[0], self.log())
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        return self._log_path.read_text(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(wait.DEADLINE)
