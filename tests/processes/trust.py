"""Certificates as people make them for etcd and ZooKeeper, with addresses in them: an authority, and folders for COORD_TLS."""

import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"


class Trust:
    """One authority."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def folder(self, path: Path, believes: "Trust | None" = None, *, name: str | None = None) -> str:
        """`name`: in its own certificate, "": nowhere; None: it has none."""
        path.mkdir(parents=True)
        (path / "ca.pem").write_bytes(_pem(believes or self))
        if name is not None:
            key = ec.generate_private_key(ec.SECP256R1())
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HERE))])
            made = self._signed(_named(name), key, x509.BasicConstraints(ca=False, path_length=None), names)
            (path / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
            kept = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            (path / "key.pem").write_bytes(key.private_bytes(*kept))
        return str(path)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def _pem(trust: Trust) -> bytes:
    return trust.certificate.public_bytes(serialization.Encoding.PEM)
