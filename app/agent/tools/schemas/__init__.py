"""The schemas of tools: as strangers write them, and as the Messages API takes them."""
