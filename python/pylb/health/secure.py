"""TLS of health checks: the same demands on a backend's certificate as requests make, and the same words for
why it failed them.

Checks speak TLS by Python's `ssl`, traffic by the core. They must not differ in what they believe: the
authorities are the same bytes, names are looked for among the alternative names only, and a certificate that
is itself among the authorities is believed. Files are never read here: what is checked with is what is in
force.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import trio

from pylb.config.tls import BackendTls
from pylb.config.tls_files import SYSTEM

_EXPIRED, _EARLY, _PURPOSE = 10, 9, 26
_UNKNOWN = (2, 18, 19, 20, 21)
_MISNAMED = (62, 64)
"""Numbers of OpenSSL (X509_V_ERR_*)."""

_ALERTS = {
    "CERTIFICATE_REQUIRED": "the other side requires a certificate",
    "BAD_CERTIFICATE": "the other side refuses the certificate",
    "CERTIFICATE_UNKNOWN": "the other side refuses the certificate",
    "UNKNOWN_CA": "the other side does not know the authority of the certificate",
    "PROTOCOL_VERSION": "no version of TLS in common",
    "HANDSHAKE_FAILURE": "the other side finds nothing in common",
    "UNRECOGNIZED_NAME": "the other side does not know the name",
}

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE")


@dataclass(frozen=True, slots=True)
class Secure:
    """Whom a backend's certificate has to be for, who is believed (None: anybody) and what is shown to it
    (certificate and key, in PEM)."""

    server_name: str
    authorities: bytes | None = field(repr=False)
    shown: tuple[bytes, bytes] | None = field(repr=False)


def secure(tls: BackendTls, server_name: str, files: Mapping[str, bytes]) -> Secure:
    """As a pool's settings say. `files` are those in force."""
    shown = None
    if tls.cert is not None and tls.key is not None:
        shown = (files[tls.cert], files[tls.key])
    return Secure(server_name, files[tls.ca or SYSTEM] if tls.verify else None, shown)


async def secured(stream: trio.SocketStream, wanted: Secure) -> "trio.SSLStream[trio.SocketStream]":
    """The same connection after a handshake. Raises ssl.SSLError, or trio.BrokenResourceError with it as its
    cause."""
    context = await trio.to_thread.run_sync(_context, wanted.authorities, wanted.shown)
    secured = trio.SSLStream(stream, context, server_hostname=wanted.server_name, https_compatible=True)
    await secured.do_handshake()
    return secured


def reason(error: ssl.SSLError, wanted: Secure) -> str:
    """Why TLS failed, in the words that the core has for it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verdict(error, wanted)
    said = error.reason or str(error)
    for alert, words in _ALERTS.items():
        if said.endswith(f"ALERT_{alert}"):
            return words
    if said in _NO_TLS:
        return "not TLS"
    return f"TLS failed: {said.replace('_', ' ').lower()}"


def _verdict(error: ssl.SSLCertVerificationError, wanted: Secure) -> str:
    number = error.verify_code
    if number == _EXPIRED:
        return "certificate expired"
    if number == _EARLY:
        return "certificate is not valid yet"
    if number == _PURPOSE:
        return "certificate is not for servers"
    if number in _UNKNOWN:
        return "certificate is of an unknown authority"
    if number in _MISNAMED:
        return f"certificate is for another name, not {wanted.server_name}"
    return f"certificate is refused: {error.verify_message}"


@lru_cache(maxsize=64)
def _context(authorities: bytes | None, shown: tuple[bytes, bytes] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if authorities is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=_certificates(authorities))
    if shown is not None:
        _show(context, shown)
    return context


def _certificates(pem: bytes) -> str:
    """What of a file is a certificate: OpenSSL stops at the first line that it does not understand."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    parts = [part.partition(end)[0] for part in pem.split(begin)[1:]]
    return b"\n".join(begin + part + end for part in parts).decode("ascii", "replace")


def _show(context: ssl.SSLContext, pair: tuple[bytes, bytes]) -> None:
    """OpenSSL takes a certificate from files only; these are of this process alone, and in memory."""
    descriptors = [os.memfd_create("pylb-check") for _ in pair]
    try:
        for descriptor, raw in zip(descriptors, pair, strict=True):
            os.write(descriptor, raw)
        context.load_cert_chain(*(f"/proc/self/fd/{descriptor}" for descriptor in descriptors))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
