"""Verifies a JWT (stdin) with PyJWT: verify_jwt.py CERTIFICATE ALGORITHM AUDIENCE. Prints its header and claims.

Exits with 1 and PyJWT's reason where it does not hold, with 2 where a thumbprint is not the certificate's.
"""

import base64
import hashlib
import json
import pathlib
import sys

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

certificate_file, algorithm, audience = sys.argv[1:]
certificate = x509.load_pem_x509_certificate(pathlib.Path(certificate_file).read_bytes())
token = sys.stdin.read().strip()
try:
    claims = jwt.decode(
        token,
        certificate.public_key(),
        algorithms=[algorithm],
        audience=audience,
        options={"require": ["aud", "exp", "iss", "jti", "nbf", "sub"]},
    )
except jwt.InvalidTokenError as error:
    sys.exit(f"{type(error).__name__}: {error}")

der = certificate.public_bytes(Encoding.DER)
header = jwt.get_unverified_header(token)
for name, digest in [("x5t", hashlib.sha1), ("x5t#S256", hashlib.sha256)]:
    expected = base64.urlsafe_b64encode(digest(der).digest()).rstrip(b"=").decode()
    if header.get(name, expected) != expected:
        print(f"{name} is {header[name]}, not {expected}", file=sys.stderr)
        sys.exit(2)
print(json.dumps({"header": header, "claims": claims}))
