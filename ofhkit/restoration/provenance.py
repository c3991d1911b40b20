"""Content credentials (C2PA): a restored picture says, signed, what it was made from and that a part is invented.

The certificates are made once on the user's machine and name no person. No list of trusted signers holds them: programs
show such credentials as valid, by an unknown signer.
"""

from __future__ import annotations

import datetime
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofhkit.errors import Note, OfhkitError
from ofhkit.runtime.files import atomic_write, cache_dir, open_regular
from ofhkit.runtime.version import __version__

__all__ = ["LOST", "carries_credentials", "certificate", "sign"]

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
LOST = Note(
    "the content credentials of the photograph are not in the result; keep the photograph, or --credentials", "warning"
)
FORMATS = {".jfif": "image/jpeg", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
           ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff", ".avif": "image/avif"}  # fmt: skip
_MARKS = (b"jumb", b"c2pa")  # of the box that holds them, in every format
_SEARCHED = 2**24  # bytes of a file
_DAYS = 3650


def carries_credentials(path: Path | None) -> bool:
    """Whether a picture file holds content credentials, valid or not."""
    if path is None:
        return False
    try:
        with open_regular(path) as file:
            start = file.read(_SEARCHED)
    except (OfhkitError, OSError):
        return False
    return all(mark in start for mark in _MARKS)


def certificate(folder: Path | None = None) -> tuple[bytes, bytes]:
    """The signing chain (PEM, signer first) and its private key, made where there are none yet.

    Raises:
        OfhkitError: the extra is not installed, or the folder cannot be written.
    """
    _need()
    folder = folder or cache_dir() / "provenance"
    chain, key = folder / "chain.pem", folder / "key.pem"
    if not (chain.is_file() and key.is_file()):
        made = _make_chain()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, content in zip((key, chain), made):
                os.chmod(atomic_write(path, content), 0o600)
        except OSError as error:
            raise OfhkitError(f"{folder} cannot be written ({error.strerror or error}); set OFHKIT_CACHE") from None
    return chain.read_bytes(), key.read_bytes()


def _need() -> Any:
    try:
        import c2pa
    except ImportError:
        raise OfhkitError("content credentials need c2pa-python: pip install 'ofhkit[provenance]'") from None
    return c2pa


def _make_chain() -> tuple[bytes, bytes]:
    """A key, and the certificates of the signer and of the authority that signed it, whose key is then forgotten."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(what: str) -> x509.Name:
        named = ((NameOID.ORGANIZATION_NAME, "ofhkit"), (NameOID.COMMON_NAME, what))
        return x509.Name([x509.NameAttribute(key, value) for key, value in named])

    authority, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.datetime.now(datetime.timezone.utc)
    chain = []
    for key, what, is_authority in ((signer, "ofhkit on this machine", False), (authority, "ofhkit, local", True)):
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                               "encipher_only", "decipher_only"), False)  # fmt: skip
        usage |= {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(what))
            .issuer_name(name("ofhkit, local"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), True)
            .add_extension(x509.KeyUsage(**usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
        )
        if not is_authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        chain.append(builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = signer.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, b"".join(chain)


def sign(
    content: bytes, suffix: str, source: Path | None, info: Mapping[str, Any], folder: Path | None = None
) -> bytes:
    """Put credentials into a finished PNG or JPEG: from which photograph, by which program and model, what was done.

    Args:
        source: the photograph's file; its own credentials, if it has any, go along as its history.
        info: of the model.
        folder: where the certificates lie.

    Raises:
        OfhkitError: the extra is not installed, or the credentials cannot be made.
    """
    c2pa = _need()
    chain, key = certificate(folder)
    action = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE,
        "softwareAgent": {"name": f"ofhkit, model {info.get('name', 'unknown')}", "version": __version__},
        "description": "The content of the hole was invented by a network; it is no record of a person.",
    }
    manifest = {
        "claim_generator_info": [{"name": "ofhkit", "version": __version__}],
        "title": f"restored{suffix}",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    out = io.BytesIO()
    try:
        builder = c2pa.Builder(json.dumps(manifest))
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        kind = FORMATS.get(source.suffix.lower()) if source is not None else None
        if kind is not None:
            parent = json.dumps({"title": "the photograph", "relationship": "parentOf"})
            with open_regular(source) as file:
                builder.add_ingredient(parent, kind, io.BytesIO(file.read()))
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
        builder.sign(signer, FORMATS[suffix], io.BytesIO(content), out)
    except (c2pa.C2paError, OSError) as error:
        raise OfhkitError(f"content credentials cannot be written ({str(error).splitlines()[0]})") from None
    return out.getvalue()
