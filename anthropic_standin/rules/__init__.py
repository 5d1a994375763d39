"""The rules of the Messages API, one subject per file; `anthropic_standin.judge` applies them in order."""
