"""One PUT to the agent's endpoint, as the peers make it."""

import json
import os
import urllib.request

PATH = "/task-protection/v1/state"
TIMEOUT_S = 5.0


def put(**body: bool | int) -> None:
    """Ask ECS, and raise if it did not say yes.

    Raises:
        OSError: It said no, or nothing.
    """
    headers, text = {"Content-Type": "application/json"}, json.dumps(body).encode()
    request = urllib.request.Request(os.environ["ECS_AGENT_URI"] + PATH, data=text, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        response.read()
