"""The programs that come with nghttp2: h2load, nghttp, and nghttpd as an origin."""

import contextlib
import pathlib
import signal
import socket
import subprocess

from . import wait
from .client import run
from .ports import free_port


@contextlib.contextmanager
def h2load(port, target, *options, name="site.test"):
    """h2load, while something else goes on; at the end of the block it has ended by itself, and `said` is its report."""
    process = subprocess.Popen(
        ["h2load", *[str(o) for o in options], "--connect-to=127.0.0.1:%d" % port,
         "https://%s:%d%s" % (name, port, target)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
        process.said, _ = process.communicate(timeout=6 * wait.DEADLINE)
    finally:
        process.kill()
        process.communicate()


def nghttp(port, target, *options, name="site.test"):
    """What nghttp writes: the body, or the frames. It has no way to connect elsewhere than to what the URI names."""
    done = run("nghttp", "--no-verify-peer", "--timeout=%d" % (2 * wait.DEADLINE), *options,
               "--header=:authority: %s:%d" % (name, port), "https://127.0.0.1:%d%s" % (port, target))  # fmt: skip
    assert done.returncode == 0, done
    return done.stdout


class Nghttpd:
    """nghttpd with these files, plain or with TLS. It sends back what is posted to /echo, and a trailer behind everything."""

    def __init__(self, directory, files, identity=None):
        root = pathlib.Path(directory) / "nghttpd"
        root.mkdir()
        for name, data in dict(files, echo=b"").items():
            (root / name).write_bytes(data)
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port
        how = [identity.file] * 2 if identity else ["--no-tls"]
        self._log_path = root.with_suffix(".log")
        self._log = open(self._log_path, "wb")
        self.process = subprocess.Popen(
            ["nghttpd", "--address=127.0.0.1", "--htdocs=%s" % root, "--echo-upload", "--trailer=x-trailer: of nghttpd",
             str(self.port), *how],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        wait.until(self._answers, lambda: "nghttpd: " + self._log_path.read_text(errors="replace"))

    def _answers(self):
        assert self.process.poll() is None, "nghttpd ended: " + self._log_path.read_text(errors="replace")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(wait.DEADLINE)
        self._log.close()
