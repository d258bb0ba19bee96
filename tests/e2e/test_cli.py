"""The command line: what it answers, where it says an error is, and how it exits."""

import json
import pathlib
import re

import pytest

from harness import pki, proxy
from harness.client import run
from harness.proxy import BINARY, TREE


@pytest.fixture
def check(directory, identity, port):
    """Write a config, given as text or as what differs from a good one, and run `bascule check` on it."""
    good = proxy.config(port, identity.files(directory), "127.0.0.1:80")

    def start(text=None, **over):
        path = directory / "bascule.json"
        path.write_text(json.dumps(proxy.merge(good, over), indent=1) if text is None else text)
        return run(BINARY, "check", "-c", path)

    return start


# --- help ---


def test_help():
    done = run(BINARY, "help")
    assert done.returncode == 0
    for command in ("run", "check", "status", "reload"):
        assert re.search(r"^\s*%s\b" % command, done.stdout, re.M)
        one = run(BINARY, "help", command)
        assert one.returncode == 0 and command in one.stdout
    assert run(BINARY, "--help").stdout == done.stdout


@pytest.mark.parametrize("group", [[], ["pki"]], ids=" ".join)
def test_every_page_fits_a_terminal(group):
    overview = run(BINARY, *group, "help").stdout
    commands = [word for word in re.findall(r"^  ([a-z0-9]+) ", overview, re.M) if word != "bascule"]
    assert len(commands) >= 10
    pages = [overview] + [run(BINARY, *group, "help", command).stdout for command in commands]
    assert not [line for page in pages for line in page.splitlines() if len(line) > 100]
    assert all(page.startswith(" ".join(["bascule", *group, command])) for page, command in zip(pages[1:], commands))
    assert run(BINARY, *group, commands[0], "--help").stdout == run(BINARY, *group, commands[0], "-c", "x", "-h").stdout == pages[1]


def test_version():
    done = run(BINARY, "--version")
    assert done.returncode == 0 and re.search(r"bascule \d+\.\d+", done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["nonsense"], ["check", "--nonsense"], ["run", "-c"], ["status", "--socket="], ["rotation", "hold", "main", "more"],
        ["rotation", "rollback", "main", "--to", "5x"], ["rotation", "rollback", "main", "--to=5x"], ["rotation", "rollback", "main", "--to"],
    ],
)  # fmt: skip
def test_what_is_not_understood(arguments):
    done = run(BINARY, *arguments)
    assert done.returncode == 2
    assert done.stderr and "help" in done.stderr


@pytest.mark.parametrize("config", [["-c", "FILE"], ["--config", "FILE"], ["--config=FILE"]], ids=" ".join)
@pytest.mark.parametrize("to", [["--to", "3"], ["--to=3"]], ids=" ".join)
def test_a_value_follows_or_stands_behind_the_sign(directory, config, to):
    """All words are understood: what fails is that no proxy answers."""
    path = directory / "bascule.json"
    path.write_text(json.dumps({"admin": {"socket": str(directory / "none.sock")}}))
    done = run(BINARY, "rotation", *to, "rollback", *(word.replace("FILE", str(path)) for word in config), "main")
    assert done.returncode == 1 and "none.sock" in done.stderr


@pytest.mark.parametrize("arguments", [["status", "--json=yes"], ["rotation", "retire", "main", "--compromised=1"], ["pki", "list", "--json=yes"]])
def test_an_option_without_a_value_takes_none(arguments):
    done = run(BINARY, *arguments)
    assert done.returncode == 2
    assert re.search(r"--\w+=\w+: it takes no value; ", done.stderr), done.stderr


def test_a_command_misspelt_gets_the_nearest():
    assert "check" in run(BINARY, "chekc").stderr


# --- check ---


def test_check_of_a_good_config(check):
    done = check()
    assert done.returncode == 0, done.stderr
    assert "1 listener" in done.stdout and "1 site" in done.stdout


def test_check_takes_comments(check, directory):
    check()
    text = (directory / "bascule.json").read_text()
    text = "// first\n# second\n/* third\n * fourth */\n" + text.replace('"sites"', '/* here */ "sites"')
    done = check(text)
    assert done.returncode == 0, done.stderr


ERRORS = [
    ("unknown key", '{\n  "listners": []\n}', r":2:3: .*listners.*listeners"),
    ("unknown key within", '{ "tls": {\n    "min_versoin": "1.2" } }', r":2:5: .*min_versoin.*min_version"),
    ("unknown word", '{ "upstreams": { "a": { "servers": ["h:1"],\n "balance": "round_robbin" } } }', r":2:\d+: .*round_robbin.*round_robin"),
    ("wrong type", '{ "listeners":\n 5 }', r":2:\d+: .*listeners"),
    ("bad duration", '{ "timeouts": {\n "idle": "5 parsecs" } }', r":2:\d+: .*idle"),
    ("bad size", '{ "limits": {\n "body_bytes": "10q" } }', r":2:\d+: .*body_bytes"),
    ("number too large", '{ "listeners": [ { "address": "*:1",\n "redirect_port": 70000 } ] }', r":2:\d+: .*redirect_port"),
    ("number with a fraction", '{ "threads":\n 1.5 }', r":2:\d+: .*threads"),
    ("duration that overflows", '{ "timeouts": {\n "idle": "99999999999999999999d" } }', r":2:\d+: .*idle"),
    ("missing brace", '{ "threads": 1\n', r":\d+:\d+: "),
    ("trailing comma", '{ "threads": 1,\n}', r":\d+:\d+: .*comma"),
    ("key twice", '{ "threads": 1,\n "threads": 2 }', r":2:\d+: .*threads"),
    ("comment without end", '{ "threads": 1 }\n/* ', r":2:\d+: "),
    ("not UTF-8", b'{ "user":\n "\xff\xfe" }', r":2:\d+: "),
    ("NUL in a string", '{ "user":\n "a\\u0000b" }', r":2:\d+: "),
    ("a list", "[]", r":1:1: "),
    ("nothing", "", r": .*nothing"),
    ("deep nesting", "[" * 100000, r":1:\d+: "),
    ("bad address", '{ "listeners": [\n { "address": "nowhere" } ] }', r":2:\d+: .*address"),
    ("bad network", '{ "trusted_proxies": [\n "10.0.0.0/33" ] }', r":2:\d+: .*trusted_proxies"),
    ("required key", '{ "listeners": [\n { "tls": true } ] }', r":2:\d+: .*address"),
    ("include of itself", '{ "include":\n "bascule.json" }', r":2:\d+: .*bascule\.json"),
    ("include of nothing", '{ "include":\n "nowhere/*.json" }', r":2:\d+: .*nowhere"),
]


@pytest.mark.parametrize("text, expected", [pytest.param(t, e, id=n) for n, t, e in ERRORS])
def test_an_error_names_its_place(directory, text, expected):
    path = directory / "bascule.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(BINARY, "check", "-c", path)
    assert done.returncode == 1, done.stdout
    assert re.search(re.escape(str(path)) + expected, done.stderr), done.stderr


SITE = {"names": ["site.test"], "bundle": "main", "upstream": "origin"}


@pytest.mark.parametrize(
    "over, expected",
    [
        ({"sites": [{**SITE, "upstream": "orign"}]}, "upstream.*orign.*origin"),
        ({"sites": [{**SITE, "bundle": "mian"}]}, "bundle.*mian.*main"),
        ({"sites": [SITE, SITE]}, "site.test"),
        ({"listeners": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:1", "tls": True}]}, "127.0.0.1:1"),
        ({"sites": [{**SITE, "default": True}, {**SITE, "names": ["b.test"], "default": True}]}, "default"),
        ({"sites": [{**SITE, "names": ["a.*.test"]}]}, "names.*a\\.\\*\\.test"),
        ({"sites": [{**SITE, "routes": [{"path": "^/(unclosed"}]}]}, "path.*unclosed"),
        ({"sites": [{**SITE, "routes": [{"path": "^/x", "upstream": "nowhere"}]}]}, "upstream.*nowhere"),
        ({"sites": [{**SITE, "routes": [{"path": "^/(x)", "rewrite": "/$2"}]}]}, "rewrite"),
        ({"sites": [{**SITE, "request_headers": {"set": {"X-A": "${unknown}"}}}]}, "unknown"),
        ({"sites": [{**SITE, "request_headers": {"set": {"Content-Length": "5"}}}]}, "Content-Length"),
        ({"sites": [{**SITE, "request_headers": {"set": {"X-A": "a\r\nb"}}}]}, "X-A"),
        ({"sites": [{**SITE, "client_certificate": {"mode": "required"}}]}, "pins"),
        ({"sites": [{**SITE, "client_certificate": {"mode": "required", "pins": [{"ca": "missing.pem"}]}}]}, "missing.pem"),
        ({"bundles": {"main": {"certificate": "missing.crt", "key": "missing.key"}}}, "missing.crt"),
        ({"bundles": {"main": {"pkcs12": "x.p12"}}}, "main"),
        ({"bundles": {"main": None, "other": {"certificate": "missing.crt"}}}, "key"),
        ({"upstreams": {"origin": {"servers": []}}}, "servers"),
        ({"upstreams": {"origin": {"tls": {"ca": "missing-ca.pem"}}}}, "missing-ca.pem"),
        ({"upstreams": {"origin": {"tls": {"pin": ["sha256/short"]}}}}, "pin"),
        ({"tls": {"ciphers": "NO-SUCH-CIPHER"}}, "ciphers"),
    ],
)
def test_what_a_reload_would_refuse(check, over, expected):
    done = check(**over)
    assert done.returncode == 1, done.stdout
    assert re.search(r"bascule\.json:\d+:\d+: ", done.stderr), done.stderr
    assert re.search(expected, done.stderr), done.stderr


def test_all_errors_at_once(check):
    done = check('{\n "listners": [],\n "threads": -1,\n "log": { "level": "loud" }\n}')
    assert len(re.findall(r"bascule\.json:\d+:\d+: ", done.stderr)) >= 3


def test_warnings(check):
    done = check(upstreams={"origin": {"tls": {"verify": False}}})
    assert done.returncode == 0
    assert re.search(r"bascule\.json:\d+:\d+: warning: .*verify|warning.*verify", done.stderr)


def test_check_of_a_file_that_is_not_there(directory):
    done = run(BINARY, "check", "-c", directory / "nothing.json")
    assert done.returncode == 1 and "nothing.json" in done.stderr


def test_check_of_a_directory_of_files(directory, identity, port):
    whole = proxy.config(port, identity.files(directory), "127.0.0.1:80")
    for key, value in whole.items():
        pki.write(directory / "conf.d" / (key + ".json"), json.dumps({key: value}).encode())
    done = run(BINARY, "check", "-c", directory / "conf.d")
    assert done.returncode == 0, done.stderr
    pki.write(directory / "conf.d" / "zzz.json", b'{\n "threadz": 1 }')
    done = run(BINARY, "check", "-c", directory / "conf.d")
    assert done.returncode == 1 and "zzz.json:2:2" in done.stderr


def test_include(directory, identity, port):
    whole = proxy.config(port, identity.files(directory), "127.0.0.1:80")
    pki.write(directory / "sites" / "one.json", json.dumps({"sites": whole.pop("sites")}).encode())
    pki.write(directory / "bascule.json", json.dumps({**whole, "include": "sites/*.json"}).encode())
    done = run(BINARY, "check", "-c", directory / "bascule.json")
    assert done.returncode == 0, done.stderr
    assert "1 site" in done.stdout


def test_run_refuses_what_check_refuses(bascule):
    with pytest.raises(proxy.StartFailed) as failed:
        bascule('{\n "listners": [] }')
    assert failed.value.status not in (0, None)
    assert re.search(r"bascule\.json:2:2: .*listeners", failed.value.log)


def test_check_leaves_nothing_behind(check, directory):
    before = sorted(p.name for p in directory.iterdir())
    check(secret_file=str(directory / "secret"), pid_file=str(directory / "pid"), log={"access": str(directory / "access.log")})
    after = sorted(p.name for p in directory.iterdir() if p.name != "bascule.json")
    assert after == [n for n in before if n != "bascule.json"]


# --- what is generated ---


@pytest.mark.parametrize(
    "what, file",
    [
        ("schema", "conf/schema.json"),
        ("reference", "docs/configuration.md"),
        ("manual", "docs/bascule.json.5"),
        ("metrics", "docs/metrics.md"),
    ],
)
def test_what_is_generated_is_up_to_date(what, file):
    done = run(BINARY, "config", what)
    assert done.returncode == 0
    assert done.stdout == (TREE / file).read_text(), "make it anew: bascule config %s > %s" % (what, file)


def test_the_examples_name_only_keys_of_the_schema():
    schema = (TREE / "conf" / "schema.json").read_text()
    for example in EXAMPLES:
        if example.name != "schema.json":
            for key in json.loads(COMMENT.sub(lambda m: m[1] or " ", example.read_text())):
                assert '"%s"' % key in schema


# --- the examples ---

EXAMPLES = sorted((TREE / "conf").glob("*.json"))


# A string, which is kept, or a comment, which is not.
COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|#[^\n]*|/\*.*?\*/', re.S)


# What a start makes itself, where there is a directory for it.
MADE = ("pid_file", "secret_file", "socket", "error", "access")


def paths_in(value, key=None):
    """Pairs of the key and the path for each file that a config names."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from paths_in(v, k)
    elif isinstance(value, list):
        for v in value:
            yield from paths_in(v, key)
    elif key in ("certificate", "key", "chain", "combined", "pkcs12", "password_file", "directory", "ca", "crls") + MADE:
        yield key, value


def passes_check(text, name, directory, ca):
    """With every file that it names in place."""
    contents = json.loads(COMMENT.sub(lambda m: m[1] or " ", text))
    root = directory / "etc" / "conf"
    root.mkdir(parents=True)
    names = [n for s in contents["sites"] for n in s.get("names", [])] or ["example.test"]
    leaf = ca.leaf(*names)
    for key, path in paths_in(contents):
        target = pathlib.Path(path) if pathlib.Path(path).is_absolute() else root / path
        if pathlib.Path(path).is_absolute():
            text = text.replace(path, str(directory) + path)
            target = directory / path.lstrip("/")
        target = pathlib.Path(str(target)).resolve()
        {
            "certificate": lambda t: pki.write(t, leaf.chain_pem),
            "key": lambda t: pki.write(t, leaf.key_pem),
            "chain": lambda t: pki.write(t, ca.pem),
            "combined": lambda t: pki.write(t, leaf.combined_pem),
            "pkcs12": lambda t: pki.write(t, leaf.pkcs12_bytes("secret")),
            "password_file": lambda t: pki.write(t, b"secret\n"),
            "directory": lambda t: leaf.combined(t, "example"),
            "ca": lambda t: pki.write(t, ca.pem),
            "crls": lambda t: pki.write(t, ca.crl()),
            **dict.fromkeys(MADE, lambda t: t.parent.mkdir(parents=True, exist_ok=True)),
        }[key](target)
    (root / name).write_text(text)
    done = run(BINARY, "check", "-c", root / name)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", [p for p in EXAMPLES if p.name != "schema.json"], ids=lambda p: p.name)
def test_an_example_passes_check(example, directory, ca):
    passes_check(example.read_text(), example.name, directory, ca)


@pytest.mark.parametrize("n", range(2))
def test_an_example_in_the_docs_passes_check(n, directory, ca):
    blocks = re.findall(r"^```jsonc\n(.*?)^```$", (TREE / "docs" / "http2.md").read_text(), re.S | re.M)
    assert len(blocks) == 2
    passes_check(blocks[n], "http2.json", directory, ca)


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
