"""The guard before the swap: a new certificate that clients of the old one may reject is held back until that is accepted."""

import json
import os
import re
import signal
import socket

import pytest

from harness import pki, proxy, wait
from harness.client import run
from harness.proxy import BINARY
from test_survive import bundle, die
from test_swap import served

WORDS = ["lost-names", "earlier-expiry", "another-root", "weaker-key", "too-fresh"]


@pytest.fixture
def old(ca):
    return ca.leaf("site.test", "www.site.test")


@pytest.fixture
def lossy(ca, other_ca):
    """Certificates that lose one thing each."""
    return {
        "lost-names": ca.leaf("site.test"),
        "earlier-expiry": ca.leaf("site.test", "www.site.test", ends=30),
        "another-root": other_ca.leaf("site.test", "www.site.test"),
        "weaker-key": ca.leaf("site.test", "www.site.test", key="rsa"),
        "too-fresh": ca.leaf("site.test", "www.site.test", begins=-0.5),
    }


TOLD = {
    "lost-names": r"does not cover www\.site\.test, served",
    "earlier-expiry": r"it ends on \d{4}-\d\d-\d\d .* UTC, (59|60) days before",
    "another-root": r"ends at \"CN=Other Root\", that of the one in service at \"CN=Test Root\"",
    "weaker-key": r"RSA 2048, is as strong as 112 bits, .*EC 256, as 128",
    "too-fresh": r"valid only since .*\(fresh: 18 hours, until ",
}


@pytest.fixture
def guarded(bascule, directory, old, echo, port):
    """The proxy with a bundle for two names, which other certificates take the place of."""

    def start(rotation=None, **over):
        rules = dict({"fresh": "18h"}, **(rotation or {}))
        contents = proxy.config(
            port, dict(old.files(directory), rotation=rules), echo.address,
            names=("site.test", "www.site.test"), **over,
        )  # fmt: skip
        return bascule(contents)

    return start


def findings(p, name="main"):
    """What the last load found, by kind."""
    for o in p.status()["last_reload"]["outcomes"]:
        if o["bundle"] == name:
            return {f["kind"]: f for f in o["findings"]}
    return {}


def flat(done):
    return done.stdout + done.stderr


# --- each kind ---


@pytest.mark.parametrize("how", ["command", "signal"])
@pytest.mark.parametrize("kind", WORDS)
def test_a_loss_is_held(guarded, old, lossy, directory, kind, how):
    p = guarded()
    lossy[kind].files(directory)
    if how == "command":
        done = p.command("reload")
        assert done.returncode == 3, flat(done)
        assert re.search(TOLD[kind], done.stdout), done.stdout
        assert "--accept %s`" % kind in done.stdout and 'bundle "main"' in done.stdout
    else:
        p.reload()
    assert served(p) == old.serial
    p.wait_log(r'bundle "main": held: .*bundle\.crt: not taken in place of generation 1: .*' + TOLD[kind])
    found = findings(p)
    assert [k for k in WORDS if k in found] == [kind]
    assert found[kind]["lossy"] and not found[kind]["accepted"]
    assert found["serial"]["lossy"] is False
    shown = p.command("status").stdout
    assert re.search(TOLD[kind], shown) and "held" in shown
    assert bundle(p)["generation"] == 1


@pytest.mark.memory
@pytest.mark.parametrize("kind", WORDS)
def test_accepted_by_the_command(guarded, lossy, directory, kind):
    p = guarded()
    lossy[kind].files(directory)
    wrong = WORDS[WORDS.index(kind) - 1]
    assert p.command("reload", "--accept", wrong).returncode == 3, "another word does not help"
    done = p.command("reload", "--accept=" + kind)
    assert done.returncode == 0, flat(done)
    assert re.search("accepted: %s: .*%s" % (kind, TOLD[kind]), done.stdout), done.stdout
    assert served(p) == lossy[kind].serial
    assert findings(p)[kind]["accepted"]
    p.wait_log("accepted: " + kind)
    assert bundle(p)["generation"] == 2


@pytest.mark.parametrize("kind", WORDS)
def test_accepted_by_the_config(guarded, lossy, directory, kind):
    p = guarded({"accept": [kind]})
    lossy[kind].files(directory)
    p.reload()
    assert served(p) == lossy[kind].serial


def test_accepted_by_the_config_that_is_loaded_with_it(guarded, old, lossy, directory):
    p = guarded()
    lossy["weaker-key"].files(directory)
    p.reload()
    assert served(p) == old.serial
    p.reconfigure(bundles={"main": {"rotation": {"accept": "weaker-key"}}})
    assert served(p) == lossy["weaker-key"].serial


def test_no_loss_no_question(guarded, ca, directory):
    p = guarded()
    better = ca.leaf("site.test", "*.site.test", "more.test", begins=-3, ends=180)
    better.files(directory)
    done = p.command("reload")
    assert done.returncode == 0
    assert served(p) == better.serial
    assert re.search(r"^\s+gained-names: it covers .*more\.test as well$", done.stdout, re.M)
    assert re.search(r"^\s+later-expiry: .*, 90 days after", done.stdout, re.M)
    assert not any(f["lossy"] for f in findings(p).values())


# --- several ---


def test_several_losses_need_several_words(guarded, old, other_ca, directory):
    p = guarded()
    worst = other_ca.leaf("site.test", key="rsa", begins=-0.5, ends=30)
    worst.files(directory)
    done = p.command("reload")
    assert "--accept " + ",".join(WORDS) in done.stdout
    assert p.command("reload", "--accept", ",".join(WORDS[1:])).returncode == 3
    assert served(p) == old.serial
    assert sorted(k for k, f in findings(p).items() if f["accepted"]) == sorted(WORDS[1:])
    answer = p.admin("POST", "/v1/reload?accept=" + ",".join(WORDS))
    assert answer.status == 200
    assert served(p) == worst.serial


def test_what_was_accepted_once_is_not_accepted_for_ever(guarded, ca, lossy, directory):
    p = guarded()
    lossy["lost-names"].files(directory)
    assert p.command("reload", "--accept", "lost-names").returncode == 0
    assert served(p) == lossy["lost-names"].serial
    ca.leaf("nothing.test").files(directory)
    p.reload()
    assert served(p) == lossy["lost-names"].serial
    assert p.command("reload").returncode == 3
    p.reload()
    assert served(p) == lossy["lost-names"].serial


def test_others_go_ahead(guarded, ca, old, lossy, directory):
    first, second = ca.leaf("neighbour.test"), ca.leaf("neighbour.test", begins=-2)
    p = guarded(bundles={"neighbour": first.files(directory, "neighbour")})
    p.reconfigure(sites=p.contents["sites"] + [proxy.site("neighbour.test", bundle="neighbour")])
    lossy["another-root"].files(directory)
    second.files(directory, "neighbour")
    p.reload()
    assert served(p) == old.serial
    assert served(p, "neighbour.test") == second.serial


def test_all_or_nothing(guarded, ca, old, lossy, directory):
    first, second = ca.leaf("neighbour.test"), ca.leaf("neighbour.test")
    p = guarded(bundles={"neighbour": first.files(directory, "neighbour")}, reload={"policy": "all_or_nothing"})
    p.reconfigure(sites=p.contents["sites"] + [proxy.site("neighbour.test", bundle="neighbour")])
    lossy["another-root"].files(directory)
    second.files(directory, "neighbour")
    done = p.command("reload")
    assert done.returncode == 1
    assert "--accept another-root" in done.stdout
    assert served(p) == old.serial and served(p, "neighbour.test") == first.serial
    assert p.command("reload", "--accept", "another-root").returncode == 0
    assert served(p) == lossy["another-root"].serial and served(p, "neighbour.test") == second.serial


def test_a_name_that_no_site_serves_any_longer(guarded, lossy, directory):
    p = guarded()
    lossy["lost-names"].files(directory)
    p.reconfigure(sites=[proxy.site("site.test")])
    assert served(p) == lossy["lost-names"].serial


# --- by itself ---


def test_the_watch_is_guarded_and_repeats_nothing(guarded, old, lossy, directory):
    directory.chmod(0o755)
    p = guarded(reload={"watch": True, "poll": "1s"})
    lossy["earlier-expiry"].files(directory)
    p.wait_log("held: .*" + TOLD["earlier-expiry"])
    pki.write(directory / "touched", b"")
    lossy["weaker-key"].files(directory, "unused")  # the watch looks again, and again by the poll
    held = wait.until(lambda: p.status()["last_reload"]["outcomes"], "the report")
    assert [o["outcome"] for o in held] == ["held"]
    assert served(p) == old.serial
    lossy["another-root"].files(directory)
    p.wait_log("held: .*" + TOLD["another-root"])
    assert len(re.findall("held: .*" + TOLD["earlier-expiry"], p.log)) == 1
    lossy["earlier-expiry"].files(directory)
    wait.until(lambda: "earlier-expiry" in findings(p), "it to be seen again")
    assert p.command("reload", "--accept", "earlier-expiry").returncode == 0
    assert served(p) == lossy["earlier-expiry"].serial


def test_one_that_is_too_fresh_comes_by_itself(guarded, ca, directory):
    """Valid for some seconds less than is asked for: it is taken by the first look after those."""
    p = guarded(reload={"watch": True, "poll": "1s"})
    young = ca.leaf("site.test", "www.site.test", begins=-(18 * 3600 - 4 * wait.SLOW) / 86400)
    young.files(directory)
    p.wait_log("held: .*valid only since")
    wait.until(lambda: served(p) == young.serial, "it to be old enough")


# --- after a rollback ---


@pytest.fixture
def back(guarded, lossy, directory):
    """Another root was accepted, and is rolled back: clients are shown the old one, which is no longer on the disk."""
    (directory / "state").mkdir(mode=0o700)
    p = guarded(state_dir=str(directory / "state"))
    lossy["another-root"].files(directory)
    assert p.command("reload", "--accept", "another-root").returncode == 0
    assert served(p) == lossy["another-root"].serial
    assert p.command("rotation", "rollback", "main").returncode == 0
    return p


def test_nothing_is_lost_by_what_is_rolled_back(back, old):
    assert served(back) == old.serial
    done = back.command("check")
    assert done.returncode == 0 and "differs" not in done.stdout, "nobody would be shown another one"
    assert back.command("reload").returncode == 0
    assert served(back) == old.serial


@pytest.mark.parametrize("renewed", [False, True])
def test_back_to_what_clients_are_shown_is_no_loss(back, ca, old, directory, renewed):
    """It differs much from what is rolled back; but nobody has come to trust that."""
    new = ca.leaf("site.test", "www.site.test") if renewed else old
    new.files(directory)
    done = back.command("check")
    assert done.returncode == 0 and "another-root" not in flat(done), flat(done)
    done = back.command("reload")
    assert done.returncode == 0, flat(done)
    assert served(back) == new.serial
    assert "another-root" not in findings(back)


@pytest.mark.parametrize("how", ["as it is", "worker", "restart"])
def test_more_of_what_is_rolled_back_is_a_loss(back, other_ca, old, directory, how):
    """Like the one that was rolled back in all: exactly what clients have rejected."""
    if how == "worker":
        die(back)
    elif how == "restart":
        back.restart()
    other_ca.leaf("site.test", "www.site.test").files(directory)
    done = back.command("check")
    assert done.returncode == 1 and re.search(TOLD["another-root"], flat(done)), flat(done)
    assert back.command("reload").returncode == 3
    assert served(back) == old.serial
    assert findings(back)["another-root"]["lossy"]
    back.wait_log("not taken in place of generation 1: .*" + TOLD["another-root"])


# --- worker and restart ---


def test_the_worker_dies_in_between(guarded, ca, old, lossy, directory):
    p = guarded()
    lossy["another-root"].files(directory)
    die(p)
    assert served(p) == old.serial, "nobody had looked at it before"
    assert findings(p)["another-root"]["lossy"]
    p.reload()
    die(p)
    assert served(p) == old.serial
    assert p.command("reload", "--accept", "another-root").returncode == 0
    die(p)
    assert served(p) == lossy["another-root"].serial, "it is what was in service"
    ca.leaf("site.test", "www.site.test").files(directory)
    die(p)
    assert served(p) == lossy["another-root"].serial, "and back is another root, too"


def test_a_start_has_nothing_to_compare_with(guarded, lossy, directory):
    p = guarded()
    lossy["another-root"].files(directory)
    p.restart()
    assert served(p) == lossy["another-root"].serial
    assert findings(p) == {}


# --- bundles of a directory ---


def test_a_directory(bascule, directory, ca, echo, port):
    bundles = directory / "bundles"
    ca.leaf("one.test", "more.test").combined(bundles, "one")
    two = [ca.leaf("two.test"), ca.leaf("two.test")]
    two[0].combined(bundles, "two")
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {"many": {"directory": str(bundles)}},
            "sites": [{"names": ["*.test"], "upstream": "origin"}],
            "upstreams": {"origin": proxy.upstream(echo.address)},
        }
    )
    before = served(p, "one.test")
    less = ca.leaf("one.test")
    less.combined(bundles, "one")
    two[1].combined(bundles, "two")
    done = p.command("reload")
    assert done.returncode == 3
    assert re.search(r"one\.pem: not taken .*more\.test, .*bundle \"many\"", done.stdout), done.stdout
    assert served(p, "one.test") == before and served(p, "more.test") == before
    assert served(p, "two.test") == two[1].serial
    p.reconfigure(bundles={"many": {"rotation": {"accept": ["lost-names"]}}})
    assert served(p, "one.test") == less.serial


# --- beforehand ---


@pytest.mark.memory
def test_check_tells_beforehand(guarded, old, other_ca, directory):
    p = guarded()
    done = p.command("check")
    assert done.returncode == 0 and "main" not in done.stdout
    other_ca.leaf("site.test", "www.site.test", ends=30).files(directory)
    done = p.command("check")
    assert done.returncode == 1
    assert re.search(r"bascule\.json:\d+:\d+: .*bundle\.crt: not taken in place of generation 1: " + TOLD["earlier-expiry"],
                     done.stderr), done.stderr  # fmt: skip
    assert "--accept earlier-expiry,another-root`" in done.stderr
    assert re.search(r"^  refused: another-root: .*Other Root", done.stdout, re.M), done.stdout
    assert re.search(r"^  new-key: ", done.stdout, re.M)
    done = p.command("check", "--accept", "earlier-expiry,another-root")
    assert done.returncode == 0, flat(done)
    assert re.search(r"^  accepted: another-root: ", done.stdout, re.M)
    assert served(p) == old.serial and bundle(p)["generation"] == 1
    assert p.status()["last_reload"]["outcomes"][0]["outcome"] == "loaded", "the proxy has loaded nothing for it"


def test_check_of_another_config_for_the_same_proxy(guarded, old, lossy, directory):
    p = guarded()
    lossy["lost-names"].files(directory)
    other = dict(p.contents, sites=[proxy.site("site.test")])
    pki.write(directory / "next.json", json.dumps(other).encode())
    assert p.command("check").returncode == 1
    done = run(BINARY, "check", "-c", directory / "next.json")
    assert done.returncode == 0, flat(done)


def test_check_without_a_running_proxy(guarded, lossy, directory):
    p = guarded()
    lossy["another-root"].files(directory)
    assert p.stop() == 0
    done = p.command("check")
    assert done.returncode == 0, flat(done)
    assert re.match(r"\S+: fine: ", done.stdout), "before the first start nobody expects one: " + done.stdout
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(p.admin_socket))
    done = p.command("check")
    assert re.search(r"not compared with those in service: .*admin\.sock: no proxy answers there", done.stdout), done.stdout
    contents = dict(p.contents)
    del contents["admin"]
    pki.write(directory / "next.json", json.dumps(contents).encode())
    done = run(BINARY, "check", "-c", directory / "next.json")
    assert done.returncode == 0 and "the config has no admin.socket" in done.stdout


def test_check_asks_a_proxy_that_is_busy_dying(guarded):
    """A socket behind which nobody answers is said to be one, and nothing hangs."""
    p = guarded()
    os.kill(p.worker, signal.SIGKILL)
    done = p.command("check")
    assert done.returncode == 0, flat(done)
    wait.until(p.is_ready, "another worker")


# --- what is not understood ---


@pytest.mark.parametrize("words, told", [("lost-name", 'did you mean "lost-names"'), ("", "nothing to accept"), ("all", "known are")])
def test_words_that_are_none(guarded, words, told):
    p = guarded()
    for command in ("reload", "check"):
        done = p.command(command, "--accept", words)
        assert done.returncode == 2 and told in done.stderr, flat(done)
    assert done.returncode == 2
    answer = p.admin("POST", "/v1/reload?accept=" + words)
    assert answer.status == 400 and told in answer.text
    assert p.generation == 1


@pytest.mark.parametrize("method, path", [("POST", "/v1/reload?"), ("POST", "/v1/reload?force=1"), ("GET", "/v1/status?x=1")])
def test_a_query_that_is_not_understood(guarded, method, path):
    p = guarded()
    assert p.admin(method, path).status == 400
    assert p.generation == 1


def test_the_chains_that_are_shown(guarded, old):
    p = guarded()
    answer = p.admin("GET", "/v1/chains")
    assert answer.status == 200
    assert answer.json() == {"bundles": [{"name": "main", "generation": 1, "pem": old.chain_pem.decode()}], "rolled_back_to": []}
