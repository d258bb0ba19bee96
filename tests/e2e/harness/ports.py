"""Ports that the kernel gave, kept reserved until the process under test has bound them."""

import atexit
import socket

_reserved = []


def free_port(host="127.0.0.1"):
    """
    A port nobody else will be given. The reservation is a bound socket that never listens: with SO_REUSEADDR on both
    another socket may bind and listen beside it, but the kernel hands the port to nobody who asks for any.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, 0))
    _reserved.append(s)
    return s.getsockname()[1]


def dead_port():
    """A port where connections are refused, now and for the life of the tests."""
    return free_port()


@atexit.register
def _release():
    for s in _reserved:
        s.close()
