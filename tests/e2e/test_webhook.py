"""What becomes of a rotation is posted to a server on the web: it arrives once it can, in order, and nothing waits for it."""

import json
import os
import pathlib
import socket
import ssl
import threading

import pytest

from harness import client, pki, proxy, wait
from harness.origins import Recorder
from harness.ports import free_port

SECRET = "Bearer c0rrect-h0rse"


class Receiver:
    """
    A webhook's server. It answers each POST with the next of its statuses, the last one for ever; "hang": with nothing,
    "flood": with one of 200 and a body without end.
    """

    def __init__(self, *statuses, identity=None, port=None):
        self.statuses = list(statuses or [200])
        self.released = threading.Event()
        self.recorder = Recorder(self._serve, identity=identity, port=port)
        self.url = "%s://%s/hook/s3cret-path" % ("https" if identity else "http", self.recorder.address)

    def _serve(self, c):
        while True:
            c.request()
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            if status == "hang":
                self.released.wait()
                return
            if status == "flood":
                c.send(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:  # until it is hung up on
                    c.send(bytes(65536))
            c.answer("%d Status" % status, fields=[("Location", "/elsewhere")])

    @property
    def requests(self):
        return self.recorder.requests

    @property
    def events(self):
        return [json.loads(bytes(r.body)) for r in self.requests]

    @property
    def words(self):
        return [e["event"] for e in self.events]

    def wait_for(self, *words):
        """Exactly these events, in this order."""
        wait.until(lambda: len(self.requests) >= len(words), lambda: "%r to be posted: %r" % (words, self.words))
        assert self.words == list(words)
        return self.events

    def stop(self):
        self.released.set()
        self.recorder.stop()


@pytest.fixture
def receiver():
    started = []

    def start(*statuses, **options):
        started.append(Receiver(*statuses, **options))
        return started[-1]

    yield start
    for r in started:
        r.stop()


@pytest.fixture
def swapped(simple, identity, ca, directory):
    """A function that starts a proxy that posts to this URL, with these settings of the rotation, and swaps its certificate."""

    def start(url, swap=True, notify=None, **rotation):
        rotation = dict({"notify": dict({"url": url}, **(notify or {}))}, **rotation)
        p = simple(bundles={"main": dict(identity.files(directory), rotation=rotation)})
        if swap:
            renew(p, ca)
        return p

    return start


def renew(p, ca, name="site.test"):
    ca.leaf(name).files(p.directory)
    p.reload()


def notices(p):
    return p.status()["notices"]


def wait_notices(p, **numbers):
    wait.until(lambda: all(notices(p)[k] >= v for k, v in numbers.items()), lambda: "%r: %r" % (numbers, notices(p)))


def file_of(directory, name, text):
    path = directory / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


# --- what is posted ---


@pytest.mark.parametrize("tls", [True, False])
def test_an_event_is_posted(receiver, swapped, ca, directory, tls):
    hook = receiver(identity=ca.leaf("127.0.0.1") if tls else None)
    notify = {"authorization": file_of(directory, "token", SECRET + "\n")}
    if tls:
        notify["ca"] = ca.file
    p = swapped(hook.url, notify=notify)
    (event,) = hook.wait_for("began")
    (request,) = hook.requests
    assert request.method == "POST" and request.target == "/hook/s3cret-path"
    assert request.get("content-type") == "application/json"
    assert request.get("authorization") == SECRET
    assert request.get("user-agent").startswith("bascule/")
    assert event["bundle"] == "main" and event["generation"] == 2 and event["phase"] == "complete"
    assert len(event["id"]) == 32 and event["host"] == os.uname().nodename and event["at"] and event["begun"]
    assert event["current"]["generation"] == 2 and event["previous"]["generation"] == 1
    assert event["orphans"] == 0 and not event["may_retire"] and event["reasons"]
    wait_notices(p, delivered=1)
    assert notices(p) == {"delivered": 1, "waiting": 0, "tries_failed": 0, "failed": 0, "failed_at": None, "failure": None}
    assert p.counter("notices_delivered") == 1
    assert "c0rrect" not in p.log and "s3cret" not in p.log and "c0rrect" not in json.dumps(p.status())


def test_command_and_webhook_are_told_the_same(receiver, simple, identity, ca, directory):
    hook = receiver()
    with proxy.directory() as place:
        place.chmod(0o777)
        command = place / "tell"
        command.write_text('#!/bin/sh\ncat >"$1/.new" && mv "$1/.new" "$1/$BASCULE_EVENT-$BASCULE_BUNDLE"\n')
        command.chmod(0o755)
        notify = {"url": hook.url, "command": [str(command), str(place)]}
        p = simple(bundles={"main": dict(identity.files(directory), rotation={"notify": notify})})
        renew(p, ca)
        told = place / "began-main"
        wait.until(told.exists, "the command to be run")
        assert hook.wait_for("began") == [json.loads(told.read_text())]


# --- a server that is not there, or does not want it ---


def test_a_server_of_another_ca_is_told_nothing(receiver, swapped, ca, other_ca):
    hook = receiver(identity=ca.leaf("127.0.0.1"))
    p = swapped(hook.url, notify={"ca": other_ca.file})
    wait_notices(p, tries_failed=1)
    p.wait_log(r"https://127\.0\.0\.1:\d+: \"began\" of bundle \"main\" is not delivered yet, and is tried again: SSL certificate problem")
    assert hook.requests == []
    assert p.get().status == 200


def test_a_server_of_another_name_is_told_nothing(receiver, swapped, ca):
    hook = receiver(identity=ca.leaf("elsewhere.test"))
    p = swapped(hook.url, notify={"ca": ca.file})
    p.wait_log("is not delivered yet, and is tried again: SSL: no alternative certificate subject name matches")
    assert hook.requests == []


def test_without_a_ca_the_systems_store_decides(receiver, swapped, ca):
    """It has never heard of this one."""
    hook = receiver(identity=ca.leaf("127.0.0.1"))
    p = swapped(hook.url)
    p.wait_log("is not delivered yet, and is tried again: SSL certificate problem")
    assert hook.requests == []


def test_a_server_that_comes_back_is_told_all_in_its_order(receiver, swapped, ca):
    port = free_port()
    p = swapped("http://127.0.0.1:%d/" % port)
    wait_notices(p, tries_failed=1)
    assert p.rotation("rollback")[0] == 0
    assert notices(p)["waiting"] == 2
    hook = receiver(port=port)
    began, back = hook.wait_for("began", "rolled_back")
    assert began["phase"] == "complete" and back["phase"] == "rolled back" and back["why"] == "an administrator told it to"
    wait_notices(p, delivered=2)
    assert notices(p)["failed"] == notices(p)["waiting"] == 0
    p.wait_log("is delivered: it works again")


def test_a_server_in_trouble_is_tried_again_with_the_same_id(receiver, swapped):
    hook = receiver(503, 500, 429, 204)
    p = swapped(hook.url)
    events = hook.wait_for("began", "began")  # the pauses grow: the rest is a matter of minutes
    assert events[0] == events[1]
    assert p.log.count("is not delivered yet") == 1, "and not at each try"
    assert "it answers with status 503" in p.log


@pytest.mark.parametrize("status, says", [(403, "it answers with status 403"), (302, "status 302; redirects are not followed")])
def test_a_server_that_does_not_want_it_is_asked_once(receiver, swapped, status, says):
    hook = receiver(status)
    p = swapped(hook.url)
    wait_notices(p, failed=1)
    assert len(hook.requests) == 1
    told = notices(p)
    assert told["waiting"] == 0 and says in told["failure"] and told["failed_at"]
    assert 's3cret' not in told["failure"]
    assert p.log.count(says) == 1
    shown = p.command("status").stdout
    assert "People could not be told of 1 events of rotations" in shown and says in shown
    assert p.counter("notices_failed") == 1


def test_a_server_that_never_answers_keeps_nobody_waiting(receiver, swapped, ca):
    hook = receiver("hang")
    p = swapped(hook.url, stages=[{"share": 10, "for": "1s"}, {"share": 50, "for": "1s"}])
    wait.until(lambda: len(hook.requests) == 1, "the first post")
    renew(p, ca)
    p.wait_log("bundle \"main\": all clients get the new generation")
    assert p.get().status == 200
    assert p.rotation("rollback")[0] == 0
    assert notices(p)["waiting"] >= 3 and notices(p)["delivered"] == 0
    assert len(hook.requests) == 1, "one at a time"


def test_an_answer_without_an_end_is_one(receiver, swapped):
    hook = receiver("flood")
    p = swapped(hook.url)
    wait_notices(p, delivered=1)
    assert hook.words == ["began"] and notices(p)["tries_failed"] == 0


def test_secrets_stand_in_no_command_line(receiver, swapped, directory):
    hook = receiver("hang")
    p = swapped(hook.url, notify={"authorization": file_of(directory, "token", SECRET)})
    wait.until(lambda: len(hook.requests) == 1, "the post")
    posting = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if b"webhook" in arguments(pid)]
    assert posting, "it is a process of its own"
    for pid in posting:
        assert b"s3cret" not in arguments(pid) and b"c0rrect" not in arguments(pid)


def arguments(pid):
    try:
        return pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
    except OSError:
        return b""


def test_a_token_that_is_not_there_yet(receiver, swapped, directory):
    hook = receiver()
    path = directory / "token"
    p = swapped(hook.url, notify={"authorization": str(path)})
    p.wait_log("is not delivered yet, and is tried again: .*token: No such file or directory")
    file_of(directory, "token", SECRET)
    hook.wait_for("began")
    assert hook.requests[0].get("authorization") == SECRET


def test_what_would_be_another_field_is_no_token(receiver, swapped, directory):
    hook = receiver()
    p = swapped(hook.url, notify={"authorization": file_of(directory, "token", "Bearer x\r\nX-Evil: 1\n")})
    p.wait_log("token: is to have one line, and no control characters")
    assert hook.requests == []


# --- of what ---


def test_an_orphan_a_rollback_and_an_end_are_told(receiver, swapped, ca, other_ca):
    hook = receiver()
    p = swapped(hook.url, swap=False, accept=proxy.CHANGES, rollback_clients=2, rollback_networks=2, rollback_share=10)
    sources = ["127.0.1.1", "127.0.2.1"]
    for s in sources:
        visit(p, ca, s)
    renew(p, other_ca)
    refuse(p, ca, sources[0])
    events = hook.wait_for("began", "orphan")
    assert "a client that had accepted" in events[1]["why"]
    assert [o["address"] for o in events[1]["orphan_list"]] == [sources[0]]
    refuse(p, ca, sources[1])
    back = hook.wait_for("began", "orphan", "rolled_back")[-1]
    assert back["why"] == "2 of 2 clients that had accepted the previous generation refuse the new one"
    assert p.rotation("resume")[0] == 0
    assert p.rotation("retire", "main", "--force")[0] == 0
    events = hook.wait_for("began", "orphan", "rolled_back", "began", "ended")
    assert {e["why"] for e in events[3:]} == {"an administrator told it to"}
    assert events[-1]["phase"] == "settled"
    assert len({e["id"] for e in events}) == 5


def visit(p, ca, source):
    """A client with this address that verifies what it is shown."""
    context = client.tls_context(ca=ca)
    with socket.create_connection(("127.0.0.1", p.port), wait.DEADLINE, (source, 0)) as raw:
        with context.wrap_socket(raw, server_hostname="site.test") as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
            assert s.recv(12) == b"HTTP/1.1 200"


def refuse(p, ca, source):
    with pytest.raises(ssl.SSLCertVerificationError):
        visit(p, ca, source)
    wait.until(lambda: source in {c["address"] for c in p.rotation()[1]["orphan_list"]}, "the refusal to be counted")


def test_what_is_held_back_is_told_once(receiver, swapped, ca, other_ca, identity):
    hook = receiver()
    p = swapped(hook.url, swap=False)
    other_ca.leaf("site.test").files(p.directory)
    assert p.command("reload").returncode == 3
    assert p.command("reload").returncode == 3
    (held,) = hook.wait_for("held")
    assert "not taken in place of generation 1" in held["why"] and "another-root" in held["why"]
    assert held["generation"] == 1 and held["phase"] == "settled"
    config = p.config_path.read_text()
    p.config_path.write_text("{")
    p.reload(expect=False)  # nothing was looked at: what is held back still is
    p.config_path.write_text(config)
    assert p.command("reload").returncode == 3
    pki.write(pathlib.Path(p.directory) / "bundle.key", identity.key_pem)
    assert p.command("reload").returncode == 3
    assert "do not match" in hook.wait_for("held", "held")[1]["why"]
    identity.files(p.directory)
    p.reload()
    pki.write(pathlib.Path(p.directory) / "bundle.key", ca.leaf("x.test").key_pem)
    assert p.command("reload").returncode == 3
    hook.wait_for("held", "held", "held")


@pytest.mark.parametrize("key, contents, says", [
    ("ca", None, "No such file or directory"), 
    ("ca", "-----BEGIN X-----\nAAAA\n-----END X-----\n", "has no certificate in it"),
    ("authorization", "a\nb\n", "is to have one line"),
    ("authorization", "\n", "is empty"),
    ("command", None, "No such file or directory"),
])  # fmt: skip
def test_a_check_tells_what_is_wrong_with_it(simple, identity, directory, key, contents, says):
    p = simple()
    path = str(directory / "given") if contents is None else file_of(directory, "given", contents)
    p.change(bundles={"main": {"rotation": {"notify": {"url": "https://localhost/", key: path}}}})
    done = p.command("check")
    assert done.returncode == 1 and "notify.%s: " % key in done.stderr and says in done.stderr, done


def test_what_waits_to_be_started_is_told_once(receiver, swapped, ca):
    hook = receiver()
    p = swapped(hook.url, start="manual")
    p.reload()
    (event,) = hook.wait_for("waiting")
    assert "`bascule rotation start main` begins" in event["why"]
    assert p.rotation("start")[0] == 0
    hook.wait_for("waiting", "began")
