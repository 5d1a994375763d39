"""The schemas of tools: what strangers write, and what the Messages API takes."""
