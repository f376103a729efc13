"""The connections file to begin with: every line a comment, every key a variable."""

from __future__ import annotations

import os
from pathlib import Path

from vectormigrate.errors import ConfigError

TEXT = """\
# Connections of vectormigrate. Take the '# ' away from what you need; `vectormigrate doctor` checks it.
# ${NAME} is an environment variable, so no key is in this file. `vectormigrate options TYPE` lists the options.

# [settings]
# state = "vectormigrate-state.db"     # relative to this file; default: in your data folder

# [connections.pinecone]
# type = "pinecone"
# api_key = "${PINECONE_API_KEY}"
# collection = "docs"                  # optional: the default of --source-collection and --target-collection
# collections = ["docs*"]              # optional: what agents may touch through `vectormigrate serve`

# [connections.qdrant]
# type = "qdrant"
# url = "https://HOST.cloud.qdrant.io:6333"
# api_key = "${QDRANT_API_KEY}"
# [connections.qdrant.options]
# grpc_port = 6334

# [connections.weaviate]
# type = "weaviate"
# url = "https://HOST.weaviate.cloud"
# api_key = "${WEAVIATE_API_KEY}"

# [connections.milvus]
# type = "milvus"
# url = "http://localhost:19530"       # Zilliz Cloud: its endpoint; Milvus Lite: a path such as "./lite.db"
# api_key = "${MILVUS_TOKEN}"          # user:password, or an API key

# [connections.edge]
# type = "qdrant_edge"
# url = "./edge"                       # a folder
"""


def write(path: Path) -> None:
    """Make the file, which only its owner may read. Raises ConfigError when it exists or cannot be made."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{str(path)!r} exists; name another with --config") from error
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(TEXT)
