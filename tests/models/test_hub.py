"""What a plan knows of a checkpoint that only the hub has, from a server that answers like it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub import constants

from src.errors import InputError
from src.models.empty import Weights, find_weights
from src.models.hub import hub_bytes
from src.models.subject import Source

FILES = {
    "model-00001-of-00002.safetensors": 500,
    "model-00002-of-00002.safetensors": 11,
    "model.safetensors.index.json": 7,
    "consolidated.safetensors": 511,
    "adapter_model.safetensors": 3,
    "onnx/model.safetensors": 900,
    "pytorch_model.bin": 999,
    "small.Q4_K.gguf": 77,
}


@pytest.fixture
def hub(monkeypatch):
    """Start a hub of one repository; gives the paths that it was asked for."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            known = self.path.startswith("/api/models/some/model/revision/")
            siblings = [{"rfilename": name, "size": size} for name, size in FILES.items()]
            body = json.dumps({"id": "some/model", "siblings": siblings} if known else {})
            if "html" in self.path:
                known, body = True, "<html>log in to this network first</html>"
            self.send_response(200 if known else 404)
            self.send_header("X-Error-Code", "" if known else "RepoNotFound")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


def source(name="some/model", **changes):
    return Source(name, "main", "c" * 40, None, **changes)


def test_only_what_transformers_loads_counts(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert find_weights(source()) == Weights(511, here=False)
    assert find_weights(source(gguf="small.Q4_K.gguf")) == Weights(77, here=False)
    of_models = [path for path in hub if path.startswith("/api/models/")]
    assert len(of_models) == 2
    assert all(f"/some/model/revision/{'c' * 40}?" in path for path in of_models)
    monkeypatch.delitem(FILES, "model-00002-of-00002.safetensors")
    monkeypatch.delitem(FILES, "model-00001-of-00002.safetensors")
    assert hub_bytes("some/model", "main") == 999
    monkeypatch.setitem(FILES, "pytorch_model.bin", None)
    assert hub_bytes("some/model", "main") is None
    monkeypatch.delitem(FILES, "pytorch_model.bin")
    assert hub_bytes("some/model", "main") is None


def test_a_plan_goes_on_where_the_hub_has_no_answer(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name, said in {"some/other": "404", "some/html": "Expecting value"}.items():
        with pytest.raises(InputError, match=said):
            hub_bytes(name, "main")
        assert find_weights(source(name)) == Weights(None, here=False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="refused"):
        hub_bytes("some/model", "main")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="offline mode"):
        hub_bytes("some/model", "main")


def test_a_mistake_in_the_program_is_no_missing_answer(monkeypatch, tmp_path):
    def broken(*_, **__):
        raise TypeError("not of the network")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", broken)
    with pytest.raises(TypeError):
        find_weights(source())
