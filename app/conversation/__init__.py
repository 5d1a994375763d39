"""The conversation: values and rules, without threads, clock, database or network."""
