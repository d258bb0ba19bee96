"""`bascule pki` as a person runs it: in a directory, with or without a terminal."""

import os
import pathlib
import pty
import re
import signal
import subprocess
import time

from . import wait
from .proxy import BINARY, SANITIZER, SANITIZER_OPTIONS


class Done:
    """How it ended. `text` is both outputs."""

    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr
        self.text = stdout + stderr
        assert not SANITIZER.search(self.text), self.text

    def __repr__(self):
        return "status %s\n%s" % (self.status, self.text)


class Tool:
    """Called with a subcommand and its arguments; runs without a terminal."""

    def __init__(self, directory):
        self.directory = directory
        self.environment = dict(SANITIZER_OPTIONS, **os.environ)

    def __call__(self, *arguments, data="", umask=0o022, prefix=()):
        done = subprocess.run(
            [*prefix, BINARY, "pki", *[str(a) for a in arguments]], input=data, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.directory, env=self.environment,
            timeout=6 * wait.DEADLINE, start_new_session=True, umask=umask,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments, status=0, **options):
        done = self(*arguments, **options)
        assert done.status == status, done
        return done

    def refused(self, pattern, *arguments, status=1, **options):
        """It fails, says so, and changes nothing in the directory."""
        before = self.files()
        done = self(*arguments, **options)
        assert done.status == status and re.search(pattern, done.stderr, re.S), done
        assert self.files() == before
        return done

    def files(self):
        """All there is, with content, hidden files too; sockets and logs are left out."""
        found = {}
        for path, _, names in os.walk(self.directory):
            for name in names:
                full = os.path.join(path, name)
                if name.endswith((".log", ".sock")):
                    continue
                found[full] = pathlib.Path(full).read_bytes() if os.path.isfile(full) else None
        return found

    def terminal(self, *arguments):
        return Terminal([BINARY, "pki", *[str(a) for a in arguments]], self.directory, self.environment)


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, arguments, directory, environment):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execve(arguments[0], arguments, environment)

    def expect(self, pattern):
        """Read until it is seen; what was seen before is forgotten."""
        end = time.monotonic() + wait.DEADLINE
        while not (found := re.search(pattern, self.seen, re.S)):
            assert time.monotonic() < end, "waited for %r, saw %r" % (pattern, self.seen)
            assert self._read(0.1) is not False, "ended; waited for %r, saw %r" % (pattern, self.seen)
        self.seen = self.seen[found.end() :]
        return found

    def _read(self, seconds):
        if not wait.readable(self.fd, seconds):
            return None
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def send(self, text):
        os.write(self.fd, text.encode())

    def answer(self, pattern, text=""):
        self.expect(pattern)
        self.send(text + "\n")

    def end(self):
        """Read to the end: exit status (or minus the signal) and the rest of the output."""
        end = time.monotonic() + wait.DEADLINE
        while self._read(0.1) is not False:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError("does not end; saw %r" % self.seen)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.seen
