"""`bascule pki`: into a running proxy. list, install, the wizard, and the whole way from a request to what curl sees."""

import json
import os
import re
import stat

import pytest

from harness import client, pki, proxy
from harness.tool import Tool
from test_pki import forged


@pytest.fixture
def tool(directory):
    (directory / "work").mkdir()
    return Tool(directory / "work")


@pytest.fixture
def leaves(ca):
    return ca.leaf("site.test", "old.site.test"), ca.intermediate("New Intermediate").leaf("site.test", "new.site.test", ends=60)


class Installed:
    """A proxy with bundle "main" in some form, and `install` on its config."""

    def __init__(self, p, tool):
        self.p, self.tool = p, tool
        self.config = ["-c", p.config_path]

    def install(self, *words, status=0, accept="lost-names,earlier-expiry,another-root"):
        return self.tool.good("install", *words, *self.config, *(["--accept", accept] if accept else []), status=status)

    def served(self, name="site.test", **options):
        with self.p.client(name, **options) as c:
            return c.serial


FORMS = {
    "two files": lambda leaf, d: leaf.files(d, "live"),
    "with a chain": lambda leaf, d: dict(leaf.files(d, "live"), certificate=pki.write(d / "live.crt", pki.cert_pem(leaf.certificate), 0o644), chain=pki.write(d / "live-chain.pem", b"".join(map(pki.cert_pem, leaf.chain)) or pki.cert_pem(leaf.certificate))),
    "combined": lambda leaf, d: leaf.combined(d, "live"),
    "PKCS#12": lambda leaf, d: leaf.pkcs12(d, "live"),
    "PKCS#12 without a password": lambda leaf, d: {"pkcs12": pki.write(d / "live.p12", pki.pkcs12.serialize_key_and_certificates(b"x", leaf.key, leaf.certificate, leaf.chain, pki.serialization.NoEncryption()))},
}  # fmt: skip


def nested(certificate, key):
    def write(leaf, d):
        pki.write(d / "all/main" / certificate, leaf.chain_pem, 0o644)
        pki.write(d / "all/main" / key, leaf.key_pem)
        return {"directory": str(d / "all")}

    return write


def flat(leaf, d):
    pki.write(d / "all/main.crt", leaf.chain_pem, 0o644)
    pki.write(d / "all/main.key", leaf.key_pem)
    return {"directory": str(d / "all")}


FORMS["a directory, flat"] = flat
FORMS["a directory, certbot"] = nested("fullchain.pem", "privkey.pem")
FORMS["a directory, Kubernetes"] = nested("tls.crt", "tls.key")


@pytest.fixture
def running(bascule, directory, leaves, echo, port, tool):
    def start(form="two files", leaf=None, **over):
        written = FORMS[form](leaf or leaves[0], directory)
        name = "all" if "directory" in written else "main"
        site = proxy.site("site.test", bundle="main")
        if name == "all":
            site.pop("bundle")
        contents = proxy.config(port, written, echo.address, sites=[site])
        contents["bundles"] = {name: written}
        return Installed(bascule(proxy.merge(contents, over)), tool)

    return start


def put(tool, leaf, stem="new"):
    """As they come from elsewhere: certificate and key under one name."""
    (tool.directory / (stem + ".crt")).write_bytes(leaf.chain_pem)
    (tool.directory / (stem + ".key")).write_bytes(leaf.key_pem)
    return stem + ".crt"


# --- install ---


def test_what_is_started_by_hand_is_installed_and_waits(running, leaves, tool):
    r = running(bundles={"main": {"rotation": {"start": "manual"}}})
    done = r.install("main", put(tool, leaves[1]))
    assert "waits" in done.stdout and "`bascule rotation start main --accept earlier-expiry` begins" in done.stdout, done
    assert r.served() == leaves[0].serial
    assert r.p.command("rotation", "start", "main", "--accept", "earlier-expiry").returncode == 0
    assert r.served() == leaves[1].serial


@pytest.mark.parametrize("form", FORMS)
def test_install(running, leaves, tool, form):
    r = running(form)
    assert r.served() == leaves[0].serial
    done = r.install("main", put(tool, leaves[1]))
    assert r.served() == leaves[1].serial
    for part in ("- old.site.test", "+ new.site.test", "CN=Test Root -> CN=New Intermediate", "EARLIER", "another one", "2 certificates", "the proxy serves it"):
        assert part in done.stdout, done
    # It stands on disk in the form that it had, so the next start serves it as well.
    assert r.p.command("check").returncode == 0
    r.p.restart()
    assert r.served() == leaves[1].serial
    assert "nothing to write" in r.install("main", "new.crt").stdout or "PKCS#12" in form


@pytest.mark.parametrize("form", FORMS)
def test_the_old_files_are_kept(running, leaves, tool, directory, form):
    r = running(form)
    before = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file() and ("live" in p.name or "all" in str(p.relative_to(directory)))}
    r.install("main", put(tool, leaves[1]))
    for path, content in before.items():
        previous = path.with_name(".%s.previous" % path.name)
        if path.read_bytes() != content:
            assert previous.read_bytes() == content
            assert stat.S_IMODE(previous.stat().st_mode) == stat.S_IMODE(path.stat().st_mode)
    assert not [p for p in directory.rglob(".*") if p.is_file() and not p.name.endswith(".previous")], "something was left behind"
    # A directory of bundles takes none of them for a bundle.
    assert len(r.p.status()["bundles"]) == 1


def test_dry_run_changes_nothing(running, leaves, tool, directory):
    r = running()
    cert = put(tool, leaves[1])
    everything = Tool(directory)
    before = everything.files()
    assert "nothing was changed" in r.install("main", cert, "--dry-run").stdout
    assert everything.files() == before and r.served() == leaves[0].serial


def test_dry_run_tells_the_number_that_the_proxy_knows(running, leaves, tool):
    r = running()
    worse, better = put(tool, leaves[1], "worse"), put(tool, leaves[0], "better")

    def refused():
        return r.install("main", worse, "--dry-run", accept=None, status=1).stderr

    r.install("main", worse)
    r.install("main", better, "--no-reload")
    assert "not taken in place of what is there: " in refused(), "the proxy serves another"
    r.p.reload()
    assert "not taken in place of generation 3: " in refused()
    r.p.stop()
    assert "not taken in place of what is there: " in refused(), "there is nobody to ask"


def test_dry_run_tells_what_the_proxy_would_refuse(running, leaves, tool, directory):
    r = running()
    cert = put(tool, leaves[1])
    everything = Tool(directory)
    before = everything.files()
    shown = r.install("main", cert, "--dry-run", accept=None, status=1)
    assert "the proxy would refuse it: " in shown.stderr and "`bascule pki install … --accept earlier-expiry`" in shown.stderr
    assert "the proxy would take it" not in shown.stdout
    assert "not taken in place of generation 1: " in shown.stderr
    assert everything.files() == before and r.served() == leaves[0].serial
    refused = r.install("main", cert, accept=None, status=1)
    assert "the proxy refuses it, so the files are what they were before: " in refused.stderr
    assert "`bascule pki install … --accept earlier-expiry`" in refused.stderr and "bascule reload" not in refused.stderr


def test_where_the_key_is_found(running, ca, leaves, tool, directory):
    r = running()
    same_key = ca.leaf("site.test", key=leaves[0].key)
    (tool.directory / "a.crt").write_bytes(same_key.chain_pem)
    assert "the one in place" in r.install("main", "a.crt").stdout
    assert r.served() == same_key.serial
    other = ca.leaf("site.test")
    (tool.directory / "b.crt").write_bytes(other.chain_pem)
    tool.refused("neither in it, nor b.key, nor main.key", "install", "main", "b.crt", *r.config)
    (tool.directory / "main.key").write_bytes(other.key_pem)
    r.install("main", "b.crt")
    third = ca.leaf("site.test")
    (tool.directory / "c.pem").write_bytes(third.combined_pem)
    r.install("main", "c.pem")
    assert r.served() == third.serial
    fourth = ca.leaf("site.test")
    fourth.pkcs12(tool.directory, "d")
    r.install("main", "d.p12", "--password-file", "d.pass")
    assert r.served() == fourth.serial
    (tool.directory / "else.key").write_bytes(leaves[1].key_pem)
    (tool.directory / "e.crt").write_bytes(leaves[1].chain_pem)
    tool.refused("not the key", "install", "main", "e.crt", "--key", "main.key", *r.config)
    r.install("main", "e.crt", "--key", "else.key")
    assert r.served() == leaves[1].serial


def refusals(ca, other_ca):
    leaf = ca.leaf("site.test")
    middle = ca.intermediate("Middle")
    below = middle.leaf("site.test")
    below_old = middle.leaf("site.test", ends=-1, begins=-2)
    impostor = pki.Authority("Middle", issuer=other_ca)
    no_ca = pki.Identity(below.certificate, below.key, [], below.directory)
    return {
        "expired": (ca.leaf("site.test", ends=-1, begins=-9), b"", "expired on"),
        "not yet valid": (ca.leaf("site.test", begins=5), b"", "not valid before"),
        "weak": (ca.leaf("site.test", key="rsa1024"), b"", "1024 bits"),
        "a foreign intermediate": (leaf, other_ca.intermediate("Foreign").pem, "does not belong"),
        "an intermediate with another key": (no_ca, impostor.pem, "does not belong"),
        "an intermediate that did not sign it": (forged(below, other_ca), b"", "is not signed by"),
        "an expired one below": (below_old, b"", "expired on"),
    }


@pytest.mark.parametrize("case", ["expired", "not yet valid", "weak", "a foreign intermediate", "an intermediate with another key", "an intermediate that did not sign it", "an expired one below"])
def test_what_the_loader_refuses_install_refuses(running, ca, other_ca, leaves, tool, directory, case):
    """And the other way round: put there by hand, the proxy holds it back for the same reason."""
    leaf, chain, reason = refusals(ca, other_ca)[case]
    r = running()
    (tool.directory / "chain.pem").write_bytes(chain or leaf.chain_pem)
    cert = put(tool, leaf)
    everything = Tool(directory)
    before = everything.files()
    done = tool.refused(reason, "install", "main", cert, "chain.pem", *r.config)
    assert everything.files() == before and r.served() == leaves[0].serial
    pki.write(directory / "live.crt", leaf.chain_pem + chain)
    pki.write(directory / "live.key", leaf.key_pem)
    r.p.reload()
    held = [o for o in r.p.status()["last_reload"]["outcomes"] if o["outcome"] == "held"]
    assert held and r.served() == leaves[0].serial
    assert held[0]["text"].split(": ", 1)[1] in done.stderr


def test_bundles_that_are_not_there(running, leaves, tool):
    r = running()
    cert = put(tool, leaves[1])
    tool.refused('did you mean "main"', "install", "mian", cert, *r.config)
    tool.refused("no directory of bundles", "install", "other", cert, "--new", *r.config)
    tool.refused("can not be read", "install", "main", cert, "-c", "nowhere.json")
    tool.refused("No such file", "install", "main", "gone.crt", *r.config)


def test_a_new_bundle_of_a_directory(running, ca, leaves, tool):
    r = running("a directory, flat")
    tool.refused("--new makes one", "install", "more", put(tool, leaves[1]), *r.config)
    r.install("more", "new.crt", "--new")
    assert {b["name"] for b in r.p.status()["bundles"]} == {"main", "more"}
    tool.refused("base name", "install", "a.b", "new.crt", "--new", *r.config)


def test_another_bundle_that_shares_the_key(bascule, directory, ca, leaves, echo, port, tool):
    """A new key would break the bundle whose certificate stays what it is."""
    written = leaves[0].files(directory, "live")
    second = pki.Identity(ca.leaf("b.test", key=leaves[0].key).certificate, leaves[0].key, [], directory)
    (directory / "b.crt").write_bytes(second.chain_pem)
    os.symlink(directory / "live.key", directory / "b.key")
    bundles = {"main": written, "second": {"certificate": str(directory / "b.crt"), "key": str(directory / "b.key")}}
    p = bascule(proxy.config(port, written, echo.address, bundles=bundles))
    put(tool, leaves[1])
    tool.refused('bundle "second" shares a file', "install", "main", "new.crt", "-c", p.config_path)
    put(tool, ca.leaf("site.test", key=leaves[0].key), "same")
    tool.good("install", "main", "same.crt", "-c", p.config_path)


def test_a_link_stays_a_link(running, leaves, tool, directory):
    """As certbot has it: what the config names is a link to the file of this time."""
    r = running()
    for name in ("live.crt", "live.key"):
        (directory / "archive").mkdir(exist_ok=True)
        os.rename(directory / name, directory / "archive" / name)
        os.symlink("archive/" + name, directory / name)
    r.install("main", put(tool, leaves[1]))
    assert (directory / "live.key").is_symlink() and (directory / "archive/live.key").read_bytes() == (directory / "live.key").read_bytes()
    assert r.served() == leaves[1].serial


def test_owner_and_group_of_a_key_stay(running, leaves, tool, directory):
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    r = running()
    os.chown(directory / "live.key", 12345, 23456)
    os.chmod(directory / "live.key", 0o640)
    r.install("main", put(tool, leaves[1]))
    st = os.stat(directory / "live.key")
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (12345, 23456, 0o640)
    os.chmod(directory / "live.key", 0o644)
    r.install("main", put(tool, leaves[0], "again"))
    assert stat.S_IMODE(os.stat(directory / "live.key").st_mode) == 0o640


def test_no_proxy_to_tell(running, leaves, tool):
    r = running()
    assert r.p.stop() == 0
    done = r.install("main", put(tool, leaves[1]), status=3)
    assert "no proxy was told" in done.stderr
    r.p.start()
    assert r.served() == leaves[1].serial


def test_a_proxy_that_refuses_gets_its_files_back(running, leaves, tool, directory):
    """Here because the config has become faulty in something that install does not look at."""
    r = running()
    r.p.change(listeners=[{"address": "127.0.0.1:%d" % r.p.port, "tls": True}], tls={"ciphers": "NONSENSE"})
    cert = put(tool, leaves[1])
    before = (directory / "live.crt").read_bytes(), (directory / "live.key").read_bytes()
    done = tool("install", "main", cert, *r.config)
    assert done.status == 1 and "the files are what they were before" in done.stderr, done
    assert ((directory / "live.crt").read_bytes(), (directory / "live.key").read_bytes()) == before
    assert r.served() == leaves[0].serial


def test_a_full_disk_leaves_all_as_it_was(running, leaves, tool, directory):
    r = running()
    cert = put(tool, leaves[1])
    everything = Tool(directory)
    before = everything.files()
    done = tool("install", "main", cert, *r.config, prefix=["prlimit", "--fsize=300"])
    assert done.status != 0
    assert everything.files() == before


# --- list ---


def test_list(bascule, directory, ca, identity, echo, port, tool):
    for name, days in (("soon", 3), ("later", 80), ("gone", -2)):
        pki.write(directory / "all" / (name + ".pem"), ca.leaf(name + ".test", ends=days, begins=-9).combined_pem)
    pki.write(directory / "all/broken.pem", b"-----BEGIN")
    written = identity.files(directory, "live")
    contents = proxy.config(port, written, echo.address, bundles={"main": written, "all": {"directory": str(directory / "all")}})
    (tool.directory / "c.json").write_text(json.dumps(contents))
    found = json.loads(tool.good("list", "-c", "c.json", "--json", status=3).stdout)
    assert [b["bundle"] for b in found["bundles"]] == ["broken", "gone", "soon", "later", "main"]
    assert found["alarming"] == 3 and found["bundles"][1]["validity"] == "expired 2 days ago" and "expired" in found["bundles"][1]["problem"]
    text = tool.good("list", "-c", "c.json", status=3).stdout
    assert re.search("expires in [23] days", text) and "site.test, *.site.test" in text and "5 bundles, 3 of them" in text
    for name in ("broken", "gone"):
        os.remove(directory / "all" / (name + ".pem"))
    tool.good("list", "-c", "c.json", "--warn", "2")
    tool.good("list", "-c", "c.json", "--warn", "4", status=3)
    tool.refused("--warn", "list", "-c", "c.json", "--warn", "x", status=2)


# --- the guard ---


def test_a_loss_that_was_not_accepted_is_refused_and_the_files_are_what_they_were(running, leaves, tool):
    r = running()
    before, serial = r.p.config_path.parent.joinpath("live.crt").read_bytes(), r.served()
    cert = put(tool, leaves[1])
    said = tool.refused("--accept earlier-expiry", "install", "main", cert, *r.config)
    assert "the files are what they were before" in said.stderr
    assert r.p.config_path.parent.joinpath("live.crt").read_bytes() == before and r.served() == serial
    tool.refused("earlier-expiry", "install", "main", cert, *r.config, "--accept", "earlier-expire")
    r.install("main", cert)
    assert r.served() != serial


# --- the whole way ---


def test_from_a_request_to_what_curl_sees(running, tool, directory):
    r = running()
    tool.good("ca", "root", "CN:Root", "--path-length", "1")
    tool.good("ca", "issuing", "CN:Issuing", "--issuer", "root")
    tool.good("csr", "main", "CN:site.test", "O:Acme", "subjectAltName:site.test,www.site.test")
    tool.good("sign", "main", "issuing")
    tool.good("bundle", "root.crt", "issuing.crt", "main.crt", "-o", "main.pem")
    tool.good("verify", "main.pem", "root.crt", "--name", "www.site.test")
    assert client.curl(r.p.port, ca=proxy_ca(tool)).returncode != 0
    r.install("main", "main.pem")
    done = client.curl(r.p.port, "/", "--write-out", "%{ssl_verify_result}", ca=proxy_ca(tool))
    assert done.returncode == 0 and done.stdout.endswith("0"), done
    # A clean renewal with the same key, the next year.
    tool.good("csr", "next", "CN:site.test", "--use-key", "main.key", "-c", r.p.config_path)
    tool.good("sign", "next", "issuing")
    assert "the one in place" in r.install("main", "next.crt", "issuing.crt").stdout
    assert client.curl(r.p.port, ca=proxy_ca(tool)).returncode == 0


def proxy_ca(tool):
    class Root:
        file = str(tool.directory / "root.crt")

    return Root


# --- the wizard ---


def test_the_wizard_makes_a_request_by_a_pipe(tool):
    done = tool.good("wizard", "-c", nowhere_config(tool), data="1\na.example, b.example\nAcme\n\n\n\nde\n\n\n\n")
    assert tool.good("inspect", "a-example.csr").stdout.count("a.example, b.example") == 1
    assert "Send a-example.csr to the CA" in done.stdout


def nowhere_config(tool):
    """A config without anything that could be in the way."""
    path = tool.directory / "empty.json"
    path.write_text(json.dumps({"listeners": [{"address": "127.0.0.1:1", "redirect": "https"}]}))
    return path


def test_the_wizard_from_names_to_what_is_served(running, tool):
    """An own CA that is made on the way; the bundle is found by the site that serves the name."""
    r = running()
    t = tool.terminal("wizard", *r.config)
    t.answer("What is wanted .1.: ", "2")
    t.answer("Host names.*: ", "site.test")
    for question in ("Organisation", "Unit", "Town", "State"):
        t.answer(question + r".*\[-\]: ")
    t.answer("Country", "Germany")
    t.answer("no country.*Country", "DE")
    t.answer(r"key .*\[ec\]: ", "dsa")
    t.answer(r"not a kind of key.*\[ec\]: ")
    t.answer(r"Base name of the files \[site-test\]: ", "a/b")
    t.answer(r"letters, digits.*\[site-test\]: ")
    t.answer(r"CA's files \[ca\]: ")
    t.answer("called .Own CA.: ", "Wizard CA")
    t.answer(r"bundle .*\[main\]: ")
    t.answer(r"Go ahead \[yes\]: ")
    t.expect("- old.site.test   lost")
    t.answer(r"Put it in place \[yes\]: ")
    status, rest = t.end()
    assert status == 0 and "the proxy serves it" in rest, rest
    with r.p.client("site.test") as c:
        assert "Wizard CA" in c.certificate.issuer.rfc4514_string()
    # The next one uses the CA that is there; now by a pipe.
    done = tool.good("wizard", *r.config, data="2\nsite.test\n\n\n\n\n\n\nsecond\n\n\n\n\n")
    assert "sign it with ca" in done.stdout and "the proxy serves it" in done.stdout


def test_the_wizard_installs_what_a_ca_has_sent(running, leaves, tool):
    r = running()
    put(tool, leaves[1])
    tool.good("wizard", *r.config, data="4\nnew.crt\n\nmain\n\n\n")
    assert r.served() == leaves[1].serial


ANSWERS = "2\nsite.test\n\n\n\n\n\n\n\n\n\n\nyes\nyes\n".splitlines(keepends=True)


def test_the_wizard_left_early_leaves_nothing(running, tool, directory):
    r = running()
    everything = Tool(directory)
    before = everything.files()
    for n in range(len(ANSWERS) - 1):
        done = tool("wizard", *r.config, data="".join(ANSWERS[:n]))
        assert done.status == 1 and done.stdout.endswith("Nothing was changed.\n") and "answers have ended" in done.stderr, done
        assert everything.files() == before
    serial = r.served()
    done = tool("wizard", *r.config, data="".join(ANSWERS[:-1]))
    assert done.status == 1 and done.stdout.endswith("Nothing was installed.\n")
    assert r.served() == serial and {k: v for k, v in everything.files().items() if k in before} == before
    tool.good("match", "site-test.key", "site-test.crt")


def test_the_wizard_does_not_lose_a_name_by_the_way(running, tool, ca):
    """The certificate lacks the name that the site has: Enter says no."""
    r = running()
    put(tool, ca.leaf("other.test"), "other")
    done = tool.good("wizard", *r.config, data="4\nother.crt\n\nmain\n\n\n")
    assert "LOST" in done.stdout and "Put it in place [no]" in done.stdout and done.stdout.endswith("Nothing was installed.\n")


def test_the_wizard_interrupted_leaves_nothing(running, tool, directory):
    r = running()
    everything = Tool(directory)
    before = everything.files()
    t = tool.terminal("wizard", *r.config)
    for question in ("What", "Host", "Org", "Unit", "Town", "State", "Country", "Kind", "Base", "CA's", "called", "bundle"):
        t.answer(question, "2" if question == "What" else "site.test" if question == "Host" else "")
    t.expect("Go ahead")
    t.send("\x03")
    assert t.end()[0] == -2 and everything.files() == before
    assert tool.good("wizard", *r.config, data="".join(ANSWERS[:-2]) + "no\n").stdout.endswith("Nothing was changed.\n")
    assert everything.files() == before


@pytest.mark.parametrize("answers, reason", [("9\n", "only 4"), ("x\n", "number"), ("1\na b\n", "host name"), ("1\na.b\n\n\n\n\nGermany\n", "country"), ("4\ngone.crt\n", "no such file")])
def test_a_wrong_answer_in_a_pipe_ends_the_wizard(tool, answers, reason):
    tool.refused(reason, "wizard", "-c", nowhere_config(tool), data=answers + "yes\n" * 20)


@pytest.mark.parametrize("change, reason", [
    ({2: "x" * 65}, "O: "), ({7: "rsa:1024"}, "not a kind of key"), ({9: "site-test"}, "two base names"), ({10: "site.test"}, "two names"),
    ({10: "x" * 65}, "CN: "), ({11: "mian"}, "did you mean|no directory"), ({8: "ca"}, "two base names"),
])  # fmt: skip
def test_the_wizard_finds_out_before_it_makes_anything(running, tool, change, reason):
    r = running()
    answers = [change.get(i, a.rstrip("\n")) + "\n" for i, a in enumerate(ANSWERS)]
    done = tool.refused(reason, "wizard", *r.config, data="".join(answers))
    assert "Go ahead" not in done.stdout


def test_the_wizard_looks_at_the_ca_first(running, tool):
    r = running()
    tool.good("ca", "ca", "CN:Own CA")
    tool.good("csr", "other", "CN:other.test")
    os.replace(tool.directory / "other.key", tool.directory / "ca.key")
    tool.refused("not its own", "wizard", *r.config, data="".join(ANSWERS[:10] + ANSWERS[11:]))


def test_the_wizard_finds_what_is_in_the_way_first(running, tool):
    r = running()
    (tool.directory / "site-test.key").write_text("precious")
    done = tool.refused("exists", "wizard", *r.config, data="".join(ANSWERS))
    assert "Go ahead" not in done.stdout
