"""The examples at the end of `--help` of the commands around the MCP server."""

MCP_INSTALL = """[bold]Examples[/]
  vectormigrate mcp install claude-desktop --env MILVUS_TOKEN
  vectormigrate mcp install claude-code --dry-run
  vectormigrate mcp install cursor --project . --read-only
  vectormigrate mcp install vscode --print
  vectormigrate mcp install cursor --remove"""

MCP_BUNDLE = """[bold]Examples[/]
  vectormigrate mcp bundle --output ./dist
  vectormigrate mcp bundle --namespace com.example"""

MCP_KEY_NEW = """[bold]Examples[/]
  vectormigrate mcp key new ci --scope write
  vectormigrate mcp key new grafana --json"""

MCP_KEY_HASH = """[bold]Examples[/]
  printenv OPS_KEY | vectormigrate mcp key hash ops --scope admin"""

AUDIT_VERIFY = """[bold]Examples[/]
  vectormigrate audit verify
  vectormigrate audit verify /var/log/vectormigrate/audit.jsonl --head 9f86d0…"""
