"""HTTP: thin views over the runtime and the store."""
