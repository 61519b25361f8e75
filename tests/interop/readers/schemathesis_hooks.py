"""What schemathesis can't know: who calls, and what is sold to whom."""

import json
import os
import pathlib
import sys
import uuid

import schemathesis

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from access_token import access_token

DETAILS = json.loads(os.environ["CIS_DETAILS"])
CERTIFICATE = pathlib.Path(os.environ["CIS_CERTIFICATE"]).read_text()
KEY = pathlib.Path(os.environ["CIS_KEY"]).read_text()
FOLLOWED = pathlib.Path(os.environ["CIS_FOLLOWED"])
continuations = set()
bought = set()


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
        # One that is made up leads nowhere.
        if case.query.get("continuation") not in continuations:
            case.query.pop("continuation", None)
    if isinstance(case.body, dict) and "offerId" in case.body:
        case.body.update(channelId=DETAILS["channelId"], offerId="EP2-06798", country="DE")
        if case.meta.phase.name == "stateful":
            # Nobody else's, so that only a link leads to it.
            case.body["clientTransactionId"] = str(uuid.uuid4())
    return case


@schemathesis.hook
def after_call(context, case, response):
    """Remembers what links lead to, and writes down what was done by way of one."""
    if response.status_code not in (200, 201):
        return
    operation = case.operation.definition.raw["operationId"]
    query = case.query or {}
    if operation == "listOffers":
        continuations.add(response.json().get("continuation"))
    if case.meta.phase.name != "stateful":
        return
    if operation == "purchase":
        bought.add(response.json()["clientTransactionId"])
    if operation == "findToken" and query["clientTransactionId"] not in bought:
        return
    with FOLLOWED.open("a") as file:
        print(operation + (" continued" if "continuation" in query else ""), file=file)
