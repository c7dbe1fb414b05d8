"""The certificate that every proxy shows: ECDSA P-256, signed by itself, made for each start by openssl."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = "bench.example"


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files: the certificate, its key, and both in one, which is how HAProxy wants them."""

    cert: Path
    key: Path
    both: Path


def make(folder: Path) -> Certificate:
    """Makes one for NAME and 127.0.0.1 in that folder."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise RuntimeError("certificates need openssl: apt-get install openssl")
    made = Certificate(folder / "cert.pem", folder / "key.pem", folder / "both.pem")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "30", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-out", str(made.cert), "-keyout", str(made.key)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"openssl made no certificate: {ran.stderr.strip()}")
    made.both.write_text(made.cert.read_text() + made.key.read_text())
    return made
