"""Certificates and config change while the proxy runs, and nobody notices who need not."""

import os
import re
import signal
import threading
import time

import pytest
from cryptography import x509

from harness import client, origins, pki, proxy, wait
from harness.load import Load, WebSocketServer
from harness.origins import Gate
from harness.process import resident_kib
from harness.proxy import served


def sighup(p):
    p.reload()


def command(p):
    done = p.command("reload")
    assert done.returncode == 0, done.stderr
    return done


# --- the swap ---


@pytest.mark.threads
@pytest.mark.parametrize("how", [sighup, command])
def test_new_handshakes_get_the_new_certificate(swap, leaves, how):
    old, new = leaves
    p = swap()
    worker = p.worker
    with p.client() as c:
        assert c.request().status == 200
        p.put(new)
        assert served(p) == old.serial, "not before it is told"
        how(p)
        assert served(p) == new.serial
        assert c.request().status == 200, "the old connection goes on"
        assert c.serial == old.serial
    assert p.worker == worker, "by the same process"


@pytest.mark.memory
def test_the_reload_command_tells_what_is_new(swap, leaves):
    p = swap()
    p.put(leaves[1])
    done = command(p)
    assert "main" in done.stdout
    assert "%X" % leaves[1].serial in done.stdout.upper() or "loaded" in done.stdout
    p.wait_log("main")


def test_a_connection_that_has_not_shaken_hands_yet_gets_the_new_one(swap, leaves):
    p = swap()
    with p.client(tls=False) as c:
        p.put(leaves[1])
        p.reload()
        with client.tls_context().wrap_socket(c.raw, server_hostname="site.test") as s:
            shown = x509.load_der_x509_certificate(s.getpeercert(binary_form=True))
    assert shown.serial_number == leaves[1].serial


def test_reload_commands_at_once(swap, leaves):
    p = swap()
    p.put(leaves[1])
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(p.command("reload").returncode)) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [0] * 6
    assert served(p) == leaves[1].serial


def test_a_reload_while_the_worker_is_being_replaced(swap, leaves):
    p = swap()
    for i in range(5):
        leaf = leaves[(i + 1) % 2]
        os.kill(p.worker, signal.SIGKILL)
        p.put(leaf)
        p.send_signal(signal.SIGHUP)
        wait.until(lambda: p.workers() and p.is_ready() and served(p) == leaf.serial, "the new certificate by the new worker")


@pytest.mark.threads
def test_requests_in_flight_survive(swap, leaves):
    gate = Gate()
    p = swap(gate)
    with p.client() as c:
        c.send_request()
        gate.wait_arrived()
        p.put(leaves[1])
        p.reload()
        p.reload()
        gate.release()
        assert c.response().body == b"released"
        assert c.request(target="/free").body == b"free"


def test_a_body_on_its_way_survives(swap, leaves):
    go = threading.Semaphore(0)

    def parts(c):
        c.request()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
        for _ in range(4):
            c.send(b"x" * 100000)
            assert go.acquire(timeout=wait.DEADLINE)
        c.wait_for_end()

    p = swap(parts)
    with p.client() as c:
        c.send_request()
        for _ in range(4):
            assert c.socket.recv(1)
            p.reload()
            go.release()


def test_a_reload_that_changes_nothing(swap, leaves):
    p = swap()
    with p.client() as c:
        for _ in range(5):
            p.reload()
            assert c.request().status == 200
    assert served(p) == leaves[0].serial


def test_signals_that_come_at_once(swap, leaves):
    """Every signal is answered by a load that begins after it."""
    p = swap()
    for i in range(20):
        leaf = leaves[(i + 1) % 2]
        p.put(leaf)
        for _ in range(5):
            p.send_signal(signal.SIGHUP)
        wait.until(lambda: served(p) == leaf.serial, "the last content to be served")


# --- a config that is refused ---


@pytest.mark.parametrize(
    "damage, expected",
    [
        (lambda text: text[: len(text) // 2], r"bascule\.json:\d+:\d+:"),
        (lambda text: text.replace('"sites"', '"sitess"'), r"bascule\.json:\d+:\d+:.*sitess.*sites"),
        (lambda text: text.replace('"tls": true', '"tls": "perhaps"'), r"bascule\.json:\d+:\d+:.*tls"),
        (lambda text: text.replace('"upstream": "origin"', '"upstream": "orign"'), r"bascule\.json:\d+:\d+:.*orign"),
        (lambda text: text.replace('"threads": 2', '"threads": -2'), r"bascule\.json:\d+:\d+:.*threads"),
        (lambda text: "", r"bascule\.json"),
        (lambda text: "\0" * 100, r"bascule\.json:1"),
    ],
)
@pytest.mark.parametrize("how", ["signal", "command"])
def test_a_config_error_changes_nothing(swap, leaves, damage, expected, how):
    p = swap()
    before = p.generation
    text = p.config_path.read_text()
    p.put(leaves[1])
    p.configure(damage(text))
    if how == "command":
        done = p.command("reload", "--socket", p.admin_socket)
        assert done.returncode != 0
        assert re.search(expected, done.stdout + done.stderr), done.stdout + done.stderr
    else:
        p.reload(expect=False)
        p.wait_log(expected)
    assert p.generation == before
    assert served(p) == leaves[0].serial
    p.configure(text)
    p.reload()
    assert served(p) == leaves[1].serial


def test_a_config_that_is_gone(swap, leaves):
    p = swap()
    p.config_path.rename(p.config_path.with_suffix(".away"))
    p.reload(expect=False)
    assert p.get().status == 200
    p.config_path.with_suffix(".away").rename(p.config_path)
    p.reload()
    assert p.get().status == 200


# --- a bundle that is refused ---


def damaged(kind, ca, other_ca, path):
    """Write something bad over the bundle in `path`."""
    good = ca.leaf("site.test")
    if kind == "key of another":
        pki.write(path / "bundle.crt", good.chain_pem)
        pki.write(path / "bundle.key", ca.leaf("site.test").key_pem)
    elif kind == "expired":
        ca.leaf("site.test", begins=-9, ends=-1).files(path)
    elif kind == "not yet valid":
        ca.leaf("site.test", begins=5).files(path)
    elif kind == "no certificate":
        pki.write(path / "bundle.crt", b"this is no certificate\n")
    elif kind == "empty certificate":
        pki.write(path / "bundle.crt", b"")
    elif kind == "half a certificate":
        pki.write(path / "bundle.crt", good.chain_pem[: len(good.chain_pem) // 2])
    elif kind == "half a key":
        good.files(path)
        pki.write(path / "bundle.key", good.key_pem[: len(good.key_pem) // 2])
    elif kind == "no key":
        good.files(path)
        pki.write(path / "bundle.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    elif kind == "certificate gone":
        (path / "bundle.crt").unlink()
    elif kind == "key gone":
        good.files(path)
        (path / "bundle.key").unlink()
    elif kind == "chain of another":
        pki.write(path / "bundle.crt", pki.cert_pem(good.certificate) + other_ca.leaf("x.test").chain_pem)
        pki.write(path / "bundle.key", good.key_pem)
    elif kind == "weak key":
        ca.leaf("site.test", key="rsa1024").files(path)
    elif kind == "a directory in its place":
        (path / "bundle.crt").unlink()
        (path / "bundle.crt").mkdir()


KINDS = ["key of another", "expired", "not yet valid", "no certificate", "empty certificate", "half a certificate",
         "half a key", "no key", "certificate gone", "key gone", "chain of another", "weak key",
         "a directory in its place"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_bundle_is_held_while_others_go_ahead(bascule, directory, ca, other_ca, leaves, echo, port, kind):
    neighbour = [ca.leaf("neighbour.test"), ca.leaf("neighbour.test")]
    p = bascule(
        proxy.config(
            port, leaves[0].files(directory), echo.address,
            bundles={"neighbour": neighbour[0].files(directory, "neighbour")},
            sites=[proxy.site("site.test"), proxy.site("neighbour.test", bundle="neighbour")],
        )
    )  # fmt: skip
    damaged(kind, ca, other_ca, directory)
    neighbour[1].files(directory, "neighbour")
    done = p.command("reload")
    said = done.stdout + done.stderr
    assert done.returncode == 3, "done, but for a bundle"
    assert re.search(r"bundle\.(crt|key)", said), "the file is named: " + said
    p.wait_log(r"bundle\.(crt|key)")
    assert served(p) == leaves[0].serial, "the last good one"
    assert served(p, "neighbour.test") == neighbour[1].serial, "the rest goes ahead"
    assert p.get().status == 200

    if (directory / "bundle.crt").is_dir():
        (directory / "bundle.crt").rmdir()
    leaves[1].files(directory)
    p.reload()
    assert served(p) == leaves[1].serial, "good again"


def test_a_held_bundle_is_told_once(bascule, directory, ca, leaves, echo, port):
    """The look that follows each load finds the held one as it was told, and takes nothing into service."""
    neighbour = [ca.leaf("neighbour.test"), ca.leaf("neighbour.test")]
    p = bascule(
        proxy.config(
            port, leaves[0].files(directory), echo.address,
            bundles={"neighbour": neighbour[0].files(directory, "neighbour")},
            sites=[proxy.site("site.test"), proxy.site("neighbour.test", bundle="neighbour")],
            reload={"watch": True, "poll": 0},
        )
    )  # fmt: skip
    (directory / "bundle.crt").write_text("garbage")
    neighbour[1].files(directory, "neighbour")
    assert p.command("reload").returncode == 3
    generation = p.status()["generation"]
    time.sleep(1)
    assert len(re.findall(r'"main": held', p.log)) == 1
    assert p.status()["generation"] == generation
    assert [o["bundle"] for o in p.status()["last_reload"]["outcomes"]] == ["main", "neighbour"]


@pytest.mark.parametrize("kind", ["wrong password", "truncated", "garbage", "password gone"])
def test_a_bad_pkcs12_is_held(bascule, directory, leaves, echo, port, kind):
    p = bascule(proxy.config(port, leaves[0].pkcs12(directory), echo.address))
    data = leaves[1].pkcs12_bytes("another")
    pki.write(directory / "bundle.p12", {"truncated": data[: len(data) // 2], "garbage": b"\x30\x82garbage"}.get(kind, data))
    if kind == "password gone":
        (directory / "bundle.pass").unlink()
    done = p.command("reload")
    assert re.search(r"bundle\.(p12|pass)", done.stdout + done.stderr)
    assert served(p) == leaves[0].serial
    leaves[1].pkcs12(directory, password="the new one")
    p.reload()
    assert served(p) == leaves[1].serial


def test_all_or_nothing(bascule, directory, ca, leaves, echo, port):
    neighbour = [ca.leaf("neighbour.test"), ca.leaf("neighbour.test")]
    p = bascule(
        proxy.config(
            port, leaves[0].files(directory), echo.address,
            bundles={"neighbour": neighbour[0].files(directory, "neighbour")},
            sites=[proxy.site("site.test"), proxy.site("neighbour.test", bundle="neighbour")],
            reload={"policy": "all_or_nothing"},
        )
    )  # fmt: skip
    pki.write(directory / "bundle.crt", b"damaged")
    neighbour[1].files(directory, "neighbour")
    assert p.command("reload").returncode != 0
    assert served(p, "neighbour.test") == neighbour[0].serial
    leaves[1].files(directory)
    p.reload()
    assert (served(p), served(p, "neighbour.test")) == (leaves[1].serial, neighbour[1].serial)


def test_a_half_written_pair(swap, directory, leaves):
    old, new = leaves
    p = swap()
    pki.write(directory / "bundle.crt", new.chain_pem)
    done = p.command("reload")
    assert "bundle" in done.stdout + done.stderr
    assert served(p) == old.serial
    pki.write(directory / "bundle.key", new.key_pem)
    p.reload()
    assert served(p) == new.serial


def test_a_chain_out_of_order_is_put_in_order(swap, directory, ca):
    p = swap()
    deep = ca.intermediate("Middle One").intermediate("Middle Two").leaf("site.test")
    first, second = deep.chain
    pki.write(directory / "bundle.crt", b"".join(pki.cert_pem(c) for c in (deep.certificate, second, first)))
    pki.write(directory / "bundle.key", deep.key_pem)
    p.reload()
    assert p.get(ca=ca).status == 200
    assert served(p) == deep.serial


def test_a_chain_without_its_issuer(swap, directory, ca):
    """Of a root's leaf nothing is missing; what had an intermediate before hardly has none now."""
    p = swap()
    p.reconfigure(bundles={"main": {"rotation": {"accept": ["another-root"]}}})  # or it would be held back
    deep = ca.intermediate("Forgotten Middle").leaf("site.test")
    for chain, lacks in ((deep.chain_pem, False), (pki.cert_pem(deep.certificate), True), (deep.chain_pem, False)):
        pki.write(directory / "bundle.crt", chain)
        pki.write(directory / "bundle.key", deep.key_pem)
        p.reload()
        told = re.search(r'bundle\.crt: .*"CN=Forgotten Middle".*append', p.status()["last_reload"]["problems"])
        assert bool(told) == lacks


def test_a_bad_bundle_at_the_start(bascule, directory, ca, leaves, echo, port):
    """Other sites are served; the name of the bad one is not."""
    good = ca.leaf("neighbour.test").files(directory, "neighbour")
    contents = proxy.config(
        port, {"certificate": pki.write(directory / "bundle.crt", b"nothing"), "key": pki.write(directory / "bundle.key", b"")},
        echo.address, bundles={"neighbour": good},
        sites=[proxy.site("site.test"), proxy.site("neighbour.test", bundle="neighbour")],
    )  # fmt: skip
    try:
        p = bascule(contents)
    except proxy.StartFailed as failed:
        assert "bundle.crt" in failed.log
        return
    assert p.get(name="neighbour.test").status == 200
    p.wait_log("bundle.crt")


# --- the rest of the config ---


def test_listeners_come_and_go(swap):
    p = swap()
    first, second = p.contents["listeners"][0], proxy.listener()
    new = int(second["address"].rsplit(":", 1)[1])
    p.reconfigure(listeners=[first, second])
    assert p.get(port=new).status == 200
    with p.client(port=new) as c:
        assert c.request().status == 200
        p.reconfigure(listeners=[first])
        assert c.request().status == 200, "who is in stays"
        with pytest.raises(OSError):
            p.client(port=new)
    assert p.get().status == 200
    p.reconfigure(listeners=[second])
    assert p.get(port=new).status == 200


def test_a_listener_that_can_not_be_opened_changes_nothing(swap):
    import socket

    p = swap()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        p.change(listeners=[p.contents["listeners"][0], proxy.listener(taken)])
        p.reload(expect=False)
        p.wait_log(str(taken))
        assert p.get().status == 200


def test_sites_come_and_go(swap, directory, ca):
    p = swap()
    with pytest.raises(OSError):
        served(p, "new.test")
    p.reconfigure(
        bundles={"new": ca.leaf("new.test").files(directory, "new")},
        sites=[proxy.site("site.test"), proxy.site("new.test", bundle="new")],
    )
    assert p.get(name="new.test").status == 200
    with p.client("new.test") as c:
        p.reconfigure(sites=[proxy.site("site.test")])
        assert c.request().status in (404, 421), "the newest config routes each request"
    with pytest.raises(OSError):
        served(p, "new.test")


def test_upstreams_change(swap, recorder):
    p = swap()
    other = recorder(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"))
    with p.client() as c:
        assert c.request().status == 200
        p.reconfigure(upstreams={"origin": {"servers": [{"address": other.address}]}})
        assert c.request().body == b"other", "the same connection, the next request"


def test_limits_change(swap):
    p = swap()
    with p.client() as c:
        assert c.request("POST", "/", body=b"x" * 5000).status == 200
        p.reconfigure(limits={"body_bytes": "1k"})
        assert c.request("POST", "/", body=b"x" * 5000).status == 413


def test_routes_change(swap, recorder):
    p = swap()
    other = recorder(origins.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"))
    p.reconfigure(
        upstreams={"other": proxy.upstream(other.address)},
        sites=[proxy.site("site.test", routes=[{"path": "^/o", "upstream": "other"}])],
    )
    assert p.get("/o").body == b"other"
    assert p.get("/p").json()["target"] == "/p"


# --- a thousand times under load ---


@pytest.mark.slow
@pytest.mark.threads
@pytest.mark.timeout(600 * wait.SLOW)
def test_a_thousand_swaps_under_load(bascule, directory, ca, leaves, recorder, port):
    swaps = wait.fewer(1000, 60)
    polls = threading.Condition()
    websocket = WebSocketServer()

    def script(c):
        while True:
            if c.request().target == "/poll":
                with polls:
                    polls.wait(wait.DEADLINE)
            c.answer(body="answer")
            c.requests.clear()
            c.received.clear()

    def answer_polls():
        with polls:
            polls.notify_all()

    contents = proxy.config(
        port, leaves[0].combined(directory), recorder(script).address,
        sites=[proxy.site("site.test", routes=[{"path": "^/websocket$", "upstream": "websocket"}])],
        upstreams={"websocket": proxy.upstream(websocket.address)},
        log={"level": "notice"},
    )  # fmt: skip
    p = bascule(contents)
    worker = p.worker
    warm = None
    with Load(port, "site.test", ca) as load:
        wait.until(lambda: len(load.done) == 3 or load.failures, "three kinds of clients to be served")
        for i in range(swaps):
            leaves[(i + 1) % 2].combined(directory)
            p.reload()
            if i % 5 == 0:
                answer_polls()
            if i == swaps // 5:
                warm = resident_kib(worker)
            load.check()
        end = resident_kib(worker)
        load.stop(meanwhile=answer_polls)
    websocket.stop()
    load.check()
    assert set(load.done) == {"keep-alive", "new", "long-poll", "websocket"}
    assert {x509.load_der_x509_certificate(c).serial_number for c in load.certificates} == {leaf.serial for leaf in leaves}
    assert p.worker == worker and len(p.workers()) == 1
    if wait.SLOW == 1:
        assert end - warm < 4096, "from %d to %d KiB over %d swaps" % (warm, end, swaps * 4 // 5)
    print("%d swaps, %s, resident %s to %d KiB" % (swaps, dict(load.done), warm, end))
