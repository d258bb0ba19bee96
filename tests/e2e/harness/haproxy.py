"""Debian's HAProxy, in the foreground."""

import pathlib

from .ports import free_port
from .program import Program

CONFIG = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 30s
    timeout client 30s
    timeout server 30s
"""


class HAProxy(Program):
    """`body` is the rest of its config; {port} in it is a port of its own, where it listens."""

    def __init__(self, directory, body, **values):
        port = free_port()
        config = pathlib.Path(directory) / ("haproxy-%d.cfg" % port)
        config.write_text(CONFIG + body.format(port=port, **values))
        super().__init__(["haproxy", "-db", "-f", config], port, config.with_suffix(".log"))
