"""The HTTP API, by what it is about; docs/app-design.md has the table."""
