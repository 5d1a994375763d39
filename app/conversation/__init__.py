"""What a conversation is: values and rules, without threads, clock, database or network."""
