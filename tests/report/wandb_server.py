"""A local server that answers the few questions that saving a W&B dashboard asks of one."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

USER = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "name": "me"}


class Server(ThreadingHTTPServer):
    """Notes what is saved.

    Attributes:
        views: Variables of each saved workspace and report.
    """

    daemon_threads = True
    views: list[dict]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path != "/graphql":  # W&B's own telemetry
            self.send_error(404)
            return
        answer = json.dumps({"data": self._answer(asked["query"], asked.get("variables"))}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, query: str, given: dict) -> dict:
        if "upsertView" in query:
            self.server.views.append(given)
            project = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
            view = {name: given[name] for name in ("name", "displayName", "description", "spec")}
            view |= {"id": "Vmlldzo3", "type": given["type"], "project": project}
            return {"upsertView": {"view": view | {"updatedAt": "2026-01-01"}, "inserted": True}}
        if "query ProjectInternalId" in query:
            return {"project": {"id": "p", "internalId": "UHJvamVjdDox"}}
        if "query GetProjects" in query:
            return {"models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}}
        if "mutation CreateProject" in query:
            made = {"id": "p", "name": "p", "entityName": "me", "description": ""}
            made |= {"access": "", "views": ""}
            return {"result": {"project": made, "model": made, "inserted": True}}
        return {"viewer": USER | {"teams": {"edges": []}}}

    def log_message(self, format, *args):
        pass


@pytest.fixture
def wandb_server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), _Handler) as server:
        server.views = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
