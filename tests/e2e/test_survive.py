"""The worker dies while the disk holds something bad: what was in service goes on in the next worker."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket

import pytest

from harness import client, pki, proxy, wait
from harness.process import open_descriptors
from test_client_certs import turned_away
from test_swap import served


@pytest.fixture(scope="session")
def devices(pki_directory):
    return pki.Authority("Surviving Devices", directory=pki_directory)


@pytest.fixture
def leaves(ca):
    return ca.leaf("site.test"), ca.leaf("site.test"), ca.leaf("site.test")


def die(p):
    """Kill the worker and wait until its successor serves; its status."""
    old = p.worker
    os.kill(old, signal.SIGKILL)
    wait.until(lambda: p.workers() not in ([], [old]) and p.is_ready(), "another worker")
    return p.status()


def bundle(p, name="main"):
    return next(b for b in p.status()["bundles"] if b["name"] == name)


def outcome(p, name="main"):
    """What the last load says of a bundle; None: nothing new."""
    return next((o["outcome"] for o in p.status()["last_reload"]["outcomes"] if o["bundle"] == name), None)


# --- the config ---


@pytest.mark.memory
@pytest.mark.threads
@pytest.mark.parametrize("refused_before", [False, True])
def test_a_config_that_is_refused(simple, leaves, directory, refused_before):
    """Also when nobody tried to load it before, and in two deaths in a row."""
    old, new, newest = leaves
    p = simple(sites=[proxy.site("site.test", request_headers={"set": {"X-Config": "old"}})])
    old.files(directory)
    p.reload()
    serving, text = p.generation, p.config_path.read_text()
    new.files(directory)
    p.configure(text.replace('"sites"', '"sitess"'))
    if refused_before:
        p.reload(expect=False)
    for _ in range(2):
        status = die(p)
        assert not status["last_reload"]["ok"]
        assert "bascule.json" in status["last_reload"]["problems"] and "sitess" in status["last_reload"]["problems"]
        assert status["generation"] == serving
        assert served(p) == old.serial
        answer = p.get()
        assert answer.status == 200
        assert ["X-Config", "old"] in answer.json()["fields"]
    p.wait_log(r"config on the disk is refused")
    p.wait_log(r"bascule\.json:\d+:\d+:.*sitess")
    shown = p.command("status", "--socket", p.admin_socket).stdout
    assert "refused" in shown and "sitess" in shown
    p.configure(text.replace('"old"', '"new"'))
    p.reload()
    assert p.status()["last_reload"]["ok"]
    assert served(p) == new.serial
    assert ["X-Config", "new"] in p.get().json()["fields"]
    newest.files(directory)
    assert die(p)["last_reload"]["ok"]
    assert served(p) == newest.serial, "and what is good on the disk is loaded again"


@pytest.mark.parametrize("damage", ["gone", "unreadable pieces", "empty directory"])
def test_a_config_of_many_files(simple, directory, damage):
    parts = directory / "parts"
    parts.mkdir()
    p = simple()
    contents = dict(p.contents)
    pki.write(parts / "sites.json", b'{ "sites": %s }' % json.dumps(contents.pop("sites")).encode())
    (directory / "more").mkdir()
    (directory / "more" / "linked.json").symlink_to(parts / "sites.json")
    pki.write(directory / "upstreams.json", b'{ "upstreams": %s }' % json.dumps(contents.pop("upstreams")).encode())
    contents.update(include=["parts/*.json", "more", "upstreams.json"])
    p.config_path.write_text(json.dumps(contents))
    p.reload()
    if damage == "gone":
        shutil.move(p.config_path, directory / "away.json")
    elif damage == "empty directory":
        (parts / "sites.json").unlink()
    else:
        shutil.rmtree(parts)
        (directory / "upstreams.json").write_text("{")
    for _ in range(2):
        assert not die(p)["last_reload"]["ok"]
        assert p.get().status == 200


def test_the_service_manager_is_told(simple, directory, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(directory / "notify"))
        os.chmod(directory / "notify", 0o666)
        s.settimeout(wait.DEADLINE)

        def status_when_ready():
            while "READY=1" not in (lines := s.recv(4096).decode().splitlines()):
                pass
            return next(line for line in lines if line.startswith("STATUS="))

        monkeypatch.setenv("NOTIFY_SOCKET", str(directory / "notify"))
        p = simple()
        assert "Serving 1 sites" in status_when_ready()
        text = p.config_path.read_text()
        p.configure("{")
        die(p)
        assert "refused" in status_when_ready()
        assert "refused" in status_when_ready(), "also when the worker is ready"
        p.configure(text)
        p.reload()
        assert "Serving 1 sites" in status_when_ready()


def test_a_listener_that_can_not_be_opened(simple):
    p = simple()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        p.change(listeners=[p.contents["listeners"][0], proxy.listener(s.getsockname()[1])])
        assert not die(p)["last_reload"]["ok"]
        assert p.get().status == 200
        p.change(listeners=[p.contents["listeners"][0]])
        p.reload()
        assert p.get().status == 200


def test_the_threads_stay_as_many_until_a_restart(simple):
    p = simple(threads=2)
    p.change(threads=3)
    assert die(p)["threads"] == 2
    p.change(sites=[proxy.site("site.test", bundle="nobody")])
    assert die(p)["threads"] == 2
    assert p.get().status == 200


@pytest.mark.skipif(wait.SLOW > 1, reason="a sanitizer maps its own memory where such stacks would be")
def test_threads_that_can_not_be_started(simple):
    """Then the worker ends, and another one tries. Stacks as large as that find no room beside each other."""
    p = simple()
    limit = resource.prlimit(p.process.pid, resource.RLIMIT_STACK)
    resource.prlimit(p.process.pid, resource.RLIMIT_STACK, (1 << 47, limit[1]))
    os.kill(p.worker, signal.SIGKILL)
    p.wait_log("can not start a thread")
    resource.prlimit(p.process.pid, resource.RLIMIT_STACK, limit)
    wait.until(p.is_ready, "a worker with threads")
    assert p.get().status == 200


def test_an_admin_socket_that_can_not_be_opened(simple, directory):
    p = simple()
    p.change(admin={"socket": str(directory / "nowhere" / "admin.sock")})
    os.kill(p.worker, signal.SIGKILL)
    p.wait_log(r"worker \d+ is ready")
    assert p.get().status == 200


def test_the_first_start_still_fails(simple):
    with pytest.raises(proxy.StartFailed) as failed:
        simple(sites=[proxy.site("site.test", bundle="nobody")])
    assert "nobody" in failed.value.log


def test_a_reload_while_it_is_replaced(simple, leaves, directory):
    p = simple()
    text = p.config_path.read_text()
    for leaf in leaves:
        p.configure("{")
        os.kill(p.worker, signal.SIGKILL)
        p.send_signal(signal.SIGHUP)
        leaf.files(directory)
        p.configure(text)
        p.send_signal(signal.SIGHUP)
        wait.until(lambda: p.workers() and p.is_ready() and served(p) == leaf.serial, "the new certificate by the new worker")


def kept(pid):
    """The memory files with what is in service that a process holds."""
    found = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            if "bascule-keep" in os.readlink("/proc/%d/fd/%s" % (pid, fd)):
                found.add(os.stat("/proc/%d/fd/%s" % (pid, fd)).st_ino)
    return found


def test_the_supervisor_keeps_one(simple):
    p = simple()
    p.wait_log("ready: ")  # before that the supervisor may hold a descriptor that it is about to hand over
    before = open_descriptors(p.process.pid)
    for _ in range(5):
        p.reload()
        die(p)
    wait.until(lambda: open_descriptors(p.process.pid) == before, "no descriptor to be left")
    assert len(kept(p.process.pid)) == 2, "one with the bundles, one with the rest"
    assert not kept(p.worker)


def test_of_many_bundles_only_what_has_changed_is_kept_anew(bascule, ca, directory, port, echo):
    """And all of them go on in the next worker: those that changed, those that did not, and one that is bad on the disk."""
    many, first, second = 300, ca.leaf("n7.test"), ca.leaf("n8.test")
    bundles = directory / "bundles"
    bundles.mkdir()
    other = ca.leaf("*.test")
    for i in range(many):
        other.combined(bundles, "n%d" % i)
    for leaf, name in (first, "n7"), (second, "n8"):
        leaf.combined(bundles, name)
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {"*": {"directory": str(bundles)}},
            "sites": [{"names": ["*.test"], "upstream": "origin"}],
            "upstreams": {"origin": proxy.upstream(echo.address)},
            "reload": {"watch": False},
        }
    )
    before = kept(p.process.pid)
    assert len(before) == 5, "four parts and the rest"
    new = ca.leaf("n7.test")
    new.combined(bundles, "n7")
    (bundles / "n8.pem").write_text("no certificate")
    p.reload()
    after = kept(p.process.pid)
    assert len(after) == 5 and len(after & before) == 3
    for _ in range(2):
        die(p)
        assert served(p, "n7.test") == new.serial
        assert served(p, "n8.test") == second.serial
        assert served(p, "x.test") == other.serial
        assert bundle(p, "n7")["generation"] == 2
        assert bundle(p, "n8")["generation"] == 1 and outcome(p, "n8") == "held"
        assert len(p.status()["bundles"]) == many
        assert len(kept(p.process.pid) & after) == 4, "what the next worker had in service was there already"


def test_when_it_can_not_be_kept(simple, leaves, directory):
    """It is said, all goes on, and nothing older comes back in its place."""
    p = simple(prefix=["prlimit", "--fsize=300000"])
    text = p.config_path.read_text()
    p.configure(text + " " * 400000)
    leaves[0].files(directory)
    p.reload()
    p.wait_log(r"should this worker die, .* ")
    assert served(p) == leaves[0].serial
    die(p)
    assert served(p) == leaves[0].serial
    assert bundle(p)["generation"] == 2, "which the rotation's state tells, kept apart"
    p.configure(text)
    p.reload()
    cut_short(directory, leaves[1])
    die(p)
    assert served(p) == leaves[0].serial, "and is kept again"


# --- bundles ---


def cut_short(path, new):
    pki.write(path / "bundle.crt", new.chain_pem[: len(new.chain_pem) // 2])


def half_written(path, new):
    pki.write(path / "bundle.crt", new.chain_pem)


def gone(path, new):
    (path / "bundle.key").unlink()


def unreadable(path, new):
    (path / "bundle.crt").unlink()
    (path / "bundle.crt").mkdir()


@pytest.mark.parametrize("policy", ["each", "all_or_nothing"])
@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.parametrize("damage", [cut_short, half_written, gone, unreadable])
def test_a_bundle_that_is_held_back(simple, leaves, directory, damage, tried, policy):
    first, second, third = leaves
    first.files(directory)
    p = simple(reload={"policy": policy})
    second.files(directory)
    p.reload()
    before = bundle(p)
    damage(directory, third)
    if tried:
        p.send_signal(signal.SIGHUP)
        p.wait_log(r"\"main\": held")
    for _ in range(2):
        die(p)
        assert served(p) == second.serial
        assert outcome(p) == "held"
        assert bundle(p)["generation"] == before["generation"]
    if (directory / "bundle.crt").is_dir():
        (directory / "bundle.crt").rmdir()
    third.files(directory)
    p.reload()
    assert served(p) == third.serial
    assert outcome(p) == "loaded"
    assert bundle(p)["generation"] == before["generation"] + 1


def test_an_expired_bundle(simple, ca, leaves, directory):
    p = simple()
    leaves[0].files(directory)
    p.reload()
    ca.leaf("site.test", begins=-9, ends=-1).files(directory)
    die(p)
    assert (served(p), outcome(p)) == (leaves[0].serial, "held")


def test_what_has_not_changed_is_taken_over(simple):
    p = simple()
    before, config = bundle(p), p.generation
    status = die(p)
    assert status["last_reload"]["ok"] and status["last_reload"]["outcomes"] == []
    assert bundle(p) == before
    assert status["generation"] > config


def test_a_change_that_the_watch_saw(simple, leaves, directory):
    directory.chmod(0o755)
    p = simple(reload={"watch": True, "poll": "1s"})
    leaves[0].files(directory)
    wait.until(lambda: served(p) == leaves[0].serial, "the watch to see it")
    wait.until(lambda: bundle(p)["generation"] == 2, "it to be counted")
    p.configure("{")
    cut_short(directory, leaves[1])
    die(p)
    assert served(p) == leaves[0].serial


@pytest.fixture
def many(bascule, directory, ca, echo, port):
    bundles = directory / "bundles"
    leaves = {n: ca.leaf(n) for n in ("one.test", "two.test")}
    leaves["one.test"].combined(bundles, "one")
    leaves["two.test"].files(bundles / "two", "cert")
    (bundles / "two" / "cert.crt").rename(bundles / "two" / "tls.crt")
    (bundles / "two" / "cert.key").rename(bundles / "two" / "tls.key")
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {"*": {"directory": str(bundles)}},
            "sites": [{"names": ["*.test"], "upstream": "origin"}],
            "upstreams": {"origin": proxy.upstream(echo.address)},
        }
    )
    p.leaves = leaves
    return p


@pytest.mark.parametrize("config_too", [False, True])
def test_a_directory_of_bundles_is_gone(many, directory, config_too):
    away = directory / "away"
    (directory / "bundles").rename(away)
    text = many.config_path.read_text()
    if config_too:
        many.configure("{")
    for _ in range(2):
        die(many)
        for name, leaf in many.leaves.items():
            assert served(many, name) == leaf.serial
    if config_too:
        many.configure(text)
    away.rename(directory / "bundles")
    many.reload()
    for name, leaf in many.leaves.items():
        assert served(many, name) == leaf.serial
    assert bundle(many, "one")["generation"] == 1


# --- noticing changes ---


@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["anyone's", "root's"])
@pytest.mark.parametrize("policy", ["each", "all_or_nothing"])
@pytest.mark.parametrize("broken", [False, True])
def test_certificates_are_watched_while_the_config_is_refused(simple, leaves, directory, mode, policy, broken):
    """Events alone tell of them: there is no poll."""
    directory.chmod(mode)
    p = simple(reload={"watch": True, "poll": 0, "policy": policy})
    leaves[0].files(directory)
    wait.until(lambda: p.status()["bundles"][0]["generation"] == 2, "the watch to see it")
    p.configure("{")
    if broken:
        cut_short(directory, leaves[1])
    for _ in range(2):
        die(p)
        assert p.get().status == 200
        p.wait_handed_over()  # which comes seconds later: the look that follows a start is over, and sees no change below
        assert served(p) == leaves[0].serial
    leaves[2].files(directory)
    wait.until(lambda: served(p) == leaves[2].serial, "the new certificate to be served")


# --- other files ---


BROKEN = {
    "damaged": lambda path: pki.write(path, b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
    "gone": os.unlink,
    "of something else": lambda path: pki.write(path, b"nothing\n"),
}


@pytest.mark.parametrize("which", ["crl", "pin"])
@pytest.mark.parametrize("damage", BROKEN)
def test_a_file_of_client_certificates(simple, devices, directory, which, damage):
    known, lost = devices.leaf("known", client=True), devices.leaf("lost", client=True)
    files = {"pin": directory / "devices.pem", "crl": directory / "devices.crl"}
    pki.write(files["pin"], devices.pem)
    pki.write(files["crl"], devices.crl())
    rule = {"mode": "required", "pins": [{"ca": str(files["pin"])}], "crls": [str(files["crl"])]}
    p = simple(sites=[proxy.site("site.test", client_certificate=rule)])
    assert p.get(identity=lost).status == 200
    pki.write(files["crl"], devices.crl(lost))
    p.reload()
    p.reload()  # the second one reads neither again, and the copies must be there all the same
    BROKEN[damage](files[which])
    for _ in range(2):
        status = die(p)
        assert not status["last_reload"]["ok"]
        assert files[which].name in status["last_reload"]["problems"]
        assert p.get(identity=known).status == 200
        assert turned_away(p, identity=lost), "by the list that was in service"
        assert turned_away(p)
    pki.write(files["pin"], devices.pem)
    pki.write(files["crl"], devices.crl())
    p.reload()
    assert p.get(identity=lost).status == 200


def test_what_a_refused_config_asks_for_is_not_in_force(simple, devices, directory):
    """Its listeners and files come and go with it; those of the config in service stay, in one worker after the other."""
    pki.write(directory / "devices.crl", b"damaged")
    rule = {"mode": "required", "pins": [{"ca": devices.file}], "crls": [str(directory / "devices.crl")]}
    p = simple()
    first, other = p.port, proxy.listener()
    p.change(listeners=[other], sites=[proxy.site("site.test", client_certificate=rule)])
    for _ in range(2):
        assert not die(p)["last_reload"]["ok"]
        assert p.get(port=first).status == 200
        with pytest.raises(OSError):
            p.client(port=p.port)


def test_the_ca_of_an_origin(simple, ca, directory, recorder):
    path = directory / "origin-ca.pem"
    pki.write(path, ca.pem)
    origin = recorder(identity=ca.leaf("127.0.0.1"))
    p = simple(upstreams={"origin": proxy.upstream(origin.address, tls={"ca": str(path)})})
    assert p.get().status == 200
    path.unlink()
    assert not die(p)["last_reload"]["ok"]
    assert p.get().status == 200


def test_the_secret(simple, directory):
    """Tickets go on: the secret that is in service holds until the supervisor starts anew."""
    secret = directory / "secret"
    p = simple(secret_file=str(secret))
    context = client.tls_context()
    with p.client(context=context) as c:
        assert c.request().status == 200
        session = c.session
    secret.write_bytes(b"short")
    die(p)
    with p.client(context=context, session=session) as c:
        assert c.resumed and c.request().status == 200
