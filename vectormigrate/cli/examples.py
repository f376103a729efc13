"""The text below `--help` of each command: commands that can be copied and run."""

from __future__ import annotations

EXIT_CODES = """[bold]Exit codes[/]
  0  done                              3  validation failed
  1  failed                            4  not found, or in the wrong state
  2  wrong command, settings or plan   130  interrupted; `resume` continues

[bold]Environment[/]
  VECTORMIGRATE_STATE, VECTORMIGRATE_CONFIG   as --state, --config
  VECTORMIGRATE_SOURCE_API_KEY, VECTORMIGRATE_TARGET_API_KEY   keys
  VECTORMIGRATE_DEBUG=1   tracebacks

[bold]Start here[/]
  vectormigrate demo
  vectormigrate init
  vectormigrate doctor
  vectormigrate collections
  vectormigrate migrate --help"""

MIGRATE = """[bold]Examples[/]
  # what would happen: mappings, losses, sizes; nothing is written
  vectormigrate migrate docs --dry-run \\
      --source-type pinecone --source-api-key env:PINECONE_API_KEY --source-collection docs \\
      --target-type qdrant --target-url http://localhost:6333

  # the same for real
  vectormigrate migrate docs \\
      --source-type pinecone --source-api-key env:PINECONE_API_KEY --source-collection docs \\
      --target-type qdrant --target-url http://localhost:6333

  # without a server: from a Milvus Lite file to a Qdrant Edge folder
  vectormigrate migrate docs \\
      --source-type milvus --source-url ./source.db --source-collection docs \\
      --target-type qdrant_edge --target-url ./edge --target-collection docs

  # between connections of vectormigrate.toml, in the background
  vectormigrate migrate docs --source prod --source-collection docs --target new --detach

[bold]vectormigrate.toml[/] (vectormigrate init writes one)
  \\[connections.prod]
  type = "weaviate"
  url = "https://db.example.com"
  api_key = "${WEAVIATE_API_KEY}"
  \\[connections.prod.options]
  grpc_port = 50051 """

RESUME = """[bold]Examples[/]
  vectormigrate resume docs
  vectormigrate resume docs --source-api-key env:MILVUS_TOKEN
  vectormigrate resume docs --retry-rejects --max-rejects 10"""

STOP = """[bold]Examples[/]
  vectormigrate stop docs"""

STATUS = """[bold]Examples[/]
  vectormigrate status docs
  vectormigrate status docs --watch
  vectormigrate status docs --rejects 20 --json"""

LIST = """[bold]Examples[/]
  vectormigrate list
  vectormigrate list --status in_progress --json"""

VALIDATE = """[bold]Examples[/]
  vectormigrate validate docs
  vectormigrate validate docs --full --report docs.html
  vectormigrate validate docs --full --details
  vectormigrate validate docs --full --repair"""

SYNC = """[bold]Examples[/]
  vectormigrate sync docs
  vectormigrate sync docs --json"""

ROLLBACK = """[bold]Examples[/]
  vectormigrate rollback docs
  vectormigrate rollback docs --force"""

DESCRIBE = """[bold]Examples[/]
  vectormigrate schema describe prod --collection docs
  vectormigrate schema describe --type milvus --url ./source.db --collection docs"""

RECOMMEND = """[bold]Types[/]
  The source's own types (varchar, keyword, text\\[], geoCoordinates,
  float_vector(768), …) or common ones (string, integer, number, boolean,
  datetime, geo, uuid, object, list\\[string], vector, sparse_vector, …).

[bold]Confidence[/]
  A value that arrives exactly counts 1, a reversible one (converted, and
  restored on the round trip) 0.8, an approximate one 0.5, a lost one 0; an
  index counts for the values of its type. Times n / (n + 2.71 (1 - f)), the 95 % lower
  bound for what was not read: n values seen, f the share that was read.

[bold]Examples[/]
  vectormigrate schema recommend --source prod --source-collection docs --target-type qdrant_edge
  vectormigrate schema recommend --source-type milvus --target-type qdrant_edge \\
      --source-schema '{"title": "varchar(200)", "vec": "float_vector(768)"}'
  vectormigrate schema recommend --source-type milvus --target-type qdrant_edge \\
      --field year=int64 --field tags=array --json
  echo '{"source_type": "milvus", "target_type": "qdrant_edge",
      "source_schema": {"year": "int64"}}' | \\
      vectormigrate schema recommend --source-schema - --json"""

TABLE = """[bold]Examples[/]
  vectormigrate schema table
  vectormigrate schema table milvus --also qdrant_edge"""

COLLECTIONS = """[bold]Examples[/]
  vectormigrate collections prod
  vectormigrate collections --type pinecone --api-key env:PINECONE_API_KEY
  vectormigrate collections --type qdrant --url http://localhost:6333 --json"""

OPTIONS = """[bold]Examples[/]
  vectormigrate options qdrant
  vectormigrate options --json"""

INIT = """[bold]Examples[/]
  vectormigrate init
  vectormigrate init --config ./prod.toml"""

DOCTOR = """[bold]Examples[/]
  vectormigrate doctor
  vectormigrate doctor prod
  vectormigrate doctor --type pinecone --api-key env:PINECONE_API_KEY
  vectormigrate doctor --type milvus --url ./source.db"""

DEMO = """[bold]Examples[/]
  vectormigrate demo
  vectormigrate demo --records 2000 --dir ./demo

  # a live migration under traffic: pip install 'vectormigrate[live-demo]'
  vectormigrate demo --live
  vectormigrate demo --live --json"""

GATEWAY = """[bold]Examples[/]
  vectormigrate gateway docs
  vectormigrate gateway docs --listen 0.0.0.0 --port rest=6333 --port grpc=6334
  vectormigrate gateway docs --tls-cert chain.pem --tls-key key.pem --json
  vectormigrate gateway docs --marks-only"""

SERVE = """[bold]Keys[/]
  KEY                 named default, every scope
  NAME:SCOPE=KEY      scope is read, write or admin; each holds those before it
  Without a key only this machine can be served (127.0.0.1, ::1, localhost).

[bold]Examples[/]
  vectormigrate serve
  vectormigrate serve --addr 127.0.0.1:8080 --read-only
  vectormigrate serve --addr :8080 --api-key env:OPS_KEY --resume-on-start"""


CUTOVER = """[bold]Examples[/]
  # everything but the switch, to see how long writes would be held
  vectormigrate cutover docs --rehearse
  vectormigrate cutover docs
  vectormigrate cutover docs --verify strict --pause 120 --budget 600"""

REVERSE = """[bold]Examples[/]
  vectormigrate reverse docs"""
