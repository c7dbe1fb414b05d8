"""TLS on both sides: what listeners show their clients, and what pools ask of their backends.

Files are only named here; tls_files.py reads them, and the core says whether what they hold is of use.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from pylb.config import protocols
from pylb.config.scalar import Switch
from pylb.config.section import Section, gather, point
from pylb.config.text import FilePath, ServerName, Token
from pylb.config.wording import Kind

INTERNAL = "internal"
"""Stands for certificates that pylb makes itself."""

_WITHIN = "write certificates: [{cert: certs/shop.pem, key: certs/shop.key}]"
_OF_BACKENDS = "only backends are verified by it; for certificates of clients write client_auth"
_OF_CLIENTS = "only listeners have it; for backends write ca, server_name, cert and key"


class ClientHeaders(Section):
    """Header fields that tell backends about a client's certificate. Clients cannot send them themselves."""

    subject: Token | None = Field(default=None, examples=["x-client-subject"])
    """Its subject (RFC 4514), such as `CN=alice,O=Example`."""
    san: Token | None = Field(default=None, examples=["x-client-san"])
    """Its alternative names, such as `DNS:alice.example, URI:spiffe://example/alice`."""


class ClientAuth(Section):
    """Certificates of clients."""

    mode: Literal["none", "optional", "require"] = "require"
    """`none`: nobody is asked for one. `optional`: who has none is served, too. Otherwise, one that does
    not hold is refused."""
    ca: FilePath | None = Field(default=None, examples=["certs/clients.pem"])
    """Whose certificates hold: one or more authorities, in PEM. Required, unless nobody is asked."""
    headers: ClientHeaders = ClientHeaders()


class Certificate(Section):
    """A certificate and its key. It is shown to clients that ask for one of its names."""

    cert: FilePath = Field(examples=["certs/shop.pem"])
    """The certificate in PEM, and after it those that lead to its authority."""
    key: FilePath = Field(examples=["certs/shop.key"])
    """Its private key in PEM, without a password. May be the same file."""
    client_auth: ClientAuth | None = None
    """For its names, in place of the listener's."""


Certificates = Annotated[
    Annotated[Literal["internal"], Tag("internal")] | Annotated[tuple[Certificate, ...], Tag("files")],
    Discriminator(lambda value: "internal" if isinstance(value, str) else "files"),
    BeforeValidator(protocols.certificates),
    Kind("list of keys, or `internal`", "[{cert: certs/shop.pem, key: certs/shop.key}]"),
]


class ListenerTls(Section):
    """Clients are served over TLS. Changed files are picked up by themselves."""

    elsewhere = gather(
        point("cert", "key", to=_WITHIN),
        point("ca", "verify", "server_name", to=_OF_BACKENDS),
    )
    instead = gather(cert="certificates", key="certificates")
    certificates: Certificates
    """Chosen by the name that the client asks for (exact, then `*.`); the first is for all others.
    `internal`: made by pylb, for development; its authority is `internal/authority.pem` in `state_dir`."""
    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(protocols.tls_version)] = "1.2"
    """The oldest version of TLS that is spoken."""
    client_auth: ClientAuth | None = None
    """Left out: clients are not asked for certificates."""


class BackendTls(Section):
    """Backends are reached over TLS, and only if their certificates hold. Short form: `true`."""

    elsewhere = point("certificates", "client_auth", "min_version", to=_OF_CLIENTS)
    ca: FilePath | None = Field(default=None, examples=["certs/internal.pem"])
    """Whose certificates are good, in PEM. Left out: those that the system trusts."""
    server_name: ServerName | None = Field(default=None, examples=["web.internal"])
    """The name that certificates must have, and that is asked for (SNI). Left out: the host of each
    address."""
    cert: FilePath | None = Field(default=None, examples=["certs/client.pem"])
    """A certificate to show backends that ask for one; needs `key`."""
    key: FilePath | None = Field(default=None, examples=["certs/client.key"])
    """Its private key."""
    verify: Switch = True
    """`false` takes any certificate: encrypted, but perhaps to somebody else. Not for production."""


TlsToBackends = Annotated[BackendTls, BeforeValidator(protocols.backend_tls)]
