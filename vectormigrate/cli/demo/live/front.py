"""A small Qdrant server for the demo: the part of the REST interface that migrations and the vendor's client use, in
front of the real engine, which by itself would keep its folder to one process.

`python -m vectormigrate.cli.demo.live.front FOLDER` prints its URL (loopback, a free port) as its first line and serves
until its standard input ends. Collections in the folder are there again after a restart, also after a kill. It is
strict: operations, conditions and settings that it does not know are refused.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vectormigrate.adapter import child_process
from vectormigrate.adapters.qdrant.edge.catalogue import encode_name, write_atomically
from vectormigrate.cli.demo.live.engine import Json
from vectormigrate.cli.demo.live.front_points import Points
from vectormigrate.cli.demo.live.refusals import Refused, bad_input, missing
from vectormigrate.figures import size

VERSION = "1.19.0"
MAX_BODY = 32 * 2**20
DEFAULTS: Json = {
    "params": {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True},
    "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "on_disk": False},
    "optimizer_config": {
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "indexing_threshold": 10_000,
        "flush_interval_sec": 5,
    },
    "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
    "quantization_config": None,
    "metadata": {},
}
GROUPS = {"hnsw_config": "hnsw_config", "optimizers_config": "optimizer_config", "wal_config": "wal_config"}
"""Groups of settings in a request, and in the description of the collection."""

Call = Callable[[Request, Json], Any]


class Collection:
    """`config` and `payload_schema` as the server describes them, kept in a file; `points`: the records."""

    def __init__(self, folder: Path, name: str, config: Json, payload_schema: Json, points: Points) -> None:
        self.folder = folder
        self.name = name
        self.config = config
        self.payload_schema = payload_schema
        self.points = points

    @classmethod
    def create(cls, folder: Path, name: str, config: Json) -> Collection:
        """The description is written last, so it alone decides whether the collection exists."""
        shutil.rmtree(folder, ignore_errors=True)
        made = cls(folder, name, config, {}, Points.create(folder / "shard", _fields(config)))
        made.keep()
        return made

    @classmethod
    def load(cls, folder: Path) -> Collection:
        """A collection of an earlier process."""
        kept = json.loads((folder / "collection.json").read_text(encoding="utf-8"))
        points = Points.load(folder / "shard", _fields(kept["config"]))
        return cls(folder, kept["name"], kept["config"], kept["payload_schema"], points)

    def keep(self) -> None:
        """Write the description."""
        kept: Any = {"name": self.name, "config": self.config, "payload_schema": self.payload_schema}
        write_atomically(self.folder / "collection.json", kept)

    def remove(self) -> None:
        """With all records."""
        (self.folder / "collection.json").unlink()
        self.points.close()
        shutil.rmtree(self.folder)

    def change(self, body: Json) -> None:
        """Change settings; in the metadata, null removes a key."""
        for theirs, ours in GROUPS.items():
            self.config[ours] |= _set(body.pop(theirs, None))
        self.config["params"] |= _set(body.pop("params", None))
        merged = {**self.config["metadata"], **(body.pop("metadata", None) or {})}
        self.config["metadata"] = {key: value for key, value in merged.items() if value is not None}
        _refuse_unknown(body)
        self.keep()

    def describe(self) -> Json:
        """The answer to a question about the collection. The engine indexes nothing by itself, so it is never busy."""
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": 0,
            "points_count": self.points.count({})["count"],
            "segments_count": 1,
            "config": self.config,
            "payload_schema": {path: {**item, "points": 0} for path, item in self.payload_schema.items()},
            "update_queue": {"length": 0},
        }


class Front:
    """All collections of the folder, by name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        loaded = [Collection.load(file.parent) for file in sorted(root.glob("*/collection.json"))]
        self._collections = {item.name: item for item in loaded}

    def app(self) -> Starlette:
        """The server's paths."""
        base = "/collections/{name}"
        calls: list[tuple[str, str, Call]] = [
            ("GET", "/collections", self._list),
            ("GET", "/aliases", lambda request, body: {"aliases": []}),
            ("GET", base, lambda request, body: self._of(request).describe()),
            ("PUT", base, self._create),
            ("PATCH", base, self._change),
            ("DELETE", base, self._drop),
            ("GET", base + "/exists", lambda request, body: {"exists": _name(request) in self._collections}),
            ("GET", base + "/aliases", lambda request, body: {"aliases": []}),
            ("PUT", base + "/index", self._index),
            ("DELETE", base + "/index/{path:path}", self._drop_index),
            ("POST", base + "/points", lambda request, body: self._points(request).retrieve(body)),
            ("POST", base + "/points/scroll", lambda request, body: self._points(request).scroll(body)),
            ("POST", base + "/points/count", lambda request, body: self._points(request).count(body)),
            ("POST", base + "/points/query", lambda request, body: self._points(request).query(body)),
            ("POST", base + "/points/query/batch", lambda request, body: self._points(request).query_batch(body)),
            ("POST", base + "/facet", lambda request, body: self._points(request).facet(body)),
            ("PUT", base + "/points", self._writing(Points.upsert)),
            ("POST", base + "/points/delete", self._writing(Points.delete)),
            ("POST", base + "/points/payload", self._writing(Points.set_payload)),
        ]
        routes = [Route(path, _answering(call), methods=[method]) for method, path, call in calls]
        unknown = Route("/{rest:path}", _answering(_unknown), methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
        return Starlette(routes=[Route("/", _version), *routes, unknown])

    def close(self) -> None:
        """Flush everything."""
        for collection in self._collections.values():
            collection.points.close()

    def _of(self, request: Request) -> Collection:
        found = self._collections.get(_name(request))
        if found is None:
            raise missing(_name(request))
        return found

    def _points(self, request: Request) -> Points:
        return self._of(request).points

    def _writing(self, write: Callable[[Points, Json], None]) -> Call:
        def call(request: Request, body: Json) -> Json:
            write(self._points(request), body)
            return _done(request)

        return call

    def _list(self, request: Request, body: Json) -> Json:
        return {"collections": [{"name": name} for name in sorted(self._collections)]}

    def _create(self, request: Request, body: Json) -> bool:
        name = _name(request)
        if name in self._collections:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self._collections[name] = Collection.create(self._root / encode_name(name), name, _config(body))
        return True

    def _change(self, request: Request, body: Json) -> bool:
        self._of(request).change(body)
        return True

    def _drop(self, request: Request, body: Json) -> bool:
        found = self._collections.pop(_name(request), None)
        if found is not None:
            found.remove()
        return found is not None

    def _index(self, request: Request, body: Json) -> Json:
        collection, path, schema = self._of(request), body["field_name"], body["field_schema"]
        item = {"data_type": schema} if isinstance(schema, str) else {"data_type": schema["type"], "params": schema}
        collection.points.index(path, item)
        collection.payload_schema[path] = item
        collection.keep()
        return _done(request)

    def _drop_index(self, request: Request, body: Json) -> Json:
        collection, path = self._of(request), unquote(request.path_params["path"])
        collection.points.drop_index(path)
        collection.payload_schema.pop(path, None)
        collection.keep()
        return _done(request)


def _unknown(request: Request, body: Json) -> None:
    raise Refused(404, f"this server does not know {request.method} {request.url.path}")


async def _version(request: Request) -> Response:
    content = {"title": "qdrant - vector search engine", "version": VERSION, "commit": "0" * 40}
    return Response(orjson.dumps(content), media_type="application/json")


def _answering(call: Call) -> Callable[[Request], Awaitable[Response]]:
    """Calls run one after another on the event loop: what is answered is ordered as the engine did it."""

    async def endpoint(request: Request) -> Response:
        try:
            result = call(request, await _body(request))
        except Refused as refused:
            return _json(refused.status, {"status": {"error": refused.text}, "time": 0.0})
        except KeyError as error:
            text = f"Format error in JSON body: missing field `{error.args[0]}`"
            return _json(400, {"status": {"error": text}, "time": 0.0})
        return _json(200, {"result": result, "status": "ok", "time": 0.0})

    return endpoint


def _json(status: int, content: Json) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")


async def _body(request: Request) -> Json:
    raw = await request.body()
    if len(raw) > MAX_BODY:
        raise Refused(400, f"JSON payload ({size(len(raw))}) is larger than allowed (limit: {size(MAX_BODY)}).")
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"Format error in JSON body: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "Format error in JSON body: invalid type, expected a map")
    if body.get("shard_key") is not None:
        raise bad_input(f'Shard key "{body["shard_key"]}" not found')
    return body


def _name(request: Request) -> str:
    return request.path_params["name"]


def _done(request: Request) -> Json:
    waits = request.query_params.get("wait") == "true"
    return {"operation_id": 1, "status": "completed" if waits else "acknowledged"}


def _set(settings: Json | None) -> Json:
    return {key: value for key, value in (settings or {}).items() if value is not None}


def _fields(config: Json) -> Json:
    """The settings of each vector field by its name; "" is the one without."""
    vectors = config["params"]["vectors"]
    return {"": vectors} if "size" in vectors else vectors


def _config(body: Json) -> Json:
    """The description of a new collection."""
    config = deepcopy(DEFAULTS)
    config["params"]["vectors"] = body.pop("vectors", None) or {}
    for item in _fields(config).values():
        if (
            item.get("distance") not in ("Cosine", "Dot", "Euclid", "Manhattan")
            or not 0 < item.get("size", 0) <= 65_536
        ):
            raise Refused(
                400, "Format error in JSON body: data did not match any variant of untagged enum VectorsConfig"
            )
        if item.get("multivector_config"):
            raise Refused(400, "this server does not know multi-vectors")
    for key in ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload"):
        config["params"] |= _set({key: body.pop(key, None)})
    for theirs, ours in GROUPS.items():
        config[ours] |= _set(body.pop(theirs, None))
    config["metadata"] |= _set(body.pop("metadata", None))
    _refuse_unknown(body)
    return config


def _refuse_unknown(body: Json) -> None:
    for key, value in body.items():
        if value is not None:
            raise Refused(400, f"Format error in JSON body: this server does not know `{key}`")


class _Server(uvicorn.Server):
    """Leaves the handlers of signals alone: it ends with its standard input."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def serve(folder: Path) -> None:
    """Until standard input ends."""
    front = Front(folder)
    # The protocol is named, because asyncio switches Nagle's algorithm off only on such sockets; with it every answer
    # takes 40 ms longer.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        app = front.app()
        server = _Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_keep_alive=60))
        sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        child_process.exit_when_parent_dies(front.close)
        server.run([listening])


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
