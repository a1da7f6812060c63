"""Service accounts, their keys, and the tokens that name them.

https://developers.google.com/identity/protocols/oauth2/service-account (exchange, and self-signed tokens in its place)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

TOKEN_URI = "https://oauth2.googleapis.com/token"
#: The addresses that may stand in the audience of an assertion; TensorFlow signs for the last.
_TOKEN_AUDIENCES = [
    TOKEN_URI,
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
]
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: How long a token holds, in seconds.
LIFETIME = 3600


class UnauthenticatedError(Exception):
    """A missing, wrong or expired credential."""


@dataclass(frozen=True)
class _Token:
    principal: str
    expires: float


class Identity:
    """Who is who. Thread-safe."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._lock = Lock()
        self._public_keys: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, _Token] = {}

    def add(self, name: str) -> dict[str, str]:
        """A new service account ``name`` of the project, and the content of its key file."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        email, key_id = f"{name}@{self._project}.iam.gserviceaccount.com", secrets.token_hex(20)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with self._lock:
            self._public_keys.setdefault(email, {})[key_id] = public.decode()
        return {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": key_id,
            "private_key": private.decode(),
            "client_email": email,
            "client_id": str(secrets.randbelow(10**21)),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": TOKEN_URI,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email}",
            "universe_domain": "googleapis.com",
        }

    def issue(self, principal: str, *, seconds: float = LIFETIME) -> str:
        """A bearer token of ``principal`` that holds for ``seconds``."""
        token = f"ya29.c.{secrets.token_urlsafe(48)}"
        with self._lock:
            self._tokens[token] = _Token(principal, time.time() + seconds)
        return token

    def revoke_all(self) -> None:
        """No token that was issued so far is valid any more."""
        with self._lock:
            self._tokens.clear()

    def exchange(self, form: Mapping[str, str]) -> dict[str, object]:
        """The answer of the token endpoint to a posted form. Raises UnauthenticatedError."""
        if form.get("grant_type") != _GRANT:
            raise UnauthenticatedError("Invalid grant_type: only signed assertions are accepted here.")
        principal = self._signer(form.get("assertion", ""), _TOKEN_AUDIENCES)
        return {"access_token": self.issue(principal), "expires_in": LIFETIME, "token_type": "Bearer"}

    def principal(self, authorization: str) -> str:
        """Whom a header ``Authorization`` names. Raises UnauthenticatedError."""
        kind, _, credential = authorization.partition(" ")
        if kind.lower() != "bearer" or not credential:
            raise UnauthenticatedError("Request is missing required authentication credential.")
        if credential.count(".") == 2 and credential.startswith("eyJ"):
            return self._signer(credential, None)
        with self._lock:
            token = self._tokens.get(credential)
        if token is None or token.expires <= time.time():
            raise UnauthenticatedError("Request had invalid authentication credentials.")
        return token.principal

    def _signer(self, assertion: str, audiences: list[str] | None) -> str:
        """The account whose key signed ``assertion``; ``audiences`` None: it is for any of Google's services."""
        try:
            claims = jwt.decode(assertion, verify=False)  # type: ignore[no-untyped-call]
            with self._lock:
                keys = dict(self._public_keys.get(str(claims.get("iss")), {}))
            if not keys:
                raise UnauthenticatedError("Invalid grant: account not found")
            claims = jwt.decode(assertion, certs=keys, audience=audiences)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise UnauthenticatedError(f"Invalid JWT: {error}") from error
        audience = str(claims.get("aud", ""))
        if audiences is None and "scope" not in claims and not audience.endswith(".googleapis.com/"):
            raise UnauthenticatedError(f"Invalid JWT: its audience is {audience!r}")
        return str(claims["iss"])
