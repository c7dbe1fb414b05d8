"""Writes the fuzz corpus from the cases of tests/wire: every case is one seed of each target that reads its bytes.

Run it in this folder before `cargo +nightly fuzz run TARGET`; the corpus itself is not kept in the tree, since it would
only repeat the tables.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = HERE.parent.parent / "tests" / "wire"


def octets(pieces: Any) -> bytes:
    """Bytes of a piece or a list of pieces (see tests/wire/README.md)."""
    if isinstance(pieces, str):
        return pieces.encode("latin-1")
    if isinstance(pieces, dict) and "of" in pieces:
        content = octets(pieces["of"])
        return len(content).to_bytes(int(pieces["length"])) + content
    if isinstance(pieces, dict):
        return octets(pieces["repeat"]) * int(pieces["times"])
    return b"".join(octets(piece) for piece in pieces)


def seeds(kind: str, case: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The targets that one case feeds, each with its bytes."""
    if kind == "responses":
        origin = octets(case["origin"])
        return [("response", origin), ("chunked", b"\x07" + origin.partition(b"\r\n\r\n")[2])]
    send = octets(case["send"])
    if kind in ("hellos", "proxies"):
        return [("client_hello" if kind == "hellos" else "proxy_protocol", send)]
    words = send.split(b"\r\n", 1)[0].split(b" ")
    target = [("target", words[1])] if len(words) > 1 else []
    edits = ("edits", send + b"\0/a\0/b\0x-a\0inside.example:81")
    return [("head", send), edits, ("chunked", b"\x07" + send.partition(b"\r\n\r\n")[2]), *target]


def main() -> None:
    """Writes all seeds, each under the hash of its bytes."""
    for path in sorted(CASES.glob("*.json")):
        table = json.loads(path.read_text())
        for case in table["cases"]:
            for target, data in seeds(table["kind"], case):
                folder = HERE / "corpus" / target
                folder.mkdir(parents=True, exist_ok=True)
                (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
