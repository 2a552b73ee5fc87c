"""The original's way of forwarding: one record an invocation, a connection a request, any error raises."""

import json
import os
import urllib.request


def lambda_handler(event, _context):
    record = event["Records"][0]
    payload = json.dumps(json.loads(record["body"])).encode("utf-8")
    request = urllib.request.Request(
        os.environ["ORIGINAL_TARGET"] + "/application-hook",
        data=payload,
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request) as response:
        return {"statusCode": response.status, "body": response.read().decode("utf-8")}
