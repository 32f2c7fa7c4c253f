"""A hub on this machine's loopback: the few addresses of the hub's API that loading a dataset and a model needs.

    with small_hub(folder) as endpoint: ...      # folder/datasets/<org>/<name>/<files>, folder/models/<org>/<name>/<files>

Every repository has the one commit COMMIT.  Requests are listed in `requests` of the yielded server.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from harness.api.registry import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _handler(root):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def do_POST(self):
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self.answer(body=True, form=form)

        def answer(self, *, body, form=""):
            self.server.requests.append(f"{self.command} {self.path}")
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts[0] == "api":
                self.api(parts[1:], body=body, form=form)
            elif "resolve" in parts:
                cut = parts.index("resolve")
                repo = parts[:cut] if parts[0] == "datasets" else ["models", *parts[:cut]]
                self.file(root.joinpath(*repo), "/".join(parts[cut + 2 :]), parts[cut + 1], body=body)
            else:
                self.say(404, {"error": "not here"}, body=body)

        def api(self, parts, *, body, form):
            folder = root.joinpath(*parts[:3])
            if parts[0] not in ("datasets", "models") or not folder.is_dir():
                return self.say(404, {"error": "no repository"}, body=body, code="RepoNotFound")
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            names = {path.relative_to(folder).as_posix(): path for path in files}
            if len(parts) > 4 and parts[4] not in ("main", COMMIT):
                return self.say(404, {"error": "no revision"}, body=body, code="RevisionNotFound")
            if len(parts) > 3 and parts[3] == "tree":
                below = "/".join(parts[5:])
                inside = [name for name in names if name.startswith(f"{below}/" if below else "")]
                direct = [name for name in inside if "/" not in name.removeprefix(f"{below}/")]
                if "recursive=true" in self.path:
                    return self.say(200, [_entry(name, names[name]) for name in inside], body=body)
                folders = {name.removeprefix(f"{below}/").split("/")[0] for name in inside if name not in direct}
                listed = [
                    {"type": "directory", "path": f"{below}/{name}".lstrip("/"), "size": 0, "oid": "0"}
                    for name in sorted(folders)
                ]
                return self.say(200, [*listed, *(_entry(name, names[name]) for name in direct)], body=body)
            if len(parts) > 3 and parts[3] == "paths-info":
                wanted = json.loads(form)["paths"] if form.startswith("{") else parse_qs(form).get("paths", [])
                return self.say(200, [_entry(name, names[name]) for name in wanted if name in names], body=body)
            info = {"id": "/".join(parts[1:3]), "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0}
            return self.say(200, {**info, "siblings": [{"rfilename": name} for name in names]}, body=body)

        def file(self, folder, name, revision, *, body):
            path = folder / name
            if revision not in ("main", COMMIT):
                return self.say(404, {"error": "no revision"}, body=body, code="RevisionNotFound")
            if not path.is_file():
                return self.say(404, {"error": "no file"}, body=body, code="EntryNotFound")
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return self.wfile.write(content) if body else None

        def say(self, status, value, *, body, code=""):
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            if body:
                self.wfile.write(content)

    return Handler


def _entry(name, path):
    content = path.read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def small_hub(root):
    """Serve the folder; yields the server, whose `endpoint` is its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root))
    server.requests = []
    server.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_beside(hub, folder, script, *words, **environment):
    """What a Python script prints as JSON, run in a process whose hub is this one; its cache is folder/home."""
    hidden = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HARNESS_DATA_DIR")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    own = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "NO_PROXY": "*", **environment}
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env={**inherited, **own},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
