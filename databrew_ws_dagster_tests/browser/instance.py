"""What a running Dagster webserver knows of a stream: its location, its last window, its failed checks.

Asked through GraphQL; showing it in a browser is `browser.screenshots`'s business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

_TIMEOUT_S = 60.0
_QUERY = """
{
  assetNodes {
    assetKey { path }
    groupName
    repository { location { name } }
    assetMaterializations(limit: 1) { partition }
    assetChecksOrError {
      ... on AssetChecks { checks { name executionForLatestMaterialization { status } } }
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream in the instance.

    Args:
        location: Name of its code location.
        group: Its asset group.
        last_window: Partition materialised last; None before the first.
        failed_checks: Names of the checks that failed for the latest materialisation of its table.
        is_at_rest: Whether no check is just being evaluated; while one is, its last result is not told.
    """

    location: str
    group: str
    last_window: str | None
    failed_checks: tuple[str, ...]
    is_at_rest: bool


def read_stream_state(url: str, stream: str) -> StreamState:
    """Ask the webserver at `url` about the table asset of `stream`.

    Raises:
        LookupError: no asset is called so; names those that exist.
        OSError: the webserver does not answer.
    """
    body = json.dumps({"query": _QUERY}).encode()
    request = Request(f"{url}/graphql", data=body, headers={"Content-Type": "application/json"})
    with urlopen(request, timeout=_TIMEOUT_S) as response:
        nodes = {"/".join(node["assetKey"]["path"]): node for node in json.load(response)["data"]["assetNodes"]}
    if stream not in nodes:
        message = f"{url} has no asset {stream!r}; it has: {', '.join(sorted(nodes)) or 'none'}"
        raise LookupError(message)
    return _state_of(nodes[stream])


def _state_of(node: dict[str, Any]) -> StreamState:
    materializations = node["assetMaterializations"]
    checks = {
        check["name"]: (check["executionForLatestMaterialization"] or {}).get("status")
        for check in node["assetChecksOrError"].get("checks", ())
    }
    return StreamState(
        location=node["repository"]["location"]["name"],
        group=node["groupName"],
        last_window=materializations[0]["partition"] if materializations else None,
        failed_checks=tuple(name for name, status in checks.items() if status == "FAILED"),
        is_at_rest="IN_PROGRESS" not in checks.values(),
    )
