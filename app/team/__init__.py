"""Agent definitions: YAML files become teams of agents. Knows nothing of sessions, models at work or HTTP."""
