"""Programs in Node that stay up and do what the test says: harness/node/*.js, with what npm has installed for them."""

import concurrent.futures
import itertools
import json
import pathlib
import subprocess
import threading

from . import wait

PROGRAMS = pathlib.Path(__file__).parent / "node"
MODULES = pathlib.Path(__file__).parents[1] / "node_modules"


class Node:
    """One program. `call` has it do something and waits for what came of it, `start` does not wait; `events` is what it told."""

    def __init__(self, name, *arguments):
        assert MODULES.is_dir(), "not installed yet: npm ci --ignore-scripts --prefix tests/e2e (./bootstrap check does it)"
        self.name = name
        self.process = subprocess.Popen(
            ["node", str(PROGRAMS / (name + ".js")), *[str(a) for a in arguments]], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.events = []
        self._ids = itertools.count()
        self._futures = {}
        self._lock = threading.Lock()
        self._stderr = []
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._read, self._read_errors)]
        for t in self._threads:
            t.start()

    def _read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.events.append(said)
                continue
            future = self._futures.pop(said["id"])
            if "error" in said:
                future.set_exception(AssertionError("%s.js: %s" % (self.name, said["error"])))
            else:
                future.set_result(said.get("result"))
        with self._lock:
            self.process.stdout.close()
            for future in self._futures.values():
                future.set_exception(AssertionError("%s.js ended: %s" % (self.name, "".join(self._stderr))))

    def _read_errors(self):
        self._stderr.extend(self.process.stderr)
        self.process.stderr.close()

    def start(self, command, **given):
        with self._lock:
            id, future = next(self._ids), concurrent.futures.Future()
            assert not self.process.stdout.closed, "%s.js ended: %s" % (self.name, "".join(self._stderr))
            self._futures[id] = future
            self.process.stdin.write(json.dumps({"id": id, "name": command, "given": given}) + "\n")
            self.process.stdin.flush()
        return Result(future)

    def call(self, command, **given):
        return self.start(command, **given).get()

    def told(self, event, **like):
        """What it has told of this kind."""
        return [e for e in list(self.events) if e["event"] == event and all(e[k] == v for k, v in like.items())]

    def wait(self, event, count=1, **like):
        """Until it has told so many of them; the last."""
        what = lambda: "%d times %r %r; told: %r" % (count, event, like, self.events[-20:])  # noqa: E731
        wait.until(lambda: len(self.told(event, **like)) >= count, what, deadline=3 * wait.DEADLINE)
        return self.told(event, **like)[-1]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(wait.DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for t in self._threads:
            t.join(wait.DEADLINE)


class Result:
    """What will have come of a command."""

    def __init__(self, future):
        self._future = future

    @property
    def there(self):
        return self._future.done()

    def get(self):
        return self._future.result(6 * wait.DEADLINE)
