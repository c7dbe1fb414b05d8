"""A certificate authority whose certificates are as right or as wrong as a test wants them.

`Authority(folder)` makes a key and a root of its own; `issue` writes a certificate and its key to files, as
users have them, and `server` and `client` make the other end of a conversation with pylb out of those.
Everything is ECDSA P-256, which takes a fraction of a millisecond to make.
"""

import datetime
import ipaddress
import itertools
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
ALPN = ["http/1.1"]


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    cert: Path
    key: Path
    serial: int

    @property
    def files(self) -> dict[str, str]:
        """As a configuration names them."""
        return {"cert": str(self.cert), "key": str(self.key)}

    def replace(self, other: "Pair") -> None:
        """Puts the other pair into these files, one after the other, as tools that renew certificates do."""
        for mine, its in ((self.key, other.key), (self.cert, other.cert)):
            new = mine.with_suffix(".new")
            new.write_bytes(its.read_bytes())
            new.replace(mine)


class Authority:
    """One that signs what it is asked to."""

    def __init__(self, folder: Path, name: str = "authority") -> None:

        self.folder = folder
        self.name = name
        self._numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root = self._sign(self._key, name, (), begins=-DAY, ends=3650 * DAY, usage=None)
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(_pem(self._root))

    def issue(
        self,
        *names: str,
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = 90 * DAY,
        usage: str = "server",
        subject: str = "",
        signed_by: "Authority | None" = None,
        spoiled: bool = False,
    ) -> Pair:
        """A certificate for these names (addresses too), which are all in its subjectAltName.

        Validity is from `begins` to `ends` from now. `usage` is what the extended key usage allows. A
        `subject` is a common name of its own. `signed_by` has another authority sign it, `spoiled` makes
        the signature wrong.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = signed_by or self
        made = issuer._sign(key, subject or (*names, "nobody")[0], names, begins, ends, usage)
        return self._write(_spoiled(made) if spoiled else _pem(made), key, made.serial_number)

    def self_signed(self, *names: str) -> Pair:
        """A certificate that vouches for itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(key, names[0], names, -DAY, 90 * DAY, "server", own_key=key)
        return self._write(_pem(made), key, made.serial_number)

    def server(self, pair: Pair, *, clients: Path | None = None) -> ssl.SSLContext:
        """What a backend listens with; `clients` is the authority whose certificates clients must show."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        context.set_alpn_protocols(ALPN)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, pair: Pair | None = None, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a client of pylb connects with, that trusts this authority; `pair` is its own certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def _write(self, pem: bytes, key: ec.EllipticCurvePrivateKey, serial: int) -> Pair:
        stem = f"{self.name}-{next(self._numbers)}"
        pair = Pair(self.folder / f"{stem}.pem", self.folder / f"{stem}.key", serial)
        pair.cert.write_bytes(pem)
        pair.key.write_bytes(_key_pem(key))
        return pair

    def _sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: str,
        names: tuple[str, ...],
        begins: datetime.timedelta,
        ends: datetime.timedelta,
        usage: str | None,
        own_key: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        """A certificate for a key; without a `usage` it is that of an authority."""
        now = datetime.datetime.now(datetime.UTC)
        issuer = subject if own_key or usage is None else self.name
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
        )
        if names:
            listed = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(listed, critical=False)
        if usage is not None:
            kinds = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
            builder = builder.add_extension(x509.ExtendedKeyUsage([kinds[usage]]), critical=False)
        return builder.sign(own_key or self._key, hashes.SHA256())


def _named(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests of pylb")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _spoiled(certificate: x509.Certificate) -> bytes:
    """The same certificate with another last bit: the end of its signature."""
    der = certificate.public_bytes(Encoding.DER)
    return ssl.DER_cert_to_PEM_cert(der[:-1] + bytes([der[-1] ^ 1])).encode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
