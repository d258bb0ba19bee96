"""The programs that come with nghttp2: h2load, nghttp, and nghttpd as an origin."""

import contextlib
import pathlib
import subprocess

from . import wait
from .client import run
from .ports import free_port
from .program import Program


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


class Nghttpd(Program):
    """nghttpd with the files in this directory, plain or with TLS."""

    def __init__(self, root, *options, identity=None):
        port = free_port()
        how = [identity.file] * 2 if identity else ["--no-tls"]
        command = ["nghttpd", "--address=127.0.0.1", "--htdocs=%s" % root, *options, port, *how]
        super().__init__(command, port, pathlib.Path(root) / ("nghttpd-%d.log" % port))
