"""Verifies a webhook (stdin: JSON with secret, publicKey, headers, body) with the library `standardwebhooks`, and its Ed25519
signature with `cryptography`. Prints the type of the event. Exits with 1 and the reason where a signature does not hold.
"""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

sent = json.load(sys.stdin)
headers, body = sent["headers"], sent["body"]
try:
    event = Webhook(sent["secret"]).verify(body.encode(), headers)
except WebhookVerificationError as error:
    sys.exit(f"v1: {error}")
signatures = [part[4:] for part in headers["webhook-signature"].split() if part.startswith("v1a,")]
key = Ed25519PublicKey.from_public_bytes(base64.b64decode(sent["publicKey"].removeprefix("whpk_")))
message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
try:
    key.verify(base64.b64decode(signatures[0]), message)
except InvalidSignature:
    sys.exit("v1a: the signature does not hold")
print(event["type"])
