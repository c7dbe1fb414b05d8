"""What the Rust core offers Python: whole plans in, facts out."""

from typing import Any, final

class PlanInvalid(ValueError):
    """The draft does not compile. `errors` holds every mistake as (path, message); a path is keys and
    positions of the draft."""

    errors: list[tuple[tuple[str | int, ...], str]]

class BindFailed(OSError):
    """A listener could not be opened. `bind` is the address as written, `listener` its name; nothing was
    changed."""

    bind: str
    listener: str

@final
class Core:
    """The engine: worker threads that serve the plan in force. Methods never wait for traffic unless they say
    so."""

    def __new__(cls, *, workers: int) -> Core: ...
    @staticmethod
    def check(draft: bytes, files: dict[str, bytes]) -> list[tuple[tuple[str | int, ...], str]]:
        """Compiles a draft with the files it names, throws both away, and returns what is useless in them,
        listed like the errors of PlanInvalid, which it raises for what is wrong."""
    @staticmethod
    def mint(
        names: list[str],
        authority: tuple[str, str] | None = None,
        kept: tuple[str, str] | None = None,
    ) -> dict[str, str]:
        """A certificate for `names` (hosts and IP addresses), of the authority with this certificate and key
        or of a new one: `authority`, `authority_key`, `certificate` and `key` in PEM. `kept`, a certificate
        and its key, is returned as it is while it is of that authority, for all of the names, and for a month
        to come. Raises ValueError for what cannot be used."""
    @staticmethod
    def explain(
        draft: bytes,
        listener: str,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        client: str,
        secure: bool = False,
    ) -> str:
        """What would become of a request under a draft, and why, as JSON. `client` is the address of the
        peer, `secure` whether it comes over TLS. Raises PlanInvalid, and ValueError for a
        listener or an address that is none."""
    def apply(self, draft: bytes, files: dict[str, bytes]) -> int:
        """Puts a draft in force on every worker, with the contents of the files it names, and returns its
        generation; raises PlanInvalid or BindFailed and changes nothing."""
    def note_renewal(self, renewed: int, refused: int, broken: list[str]) -> None:
        """Notes that so many certificates and authorities were renewed, and so many refused, because their
        files had changed, and of which files (all of them) the last good content is in force and not what is
        in them now."""
    def useless(self) -> list[tuple[tuple[str | int, ...], str]]:
        """What is useless in the plan in force, listed as `check` does."""
    def fileno(self) -> int:
        """The eventfd that becomes readable when facts wait."""
    def facts(self) -> list[dict[str, Any]]:
        """Takes all waiting facts, oldest first, and resets the eventfd."""
    def status(self) -> dict[str, Any]:
        """A snapshot of listeners, pools and backends."""
    def set_health(self, pool: str, backend: str, up: bool) -> bool:
        """Writes the outcome of an active check; False if there is no such backend (any more)."""
    def heartbeat(self) -> None:
        """Tells /readyz that Python's control loop is alive."""
    def reopen_log(self) -> None:
        """Opens the access log's file anew, after rotation."""
    def drain(self) -> None:
        """Stops accepting, closes idle connections, lets requests in flight end with `Connection: close`.
        Returns at once."""
    def clients(self) -> int:
        """Client connections open now."""
    def stop(self) -> None:
        """Ends at once: cuts what is open, joins every thread (the interpreter lock is
        released meanwhile). Idempotent."""

def versions() -> dict[str, str]:
    """Versions: pylb, rust (compiler), target, tls (library and its cryptography)."""
