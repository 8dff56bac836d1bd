"""How the lab is reached: MCP over stdio and HTTP, the command line, the worker."""
