"""`bascule pki`: keys, requests, certificates, chains, PKCS#12; each read by openssl and certtool, and theirs by it."""

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import termios

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from harness import pki
from harness.proxy import BINARY
from harness.tool import Tool


@pytest.fixture
def tool(directory):
    return Tool(directory)


@pytest.fixture
def small_ca(tool):
    """ca.key and ca.crt, made with the tool."""
    tool.good("ca", "ca", "CN:Small CA", "O:Acme")


def openssl(tool, *arguments, status=0, data=None):
    done = subprocess.run(["openssl", *[str(a) for a in arguments]], cwd=tool.directory, capture_output=True, text=True, input=data, timeout=60)
    assert (done.returncode == 0) == (status == 0), done
    return done.stdout + done.stderr


def cert(tool, name):
    return x509.load_pem_x509_certificate((tool.directory / name).read_bytes())


def extension(c, kind):
    return c.extensions.get_extension_for_class(kind)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# --- csr ---

SUBJECT = ["CN:shop.example", "OU:Web", "O:Müller & Söhne, Inc.", "L:Köln", "ST:NRW", "C:de", "subjectAltName:shop.example,*.shop.example,10.0.0.1,::1"]
DASHES = ["--cn", "shop.example", "--ou=Web", "--o", "Müller & Söhne, Inc.", "--l", "Köln", "--st", "NRW", "--c", "de", "--san", "shop.example,*.shop.example", "--san=10.0.0.1,::1"]


@pytest.mark.parametrize("words", [SUBJECT, DASHES], ids=["colons", "dashes"])
def test_a_request_has_what_was_asked_for(tool, words):
    tool.good("csr", "shop", *words)
    r = x509.load_pem_x509_csr((tool.directory / "shop.csr").read_bytes())
    names = {a.oid: a.value for a in r.subject}
    assert names == {NameOID.COMMON_NAME: "shop.example", NameOID.ORGANIZATIONAL_UNIT_NAME: "Web", NameOID.ORGANIZATION_NAME: "Müller & Söhne, Inc.",
                     NameOID.LOCALITY_NAME: "Köln", NameOID.STATE_OR_PROVINCE_NAME: "NRW", NameOID.COUNTRY_NAME: "DE"}  # fmt: skip
    san = extension(r, x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["shop.example", "*.shop.example"]
    assert [str(a) for a in san.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    assert r.is_signature_valid and r.public_key().curve.name == "secp256r1"
    assert "verify OK" in openssl(tool, "req", "-in", "shop.csr", "-verify", "-noout")
    assert openssl(tool, "pkey", "-in", "shop.key", "-pubout") == openssl(tool, "req", "-in", "shop.csr", "-pubkey", "-noout")
    if shutil.which("certtool"):
        text = subprocess.run(["certtool", "--crq-info", "--infile", "shop.csr"], cwd=tool.directory, capture_output=True, text=True).stdout
        assert "shop.example" in text and "Self signature: verified" in text


def test_the_common_name_is_among_the_names(tool):
    tool.good("csr", "a", "CN:a.example", "subjectAltName:b.example")
    r = x509.load_pem_x509_csr((tool.directory / "a.csr").read_bytes())
    assert extension(r, x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["a.example", "b.example"]


@pytest.mark.parametrize("kind, expected", [("ec", "prime256v1"), ("ec:384", "secp384r1"), ("ec:521", "secp521r1"), ("rsa", "3072 bit"), ("rsa:2048", "2048 bit")])
def test_kinds_of_keys(tool, kind, expected):
    tool.good("csr", "a", "CN:a.example", "--key", kind)
    assert expected in openssl(tool, "pkey", "-in", "a.key", "-text", "-noout")
    openssl(tool, "req", "-in", "a.csr", "-verify", "-noout")


def test_a_key_can_be_certified_again(tool):
    tool.good("csr", "old", "CN:a.example")
    tool.good("csr", "new", "CN:a.example", "--use-key", "old.key")
    assert not (tool.directory / "new.key").exists()
    tool.good("match", "old.key", "new.csr")


REFUSED_SUBJECTS = [
    (["C:Germany"], "country"),
    (["C:D1"], "country"),
    (["CN:" + "x" * 65], "CN"),
    (["CN:a\nb"], "control"),
    (["CN:"], "empty"),
    (["CN:a", "CN:b"], "twice"),
    (["O:only"], "neither a common name"),
    (["subjectAltName:a..b"], "host name"),
    (["subjectAltName:*"], "host name"),
    (["subjectAltName:a.*.b"], "host name"),
    (["subjectAltName:*x.b"], "host name"),
    (["subjectAltName:a.b,a.B"], "twice"),
    (["subjectAltName:münchen.de"], "xn--"),
    (["subjectAltName:-a.b"], "host name"),
    (["subjectAltName:a.b,,c.d"], "empty"),
    (["subjectAltName:a b"], "host name"),
    (["subjectAltName:" + "a" * 64 + ".b"], "host name"),
    (["subjectAltName:" + ",".join("h%d.b" % i for i in range(129))], "too many"),
    (["CN:a.b", "--key", "dsa"], "not a kind of key"),
    (["CN:a.b", "--key", "rsa:1024"], "not a kind of key"),
    (["CN:a.b", "--key", "ec:192"], "not a kind of key"),
    (["CN:a.b", "--key", "ec", "--use-key", "x.key"], "one of them"),
    (["CN:a.b", "--use-key", "nothing.key"], "No such file"),
    (["CN:a.b", "--dir", "nowhere"], "No such file|no such directory"),
]


@pytest.mark.parametrize("words, status, told", [
    (["ca", "demo"], 1, "behind that of the files: demo 'CN:demo CA'"),
    (["ca", "demo", "Demo CA"], 2, "already, \"demo\"; the name in the certificate is written 'CN:Demo CA'"),
    (["csr", "shop.example"], 1, "written behind it: 'CN:shop.example'"),
])  # fmt: skip
def test_a_name_where_it_is_not_looked_for(tool, words, status, told):
    tool.refused(re.escape(told), *words, status=status)


def test_a_name_that_stands_where_it_is_looked_for_is_not_told_again(tool):
    assert "written behind it" not in tool.refused("shop.example", "csr", "shop.example", "CN:shop.example").stderr


@pytest.mark.parametrize("words, reason", REFUSED_SUBJECTS)
def test_what_can_not_stand_in_a_request(tool, words, reason):
    done = tool("csr", "a", *words)
    assert done.status in (1, 2) and re.search(reason, done.stderr), done
    assert tool.files() == {}


@pytest.mark.parametrize("name", ["a/b", "../a", "a.b", "a b", "", "-", "ä", "a" * 65, "a\nb", ".a"])
def test_base_names(tool, name):
    for subcommand in (["csr", "--", name], ["import", "x.p12", name]):
        done = tool(*subcommand)
        assert done.status == 1 and "letters, digits, - and _" in done.stderr
    assert tool.files() == {}


@pytest.mark.parametrize("words", [["csrr"], ["csr"], ["csr", "a", "b", "CN:x"], ["csr", "a", "--nonsense"], ["csr", "a", "--cn"], ["sign", "a"], ["csr", "a", "--password", "x"]])
def test_what_is_not_understood(tool, words):
    tool.refused("help", *words, status=2)


def test_help(tool):
    overview = tool.good("help").stdout
    for name in re.findall(r"^  (\w+) .*", overview.split("From a request")[0], re.M):
        text = tool.good("help", name).stdout
        assert text.startswith("bascule pki %s " % name)
        assert tool.good(name, "--help").stdout == text
    assert "csr" in tool("scr").stderr


# --- keys and files ---


def test_modes_without_a_umask(tool, small_ca):
    tool.good("csr", "a", "CN:a.example", umask=0)
    tool.good("selfsigned", "b", "CN:b.example", umask=0)
    tool.good("ca", "c", "CN:C", umask=0)
    tool.good("sign", "a", "ca", umask=0)
    (tool.directory / "pw").write_text("secret\n")
    tool.good("export", "b", "b.p12", "--password-file", "pw", umask=0)
    tool.good("import", "b.p12", "d", "--password-file", "pw", umask=0)
    for name in ("a.key", "b.key", "c.key", "d.key", "b.p12"):
        assert mode(tool.directory / name) == 0o600, name
    for name in ("a.csr", "a.crt", "b.crt", "d.crt"):
        assert mode(tool.directory / name) == 0o644, name


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a_key_is_0600_from_its_first_byte(tool):
    if "asan" in BINARY:
        pytest.skip("LeakSanitizer and strace exclude each other")
    trace = tool.directory / "trace.log"
    tool.good("csr", "a", "CN:a.example", prefix=["strace", "-f", "-o", str(trace), "-e", "trace=file,desc"], umask=0)
    lines = trace.read_text().splitlines()
    made = [line for line in lines if ".a.key" in line and "O_CREAT" in line]
    assert len(made) == 1 and "O_EXCL" in made[0] and "0600" in made[0], made
    assert not [line for line in lines if "chmod" in line and " = 0" in line]
    synced = next(i for i, line in enumerate(lines) if "fsync(" in line)
    named = next(i for i, line in enumerate(lines) if "rename" in line and "a.key" in line)
    assert synced < named


@pytest.mark.parametrize("subcommand", [["csr", "a", "CN:a.example"], ["selfsigned", "a", "CN:a.example"], ["ca", "a", "CN:A"], ["import", "x.p12", "a", "--password-file", "x.pass"]])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "hard link", "directory"])
def test_what_exists_is_never_overwritten(tool, subcommand, kind, identity):
    identity.pkcs12(tool.directory, "x")
    key = tool.directory / "a.key"
    (tool.directory / "live").write_bytes(identity.key_pem)
    {"file": lambda: key.write_text("live"), "link": lambda: key.symlink_to("live"), "dangling link": lambda: key.symlink_to("gone"),
     "hard link": lambda: os.link(tool.directory / "live", key), "directory": key.mkdir}[kind]()  # fmt: skip
    tool.refused("exists; nothing is overwritten", *subcommand)


@pytest.mark.parametrize("other", ["a.csr", "a.crt"])
def test_no_key_is_made_when_its_file_has_no_place(tool, other):
    (tool.directory / other).write_text("something")
    tool.refused("exists", "csr" if other == "a.csr" else "selfsigned", "a", "CN:a.example")
    assert not (tool.directory / "a.key").exists()


@pytest.fixture
def configured(tool, identity):
    """A config whose bundle uses live/site.key, and which expects live/coming.key; bundles/ is a directory of bundles."""
    live = tool.directory / "live"
    (tool.directory / "bundles").mkdir()
    contents = {
        "listeners": [{"address": "127.0.0.1:1", "tls": True}],
        "bundles": {
            "site": identity.files(live, "site"),
            "coming": {"certificate": str(live / "coming.crt"), "key": str(live / "coming.key")},
            "all": {"directory": str(tool.directory / "bundles")},
        },
        "sites": [{"names": ["site.test"], "bundle": "site", "upstream": "o"}],
        "upstreams": {"o": {"servers": ["127.0.0.1:2"]}},
    }
    (tool.directory / "c.json").write_text(json.dumps(contents))
    return live


SPELLINGS = ["live", "live/", "./live//", "live/../live", "link", "chain-of-links"]


@pytest.mark.parametrize("name", ["site", "coming"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_of_the_config_is_left_alone(tool, configured, name, spelling):
    (tool.directory / "link").symlink_to("live")
    (tool.directory / "chain-of-links").symlink_to("link")
    for command in (["csr", name, "CN:x.example"], ["selfsigned", name, "CN:x.example"], ["ca", name, "CN:x"]):
        done = tool.refused(r'belongs to bundle "%s"' % name, *command, "--dir", spelling, "-c", "c.json")
        assert ("in use" in done.stderr) == (name == "site")


def test_a_key_that_a_link_of_the_config_leads_to(tool, configured):
    """The config names a link that leads nowhere yet: what is made there would be live at once."""
    (configured / "coming.key").symlink_to(tool.directory / "later.key")
    tool.refused('belongs to bundle "coming"', "csr", "later", "CN:x.example", "-c", "c.json")


def test_a_second_hard_link_to_a_live_key(tool, configured):
    os.link(configured / "site.key", tool.directory / "other.key")
    done = tool.refused('belongs to bundle "site"', "csr", "other", "CN:x.example", "-c", "c.json")
    assert "never overwritten" in done.stderr


@pytest.mark.parametrize("inside", ["bundles", "bundles/deeper"])
def test_nothing_is_made_in_a_directory_of_bundles(tool, configured, inside):
    (tool.directory / inside).mkdir(exist_ok=True)
    tool.refused('belongs to bundle "all"', "csr", "x", "CN:x.example", "--dir", inside, "-c", "c.json")


def test_outputs_are_left_alone_as_well(tool, configured, small_ca):
    tool.good("csr", "x", "CN:x.example")
    for command in (["sign", "x", "ca", "-o", configured / "coming.crt"], ["bundle", "ca.crt", "-o", "live/site.crt"]):
        tool.refused("belongs to bundle", *command, "-c", "c.json")


def test_a_config_that_can_not_be_read(tool):
    (tool.directory / "c.json").write_text("{ nonsense")
    tool.refused("can not be read", "csr", "x", "CN:x.example", "-c", "c.json")
    tool.refused("can not be read", "csr", "x", "CN:x.example", "-c", "nowhere.json")


# --- ca, selfsigned, sign ---


def test_a_ca(tool, small_ca):
    c = cert(tool, "ca.crt")
    basic = extension(c, x509.BasicConstraints)
    assert basic.critical and basic.value.ca and basic.value.path_length == 0
    usage = extension(c, x509.KeyUsage)
    assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign and not usage.value.digital_signature
    assert len(extension(c, x509.SubjectKeyIdentifier).value.digest) == 20
    assert c.serial_number.bit_length() > 120
    assert (c.not_valid_after - c.not_valid_before).days == 3650
    assert "ca.crt: OK" in openssl(tool, "verify", "-x509_strict", "-CAfile", "ca.crt", "ca.crt")


def test_a_ca_below_a_ca(tool):
    tool.good("ca", "root", "CN:Root", "--path-length", "1")
    tool.good("ca", "middle", "CN:Middle", "--issuer", "root")
    tool.good("csr", "a", "CN:a.example")
    tool.good("sign", "a.csr", "middle")
    openssl(tool, "verify", "-x509_strict", "-CAfile", "root.crt", "-untrusted", "middle.crt", "a.crt")
    tool.refused("allows 0 CAs", "ca", "deeper", "CN:Deeper", "--issuer", "middle")
    assert cert(tool, "middle.crt").serial_number != cert(tool, "root.crt").serial_number


def test_selfsigned(tool):
    tool.good("selfsigned", "a", "CN:a.example", "--days", "10")
    c = cert(tool, "a.crt")
    assert not extension(c, x509.BasicConstraints).value.ca
    assert extension(c, x509.ExtendedKeyUsage).value._usages == [ExtendedKeyUsageOID.SERVER_AUTH]
    openssl(tool, "verify", "-x509_strict", "-CAfile", "a.crt", "a.crt")
    tool.good("verify", "a.crt", "a.crt", "--name", "a.example")


def test_sign(tool, small_ca):
    tool.good("csr", "a", *SUBJECT, "--key", "rsa:2048")
    tool.good("sign", "a", "ca")
    c, issuer = cert(tool, "a.crt"), cert(tool, "ca.crt")
    assert c.issuer == issuer.subject and extension(c, x509.AuthorityKeyIdentifier).value.key_identifier == extension(issuer, x509.SubjectKeyIdentifier).value.digest
    assert extension(c, x509.KeyUsage).value.key_encipherment
    assert extension(c, x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["shop.example", "*.shop.example"]
    openssl(tool, "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "www.shop.example", "-CAfile", "ca.crt", "a.crt")
    openssl(tool, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.crt", "a.crt", status=1)


def test_sign_for_a_client(tool, small_ca):
    tool.good("csr", "phone", "CN:Phone of Ann")
    tool.refused("no host name", "sign", "phone", "ca")
    tool.good("sign", "phone", "ca", "--client")
    openssl(tool, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.crt", "phone.crt")
    openssl(tool, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.crt", "phone.crt", status=1)
    tool.good("verify", "phone.crt", "ca.crt", "--client")
    tool.refused("does NOT verify", "verify", "phone.crt", "ca.crt")


def test_a_request_does_not_choose_to_be_a_ca(tool, small_ca):
    config = ("[req]\ndistinguished_name=d\nreq_extensions=e\n[d]\n[e]\nbasicConstraints=critical,CA:TRUE\n"
              "keyUsage=keyCertSign\nsubjectAltName=DNS:evil.example\nextendedKeyUsage=codeSigning\n")  # fmt: skip
    (tool.directory / "r.cnf").write_text(config)
    openssl(tool, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "e.key", "-out", "e.csr", "-subj", "/CN=evil.example", "-config", "r.cnf")
    done = tool.good("sign", "e.csr", "ca")
    assert "asks to be a CA, which is not granted" in done.stderr and "extendedKeyUsage" in done.stderr
    c = cert(tool, "e.crt")
    assert not extension(c, x509.BasicConstraints).value.ca and not extension(c, x509.KeyUsage).value.key_cert_sign
    assert extension(c, x509.ExtendedKeyUsage).value._usages == [ExtendedKeyUsageOID.SERVER_AUTH]
    tool.refused("is not a CA", "sign", "e.csr", "e", "-o", "x.crt")


def csr_with(tool, *names, name="r", broken=False, key="ec"):
    """A request made elsewhere, with any names."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(pki.subject(CN="r.example"))
    builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    der = bytearray(builder.sign(pki.make_key(key), hashes.SHA256()).public_bytes(pki.serialization.Encoding.DER))
    if broken:
        der[-3] ^= 1
    (tool.directory / (name + ".csr")).write_bytes(bytes(der))


@pytest.mark.parametrize("names", [
    [x509.DNSName("a b.example")], [x509.DNSName("*")], [x509.DNSName("a.example\x00.evil")], [x509.UniformResourceIdentifier("http://a")],
    [x509.DirectoryName(pki.subject(CN="x"))], [x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))], [x509.DNSName("a.example,DNS:b.example")],
], ids=repr)  # fmt: skip
def test_names_of_a_request_are_checked(tool, small_ca, names):
    csr_with(tool, *names)
    tool.refused("r.csr", "sign", "r.csr", "ca")


def test_requests_that_are_refused(tool, small_ca):
    csr_with(tool, x509.DNSName("a.example"), broken=True)
    tool.refused("not signed with the key|damaged", "sign", "r.csr", "ca")
    csr_with(tool, x509.DNSName("a.example"), name="weak", key="rsa1024")
    tool.refused("RSA 1024", "sign", "weak.csr", "ca")
    tool.refused("no request", "sign", "ca.crt", "ca", "-o", "x.crt")
    csr_with(tool, x509.DNSName("a.example"), name="good")
    tool.refused("nobody.crt: No such file", "sign", "good", "nobody")
    tool.refused("no.*such directory|No such file", "sign", "good", "ca", "-o", "nowhere/x.crt")


def test_a_ca_with_another_key(tool, small_ca):
    tool.good("ca", "second", "CN:Second")
    tool.good("csr", "a", "CN:a.example")
    shutil.copy(tool.directory / "second.key", tool.directory / "ca.key")
    tool.refused("not its own", "sign", "a", "ca")


def test_a_certificate_does_not_outlive_its_ca(tool):
    tool.good("ca", "ca", "CN:Short", "--days", "5")
    tool.good("csr", "a", "CN:a.example")
    done = tool.good("sign", "a", "ca", "--days", "100")
    assert "the CA ca.crt expires" in done.stderr
    assert cert(tool, "a.crt").not_valid_after == cert(tool, "ca.crt").not_valid_after
    for days in ("0", "99999", "x", "-1", "1.5"):
        tool.refused("--days", "sign", "a", "ca", "-o", "b.crt", "--days", days)


# --- inspect ---


def test_inspect(tool, ca, identity):
    for days, words in ((3, "expires in 2 days|expires in 3 days"), (0.01, "expires in 1[34] minutes"), (-2, "expired 2 days ago")):
        leaf = ca.leaf("a.example", "10.0.0.9", ends=days, begins=-30)
        (tool.directory / "c.pem").write_bytes(leaf.chain_pem)
        text = tool.good("inspect", "c.pem").stdout
        assert re.search(words, text) and "a.example, 10.0.0.9" in text and "EC, 256 bits" in text
    found = json.loads(tool.good("inspect", "c.pem", "--json").stdout)["files"][0]["holds"][0]
    assert found["sha256"].replace(":", "").lower() == leaf.sha256 and int(found["serial"], 16) == leaf.serial
    assert found["days_left"] == -3 or found["days_left"] == -2
    assert found["names"] == ["a.example", "10.0.0.9"] and found["issuer"] == "CN=Test Root" and not found["ca"]


def test_inspect_all_kinds(tool, ca, identity):
    (tool.directory / "crl.pem").write_bytes(ca.crl(identity, ends=-1))
    (tool.directory / "both.pem").write_bytes(identity.combined_pem)
    (tool.directory / "mixed.pem").write_bytes(pki.cert_pem(identity.chain[0]) + pki.cert_pem(identity.certificate))
    openssl(tool, "x509", "-in", "both.pem", "-outform", "DER", "-out", "c.der")
    openssl(tool, "crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl.der")
    openssl(tool, "pkey", "-in", "both.pem", "-outform", "DER", "-out", "k.der")
    openssl(tool, "pkey", "-in", "both.pem", "-aes256", "-passout", "pass:x", "-out", "locked.pem")
    identity.pkcs12(tool.directory, "x")
    kinds = {}
    for name in ("crl.pem", "crl.der", "both.pem", "c.der", "k.der", "locked.pem", "mixed.pem", "x.p12"):
        found = json.loads(tool.good("inspect", name, "--json", "--password-file", "x.pass").stdout)["files"][0]
        kinds[name] = [h["kind"] for h in found["holds"]], found.get("chain_in_order")
    assert kinds == {
        "crl.pem": (["CRL"], None), "crl.der": (["CRL"], None), "both.pem": (["private key", "certificate", "certificate"], True),
        "c.der": (["certificate"], None), "k.der": (["private key"], None), "locked.pem": (["encrypted private key"], None),
        "mixed.pem": (["certificate", "certificate"], False), "x.p12": (["private key", "certificate", "certificate"], True),
    }  # fmt: skip
    assert "OUT OF DATE" in tool.good("inspect", "crl.pem").stdout
    assert "NOT a chain in order" in tool.good("inspect", "mixed.pem").stdout
    key = openssl(tool, "pkey", "-in", "both.pem", "-outform", "PEM")
    assert "BEGIN" not in tool.good("inspect", "both.pem").text and key.splitlines()[1] not in tool.good("inspect", "both.pem").text


def test_inspect_goes_on_after_a_bad_file(tool, identity):
    files = {"empty": b"", "text": b"hello", "cut.pem": identity.chain_pem[:200], "der": b"\x30\x82\x01\x01abc", "good.pem": identity.chain_pem}
    for name, content in files.items():
        (tool.directory / name).write_bytes(content)
    done = tool("inspect", *files, "gone", "--json")
    assert done.status == 1 and len(json.loads(done.stdout)["files"]) == 1
    for name in ("empty", "text", "cut.pem", "der", "gone"):
        assert re.search(r"^bascule pki inspect: %s: " % re.escape(name), done.stderr, re.M), done


def test_inspect_lets_no_terminal_be_commanded(tool, ca):
    leaf = ca.leaf("a.example", subject=pki.subject(CN='x\x1b]0;owned\x07"y', O="\\"))
    (tool.directory / "c.pem").write_bytes(leaf.chain_pem)
    assert "\x1b" not in tool.good("inspect", "c.pem").text and "\x07" not in tool.good("inspect", "c.pem").text
    assert "\\1B" in json.loads(tool.good("inspect", "c.pem", "--json").stdout)["files"][0]["holds"][0]["subject"]


# --- match, verify ---


def test_match(tool, ca, identity):
    other = ca.leaf("site.test")
    (tool.directory / "k.pem").write_bytes(identity.key_pem)
    (tool.directory / "c.pem").write_bytes(identity.chain_pem)
    (tool.directory / "o.pem").write_bytes(other.chain_pem)
    (tool.directory / "back.pem").write_bytes(pki.cert_pem(identity.chain[0]) + pki.cert_pem(identity.certificate))
    tool.good("match", "k.pem", "c.pem")
    assert "2 of 2" in tool.good("match", "k.pem", "back.pem").stdout
    tool.refused("does NOT belong", "match", "k.pem", "o.pem")
    tool.refused("no private key", "match", "c.pem", "c.pem")
    tool.refused("neither a certificate nor a request", "match", "k.pem", "k.pem")


def test_match_is_not_fooled_by_a_public_part_that_lies(tool, ca, identity):
    """PKCS#8 of an EC key holds its public key; here another one's."""
    other = pki.make_key("ec")
    mine, theirs = (k.public_key().public_bytes(pki.serialization.Encoding.X962, pki.serialization.PublicFormat.UncompressedPoint) for k in (identity.key, other))
    der = other.private_bytes(pki.serialization.Encoding.DER, pki.serialization.PrivateFormat.PKCS8, pki.serialization.NoEncryption())
    (tool.directory / "c.pem").write_bytes(identity.chain_pem)
    (tool.directory / "k.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der.replace(theirs, mine)) + b"-----END PRIVATE KEY-----\n")
    tool.refused("does NOT belong|can not be read", "match", "k.pem", "c.pem")


def test_verify(tool, ca, other_ca, identity):
    (tool.directory / "full.pem").write_bytes(identity.chain_pem)
    (tool.directory / "leaf.pem").write_bytes(pki.cert_pem(identity.certificate))
    (tool.directory / "middle.pem").write_bytes(pki.cert_pem(identity.chain[0]))
    assert "CN=Test Root" in tool.good("verify", "full.pem", ca.file, "--name", "a.site.test").stdout
    tool.good("verify", "leaf.pem", ca.file, "middle.pem")
    tool.good("verify", "leaf.pem", "middle.pem")
    tool.refused("does NOT verify", "verify", "leaf.pem", ca.file)
    tool.refused("does NOT verify", "verify", "full.pem", other_ca.file)
    tool.refused("not good for other.test", "verify", "full.pem", ca.file, "--name", "other.test")
    tool.refused("not good for 10.0.0.1", "verify", "full.pem", ca.file, "--name", "10.0.0.1")
    tool.refused("is not a CA", "verify", "full.pem", "full.pem")
    (tool.directory / "old.pem").write_bytes(ca.leaf("site.test", ends=-1, begins=-9).chain_pem)
    tool.refused("expired", "verify", "old.pem", ca.file)


# --- bundle ---


def test_bundle_puts_in_order(tool, ca, identity):
    (tool.directory / "root.pem").write_bytes(ca.pem)
    (tool.directory / "middle.pem").write_bytes(b"text before\n" + pki.cert_pem(identity.chain[0]).replace(b"\n", b"\r\n") + b"\n\n\n")
    (tool.directory / "leaf.pem").write_bytes(pki.cert_pem(identity.certificate).rstrip(b"\n"))
    expected = pki.cert_pem(identity.certificate) + pki.cert_pem(identity.chain[0])
    done = tool.good("bundle", "root.pem", "middle.pem", "leaf.pem", "middle.pem")
    assert done.stdout.encode() == expected and done.stderr == ""
    tool.good("bundle", "root.pem", "middle.pem", "leaf.pem", "--with-root", "-o", "out.pem")
    assert (tool.directory / "out.pem").read_bytes() == expected + ca.pem
    tool.refused("exists", "bundle", "leaf.pem", "-o", "out.pem")
    tool.refused("root is not among", "bundle", "leaf.pem", "middle.pem", "--with-root")


def test_bundle_says_what_is_missing(tool, ca, identity):
    (tool.directory / "leaf.pem").write_bytes(pki.cert_pem(identity.certificate))
    done = tool.good("bundle", "leaf.pem", status=3)
    assert 'issuer "CN=Test Intermediate" is not among the files' in done.stderr and done.stdout.count("BEGIN") == 1
    (tool.directory / "middle.pem").write_bytes(pki.cert_pem(identity.chain[0]))
    assert "fine if that is a root" in tool.good("bundle", "leaf.pem", "middle.pem").stderr
    url = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/middle.der"))
    key = pki.make_key("ec")
    c = (x509.CertificateBuilder().subject_name(pki.subject(CN="u.example")).issuer_name(pki.subject(CN="Far CA")).public_key(key.public_key()).serial_number(7)
         .not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + pki.DAY).add_extension(x509.AuthorityInformationAccess([url]), False).sign(key, hashes.SHA256()))  # fmt: skip
    (tool.directory / "u.pem").write_bytes(pki.cert_pem(c))
    assert "http://ca.example/middle.der" in tool.good("bundle", "u.pem", status=3).stderr


def test_bundle_refuses_what_is_no_chain(tool, ca, other_ca, identity):
    (tool.directory / "full.pem").write_bytes(identity.chain_pem)
    (tool.directory / "second.pem").write_bytes(ca.leaf("b.test").chain_pem)
    (tool.directory / "stranger.pem").write_bytes(other_ca.intermediate("Stranger").pem)
    tool.refused("can not be told", "bundle", "full.pem", "second.pem")
    tool.refused("does not belong to the chain", "bundle", "full.pem", "stranger.pem")
    (tool.directory / "forged.pem").write_bytes(forged(identity, other_ca).chain_pem)
    tool.refused("is not signed by", "bundle", "forged.pem")
    (tool.directory / "old.pem").write_bytes(ca.leaf("old.test", ends=-1, begins=-3).chain_pem)
    assert "expired" in tool("bundle", "old.pem").stderr


def forged(identity, signer):
    """A leaf that says that the identity's intermediate has issued it, and bears no key identifier that would tell."""
    key = pki.make_key("ec")
    c = (x509.CertificateBuilder().subject_name(pki.subject(CN="site.test")).issuer_name(identity.chain[0].subject).public_key(key.public_key())
         .serial_number(7).not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + pki.DAY)
         .add_extension(x509.SubjectAlternativeName([x509.DNSName("site.test")]), False).sign(signer.key, hashes.SHA256()))  # fmt: skip
    return pki.Identity(c, key, identity.chain, identity.directory)


# --- PKCS#12 ---


def test_pkcs12_there_and_back(tool, ca, identity):
    (tool.directory / "a.key").write_bytes(identity.key_pem)
    (tool.directory / "a.crt").write_bytes(identity.chain_pem)
    (tool.directory / "pw").write_text("Schlüssel wort\n")
    tool.good("export", "a", "a.p12", "--password-file", "pw")
    shown = openssl(tool, "pkcs12", "-in", "a.p12", "-passin", "file:pw", "-nodes", "-info")
    assert shown.count("BEGIN CERTIFICATE") == 2 and "BEGIN PRIVATE KEY" in shown and "AES-256-CBC" in shown
    if shutil.which("certtool"):
        done = subprocess.run(["certtool", "--p12-info", "--inder", "--infile", "a.p12", "--password", "Schlüssel wort"], cwd=tool.directory, capture_output=True, text=True)
        assert done.stdout.count("BEGIN CERTIFICATE") == 2, done
    tool.good("import", "a.p12", "b", "--password-file", "pw")
    assert (tool.directory / "b.crt").read_bytes() == identity.chain_pem
    tool.good("match", "b.key", "b.crt")


def test_pkcs12_of_openssl(tool, identity):
    identity.pkcs12(tool.directory, "x")
    tool.good("import", "x.p12", "b", "--password-file", "x.pass")
    assert (tool.directory / "b.crt").read_bytes() == identity.chain_pem
    (tool.directory / "k.pem").write_bytes(identity.combined_pem)
    openssl(tool, "pkcs12", "-export", "-in", "k.pem", "-passout", "pass:", "-out", "none.p12")
    tool.good("import", "none.p12", "c")
    openssl(tool, "pkcs12", "-export", "-in", "k.pem", "-passout", "pass:x", "-nokeys", "-out", "nokey.p12")
    (tool.directory / "x").write_text("x")
    tool.refused("no private key", "import", "nokey.p12", "d", "--password-file", "x")


def test_pkcs12_refusals(tool, identity):
    identity.pkcs12(tool.directory, "x")
    (tool.directory / "wrong").write_text("wrong\n")
    (tool.directory / "none").write_text("\n")
    (tool.directory / "two").write_text("a\0b\n")
    (tool.directory / "cut.p12").write_bytes((tool.directory / "x.p12").read_bytes()[:-20])
    tool.refused("wrong password in wrong", "import", "x.p12", "b", "--password-file", "wrong")
    tool.refused("no terminal to ask", "import", "x.p12", "b")
    tool.refused("No such file", "import", "x.p12", "b", "--password-file", "gone")
    tool.refused("one line", "import", "x.p12", "b", "--password-file", "two")
    tool.refused("is not PKCS#12", "import", "cut.p12", "b", "--password-file", "x.pass")
    tool.refused("is not PKCS#12", "import", "x.pass", "b")
    (tool.directory / "a.key").write_bytes(identity.key_pem)
    (tool.directory / "a.crt").write_bytes(identity.chain_pem)
    tool.refused("password is empty", "export", "a", "a.p12", "--password-file", "none")
    tool.refused("exists", "export", "a", "x.p12", "--password-file", "wrong")
    (tool.directory / "a.key").write_bytes(pki.key_pem(pki.make_key("ec")))
    tool.refused("belongs to none", "export", "a", "a.p12", "--password-file", "wrong")


def test_a_password_is_asked_for_without_echo(tool, identity):
    identity.pkcs12(tool.directory, "x", password="hush hush")
    t = tool.terminal("import", "x.p12", "b")
    t.answer("Password: ", "hush hush")
    status, rest = t.end()
    assert status == 0 and "hush" not in rest and (tool.directory / "b.crt").exists()
    t = tool.terminal("export", "b", "c.p12")
    t.answer("Password: ", "one")
    t.answer("Once more: ", "two")
    status, rest = t.end()
    assert status == 1 and "not the same" in rest and "one" not in rest.replace("Once", "") and not (tool.directory / "c.p12").exists()


def test_the_echo_comes_back_after_an_interruption(tool, identity):
    identity.pkcs12(tool.directory, "x")
    before = tool.files()
    t = tool.terminal("import", "x.p12", "b")
    t.expect("Password: ")
    assert not termios.tcgetattr(t.fd)[3] & termios.ECHO
    t.send("\x03")
    held = os.dup(t.fd)
    status, _ = t.end()
    assert status == -2 and tool.files() == before
    os.close(held)


def test_names_that_hide_something_are_shown(tool, ca):
    """A NUL in a name ends it for careless readers, an escape sequence commands a terminal."""
    key = pki.make_key("ec")
    url = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://x/\x1b[2J"))
    names = [x509.DNSName("good.example\x00.evil.example"), x509.DNSName("a\x1b[2Jb")]
    c = (x509.CertificateBuilder().subject_name(pki.subject(CN="x")).issuer_name(pki.subject(CN="y")).public_key(key.public_key()).serial_number(7)
         .not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + pki.DAY).add_extension(x509.SubjectAlternativeName(names), False)
         .add_extension(x509.AuthorityInformationAccess([url]), False).sign(key, hashes.SHA256()))  # fmt: skip
    (tool.directory / "c.pem").write_bytes(pki.cert_pem(c))
    text = tool.good("inspect", "c.pem").stdout
    assert "good.example\\00.evil.example" in text and "\x1b" not in text
    found = json.loads(tool.good("inspect", "c.pem", "--json").stdout)["files"][0]["holds"][0]
    assert found["names"][0] == "good.example\\00.evil.example" and found["issuer_url"] == "http://x/\\1B[2J"
    assert "\x1b" not in tool("bundle", "c.pem").text


@pytest.mark.parametrize("cn", ["x\x1b[2J", "x\x00y", "Small CA"])
def test_subjects_of_requests_are_checked(tool, cn):
    """Text alone, and not the name of the CA itself."""
    tool.good("ca", "ca", "CN:Small CA")
    r = x509.CertificateSigningRequestBuilder().subject_name(pki.subject(CN=cn)).add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), False)
    (tool.directory / "r.csr").write_bytes(r.sign(pki.make_key("ec"), hashes.SHA256()).public_bytes(pki.serialization.Encoding.PEM))
    done = tool.refused("is no text|that of the CA|control", "sign", "r.csr", "ca")
    assert "\x1b" not in done.text


def test_names_of_files_command_no_terminal(tool, identity):
    (tool.directory / "a\x1b[2J.pem").write_bytes(identity.chain_pem)
    assert "a?[2J.pem" in tool.good("inspect", "a\x1b[2J.pem").stdout
    assert "b?[2J.pem" in tool("inspect", "b\x1b[2J.pem").stderr
    assert "b?[2J.pem" in tool("bundle", "b\x1b[2J.pem").stderr
