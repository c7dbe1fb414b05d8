"""Does a proxy answer, and rightly? One question per kind of backend; OSError where nobody is."""

import http.client
import socket
import ssl

from bench.place import PORT, TLS_PORT

_PATIENCE = 2.0
_PATTERN = b"0123456789abcdef"
# Enough that a proxy which moves long streams by other means than short ones has begun to.
_STREAM = 4 << 20


def http_get(path: str) -> tuple[int, bytes]:
    """Status and body of an answer in clear."""
    return _get(http.client.HTTPConnection("127.0.0.1", PORT, timeout=_PATIENCE), path)


def https_get(path: str) -> tuple[int, bytes]:
    """The same over TLS 1.3."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return _get(http.client.HTTPSConnection("127.0.0.1", TLS_PORT, timeout=_PATIENCE, context=context), path)


def http_answers() -> bool:
    """The origin's answer comes through."""
    return http_get("/64") == (200, _PATTERN * 4)


def https_answers() -> bool:
    """It does so in clear and over TLS."""
    return http_answers() and https_get("/64") == (200, _PATTERN * 4)


def tcp_echoes() -> bool:
    """What goes in comes out."""
    with socket.create_connection(("127.0.0.1", PORT), _PATIENCE) as client:
        client.sendall(_PATTERN)
        return _exactly(client, len(_PATTERN)) == _PATTERN


def tcp_streams() -> bool:
    """The bytes of a stream come in their order."""
    with socket.create_connection(("127.0.0.1", PORT), _PATIENCE) as client:
        return _exactly(client, _STREAM) == _PATTERN * (_STREAM // len(_PATTERN))


def udp_echoes() -> bool:
    """A datagram comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", PORT))
        client.send(_PATTERN)
        return client.recv(64) == _PATTERN


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _exactly(client: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count and (more := client.recv(count - len(received))):
        received += more
    return bytes(received)
