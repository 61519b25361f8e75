"""What schemathesis can't know: who calls, and what is sold to whom."""

import json
import os
import pathlib
import sys

import schemathesis

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from access_token import access_token

DETAILS = json.loads(os.environ["CIS_DETAILS"])
CERTIFICATE = pathlib.Path(os.environ["CIS_CERTIFICATE"]).read_text()
KEY = pathlib.Path(os.environ["CIS_KEY"]).read_text()


@schemathesis.auth()
class Bearer:
    def get(self, case, context):
        return access_token(DETAILS, CERTIFICATE, KEY)

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def map_case(context, case):
    """A request that is right by the document is made one that the simulator can serve: our channel, a known offer."""
    if not case.meta.generation.mode.is_positive:
        return case
    if "channelId" in (case.query or {}):
        case.query.update(channelId=DETAILS["channelId"], country="DE", language="de-DE")
        case.query.pop("continuation", None)
    if isinstance(case.body, dict) and "offerId" in case.body:
        case.body.update(channelId=DETAILS["channelId"], offerId="EP2-06798", country="DE")
    return case
