"""Certificates, made anew for each run: authorities, leaves, revocation lists, PKCS#12."""

import datetime
import itertools
import os
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
WRITES = itertools.count()  # each has a temporary file of its own


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def make_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "rsa1024":
        return rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def cert_pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def write(path, data, mode=0o600):
    """Whole or not at all: through a temporary file and a rename, as good tools do. Threads may write the same at once."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".%s.%d-%d.new" % (path.name, os.getpid(), next(WRITES)))
    temporary.write_bytes(data)
    os.chmod(temporary, mode)
    os.replace(temporary, path)
    return str(path)


def write_in_place(path, data):
    """As a careless copy does: the file is truncated and filled again."""
    pathlib.Path(path).write_bytes(data)
    return str(path)


class Authority:
    """A certificate authority, a root when it has no issuer."""

    def __init__(self, name, issuer=None, directory=None):
        self.name = name
        self.issuer = issuer
        self.directory = directory or issuer.directory
        self.key = make_key("ec")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer.certificate.subject if issuer else subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - 10 * DAY)
            .not_valid_after(now() + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        self.certificate = builder.sign(issuer.key if issuer else self.key, hashes.SHA256())

    @property
    def pem(self):
        return cert_pem(self.certificate)

    @property
    def file(self):
        """The certificate in a file, for tools and configs."""
        path = pathlib.Path(self.directory) / (self.name.replace(" ", "-") + "-ca.pem")
        if not path.exists():
            write(path, self.pem, 0o644)
        return str(path)

    def chain(self):
        """The intermediates above a leaf of this authority, without the root."""
        return [self.certificate] + self.issuer.chain() if self.issuer else []

    def intermediate(self, name):
        return Authority(name, issuer=self)

    def leaf(self, *names, key="ec", subject=None, client=False, begins=-1, ends=90, serial=None):
        """An end-entity certificate for `names`. `begins` and `ends` are days from now."""
        private = key if not isinstance(key, str) else make_key(key)
        subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(private.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(now() + begins * DAY)
            .not_valid_after(now() + ends * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if not client:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
            )
        certificate = builder.sign(self.key, hashes.SHA256())
        return Identity(certificate, private, self.chain(), self.directory)

    def crl(self, *revoked, ends=30):
        """A revocation list in PEM. `ends` is its next update in days from now."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now() - 5 * DAY)
            .next_update(now() + ends * DAY)
        )
        for identity in revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(identity.certificate.serial_number)
                .revocation_date(now() - DAY)
                .build()
            )
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Identity:
    """A leaf with its key and the intermediates that belong to it."""

    def __init__(self, certificate, key, chain, directory):
        self.certificate = certificate
        self.key = key
        self.chain = chain
        self.directory = directory

    @property
    def serial(self):
        return self.certificate.serial_number

    @property
    def sha256(self):
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def chain_pem(self):
        return b"".join(cert_pem(c) for c in [self.certificate] + self.chain)

    @property
    def key_pem(self):
        return key_pem(self.key)

    @property
    def combined_pem(self):
        return self.key_pem + self.chain_pem

    @property
    def file(self):
        """Key and chain in one file, as clients take it."""
        path = pathlib.Path(self.directory) / ("client-%x.pem" % self.serial)
        if not path.exists():
            write(path, self.combined_pem)
        return str(path)

    def files(self, directory, stem="bundle"):
        """Write certificate and key; the bundle's entry in the config. The key can be read by root alone."""
        directory = pathlib.Path(directory)
        return {
            "certificate": write(directory / (stem + ".crt"), self.chain_pem, 0o644),
            "key": write(directory / (stem + ".key"), self.key_pem),
        }

    def combined(self, directory, stem="bundle"):
        return {"combined": write(pathlib.Path(directory) / (stem + ".pem"), self.combined_pem)}

    def pkcs12_bytes(self, password):
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"bundle", self.key, self.certificate, self.chain, encryption)

    def pkcs12(self, directory, stem="bundle", password="correct horse"):
        directory = pathlib.Path(directory)
        return {
            "pkcs12": write(directory / (stem + ".p12"), self.pkcs12_bytes(password)),
            "password_file": write(directory / (stem + ".pass"), password.encode() + b"\n"),
        }


def _general_name(name):
    import ipaddress

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(ca):
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def subject(**attributes):
    """A distinguished name: subject(CN="…", O="…")."""
    oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}
    return x509.Name([x509.NameAttribute(oids[k], v) for k, v in attributes.items()])
