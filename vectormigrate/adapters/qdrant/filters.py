"""Which records a request is about, in both forms of the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vectormigrate.adapters.qdrant import ids
from vectormigrate.adapters.qdrant.layout import ShardKey
from vectormigrate.adapters.qdrant.proto import coll, common, pb
from vectormigrate.model.ids import RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Every record, less what the fields exclude.

    `namespace` (None: any) is looked up in the payload field `field`; the default one is where that field is missing,
    null or an empty list. `slice`: the share (total, index) that the server picks by a hash of the id; servers before
    1.19 ignore it silently over gRPC, so it must not be sent to them. `shard`: only this shard key.
    """

    field: str = ""
    namespace: str | None = None
    slice: tuple[int, int] | None = None
    ids: tuple[RecordId, ...] | None = None
    shard: ShardKey | None = None

    def json_filter(self) -> dict[str, Any] | None:
        """The filter of the REST interface, None for none."""
        must: list[dict[str, Any]] = []
        if self.namespace:
            must.append({"key": self.field, "match": {"value": self.namespace}})
        elif self.namespace is not None:
            must.append({"is_empty": {"key": self.field}})
        if self.slice is not None:
            must.append({"slice": {"total": self.slice[0], "index": self.slice[1]}})
        if self.ids is not None:
            must.append({"has_id": [ids.wire_id(item) for item in self.ids]})
        return {"must": must} if must else None

    def json_body(self, **body: Any) -> dict[str, Any]:
        """A request body with the filter and the shard key."""
        condition = self.json_filter()
        if condition is not None:
            body["filter"] = condition
        return self.json_shard(body)

    def json_shard(self, body: dict[str, Any]) -> dict[str, Any]:
        return body if self.shard is None else {**body, "shard_key": self.shard}

    def grpc_filter(self) -> Any:
        """The filter of the gRPC interface, None for none."""
        must: list[Any] = []
        if self.namespace:
            match = common.Match(keyword=self.namespace)
            must.append(common.Condition(field=common.FieldCondition(key=self.field, match=match)))
        elif self.namespace is not None:
            must.append(common.Condition(is_empty=common.IsEmptyCondition(key=self.field)))
        if self.slice is not None:
            must.append(common.Condition(slice=common.SliceCondition(total=self.slice[0], index=self.slice[1])))
        if self.ids is not None:
            chosen = [ids.message(item) for item in self.ids]
            must.append(common.Condition(has_id=common.HasIdCondition(has_id=chosen)))
        return common.Filter(must=must) if must else None

    def grpc_shard(self) -> Mapping[str, Any]:
        """The keyword argument of a request message."""
        if self.shard is None:
            return {}
        return {"shard_key_selector": pb.ShardKeySelector(shard_keys=[shard_message(self.shard)])}


def shard_message(key: ShardKey) -> Any:
    return coll.ShardKey(number=key) if isinstance(key, int) else coll.ShardKey(keyword=key)
