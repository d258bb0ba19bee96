"""Barriers with a deadline. Nothing in the tests sleeps for a time that somebody guessed."""

import os
import pathlib
import select
import time

# Sanitizers and valgrind are slower: BASCULE_SLOW=10 makes every deadline ten times longer, and counts smaller.
SLOW = float(os.environ.get("BASCULE_SLOW", "1"))
DEADLINE = 10.0 * SLOW


def fewer(count, least=1):
    """A count of repetitions, made smaller by the slow factor."""
    return max(least, int(count / SLOW))


def until(condition, what, deadline=DEADLINE, on_end=None):
    """Poll until `condition()` is true and return its value; fail with `what` was waited for."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for: " + (what() if callable(what) else what))
        if on_end:
            on_end()
        time.sleep(0.005)


def readable(sock, seconds=None):
    """Is there something to read, or the end, within so many seconds; None: wait for ever? Numbers above 1023 are no matter."""
    p = select.poll()
    p.register(sock, select.POLLIN)
    return bool(p.poll(None if seconds is None else max(0, seconds * 1000)))


def unread(port, peer):
    """Bytes that wait in the socket at 127.0.0.1:`port` that is connected to `peer`; None: there is no such socket."""
    ends = "0100007F:%04X 0100007F:%04X" % (port, peer)
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if " ".join(fields[1:3]) == ends:
            return int(fields[4].split(":")[1], 16)
    return None
