"""Tool flows: one per file."""
