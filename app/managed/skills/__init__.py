"""Skills of the Managed Agents API: uploaded, versioned, and placed in the directories of sessions."""
