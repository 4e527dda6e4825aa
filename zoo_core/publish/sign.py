"""sign(): a signature over all files of a folder, `model.sig`, by OpenSSF model signing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from zoo_core.cache import is_offline
from zoo_core.errors import PublishError, WeightsError, first_line
from zoo_core.files import text, written
from zoo_core.weights.openssf import SIGNATURE, library
from zoo_core.weights.signatures import UNSIGNED
from zoo_core.weights.trusted_keys import IS_PRIVATE, LARGEST

SIGSTORE = "sigstore"  # in the place of a key: whoever signs in there, over the network


def sign(folder: str | Path, key: str | Path) -> Path:
    """Sign all files of a folder: what `save_pretrained` wrote, a run, or a file of weights in it.

    `folder`: its path. `key`: a file in PEM with a private EC key (P-256, P-384 or P-521), and with
    its certificate and those above it, if it has any; or "sigstore", which asks in a browser who
    you are, and writes that into a public log.

    Returns the path of the signature, `model.sig`. It holds until a file changes, is removed or
    added, but for what git keeps and itself.

    Raises WeightsError where the key cannot sign, PublishError where the folder cannot be signed.

    >>> import subprocess
    >>> import zoo_core as zoo
    >>> key, model = Path(tempfile.mkdtemp(), "zoo.key"), Path(tempfile.mkdtemp())
    >>> make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    >>> _ = subprocess.run(make, check=True)
    >>> _ = zoo.create("lenet5", pretrained=False).save_pretrained(model)
    >>> zoo.sign(model, key).name
    'model.sig'
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise PublishError(f"No folder is at {folder}.", hint="A signature is of a whole folder.")
    config = signer(key)
    hashing = library().hashing.Config().set_ignored_paths(paths=UNSIGNED)
    try:
        with tempfile.TemporaryDirectory(prefix="zoo-sign-") as aside:
            draft = Path(aside) / SIGNATURE
            config.set_hashing_config(hashing).sign(folder, draft)
            with written(folder / SIGNATURE) as temporary:
                shutil.copyfile(draft, temporary)
    except OSError as error:
        raise PublishError(f"{folder} cannot be signed: {error.strerror or error}.") from error
    except Exception as error:  # whatever a library raises for a link, a pipe, a server
        raise PublishError(f"{folder} cannot be signed: {first_line(error)}.") from error
    return folder / SIGNATURE


def signer(key: str | Path) -> Any:
    """What signs with a key, which is read now. Raises WeightsError for a key that cannot sign."""
    config = library().signing.Config()
    if str(key) == SIGSTORE:
        return _by_sigstore(config)
    path = Path(key).expanduser()
    try:
        pem = text(path, LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(f"The key {path} cannot be read: {reason}.") from error
    if not IS_PRIVATE.search(pem):
        raise WeightsError(
            f"{path} holds no private key in PEM, which signs.",
            hint="Make one: openssl ecparam -name prime256v1 -genkey -noout -out zoo.key",
        )
    try:
        if "-----BEGIN CERTIFICATE-----" in pem:
            return config.use_certificate_signer(
                private_key=path, signing_certificate=path, certificate_chain=[path]
            )
        return config.use_elliptic_key_signer(private_key=path)
    except Exception as error:  # of another kind, damaged, with a password
        raise WeightsError(
            f"{path} cannot sign: {first_line(error)}.",
            hint="It takes an EC key (P-256, P-384, P-521) without a password, and before other "
            "certificates the one that is of this key.",
        ) from error


def _by_sigstore(config: Any) -> Any:
    if is_offline():
        raise WeightsError(
            "sigstore is asked over the network, and zoo is offline.",
            hint="Unset ZOO_OFFLINE and HF_HUB_OFFLINE, or sign with a key of yours.",
        )
    try:
        return config.use_sigstore_signer(use_ambient_credentials=True)
    except Exception as error:
        raise WeightsError(
            f"sigstore does not answer: {first_line(error)}.", hint="Or sign with a key of yours."
        ) from error
