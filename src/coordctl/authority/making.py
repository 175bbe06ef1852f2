"""Certificates as values: an authority's own, and those that it signs. No file is touched."""

import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3_650
BACKDATED = datetime.timedelta(minutes=5)  # a member's clock may be behind ours
MEMBER_URI, CLIENT_URI = "urn:coordnode:member:", "urn:coordnode:client:"


class Pair(NamedTuple):
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class About(NamedTuple):
    subject: str
    uri: str
    fingerprint: str  # SHA-256, in hexadecimal
    ends_unix_s: int


def authority(cluster: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"coordnode {cluster}")])
    constraints = (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(signs_certificates=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )
    return _signed(name, name, key, key, AUTHORITY_DAYS, constraints)


def member(by: Pair, name: str, number: int, days: int) -> Pair:
    """Speaks in both directions: members answer, and ask each other."""
    return _issued(by, name, f"{MEMBER_URI}{number}", days, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def client(by: Pair, name: str, days: int) -> Pair:
    """May ask, and never be asked: it cannot stand in for a member."""
    return _issued(by, name, f"{CLIENT_URI}{name}", days, [ExtendedKeyUsageOID.CLIENT_AUTH])


def split(bundle: bytes) -> list[bytes]:
    """Each certificate for itself."""
    return [one.public_bytes(serialization.Encoding.PEM) for one in x509.load_pem_x509_certificates(bundle)]


def about(certificate: bytes) -> About:
    found = x509.load_pem_x509_certificate(certificate)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    subject = str(common[0].value) if common else ""
    return About(subject, uris[0] if uris else "", found.fingerprint(hashes.SHA256()).hex(), int(found.not_valid_after_utc.timestamp()))


def fits(pair: Pair) -> bool:
    """The key is the certificate's."""
    found = x509.load_pem_x509_certificate(pair.certificate)
    return bool(found.public_key() == serialization.load_pem_private_key(pair.key, None).public_key())


def is_issued_by(certificate: bytes, authority: bytes) -> bool:
    try:
        found, by = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
        found.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _issued(by: Pair, name: str, uri: str, days: int, uses: list[x509.ObjectIdentifier]) -> Pair:
    issuer = x509.load_pem_x509_certificate(by.certificate)
    issuer_key = serialization.load_pem_private_key(by.key, None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage(uses), False),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return _signed(subject, issuer.subject, key, issuer_key, days, extensions)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
) -> Pair:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), private)
