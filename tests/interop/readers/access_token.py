"""Asks the simulator's Entra for an access token, with an assertion that PyJWT signs."""

import base64
import datetime
import hashlib
import json
import ssl
import urllib.parse
import urllib.request
import uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def access_token(details: dict, certificate_pem: str, key_pem: str) -> str:
    """`details` is what the simulator says of itself."""
    der = x509.load_pem_x509_certificate(certificate_pem.encode()).public_bytes(Encoding.DER)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    url = f"https://{details['loginAuthority']}/{details['tenant']}/oauth2/v2.0/token"
    now = datetime.datetime.now(datetime.timezone.utc)
    claims = {
        "aud": url,
        "iss": details["clientId"],
        "sub": details["clientId"],
        "jti": str(uuid.uuid4()),
        "nbf": now - datetime.timedelta(minutes=1),
        "exp": now + datetime.timedelta(minutes=5),
    }
    form = {
        "grant_type": "client_credentials",
        "client_id": details["clientId"],
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims, key_pem, "PS256", headers={"x5t#S256": thumbprint}),
        "scope": details["resourceApi"] + "/.default",
    }
    context = ssl.create_default_context(cafile=details["caFile"])
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, body, context=context) as answer:
        return json.load(answer)["access_token"]
