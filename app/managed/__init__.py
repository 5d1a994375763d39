"""The second door: Anthropic's Managed Agents API, over the same sessions, runs and event log as the first."""
