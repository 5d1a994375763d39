"""A stand-in for the Anthropic API that judges transcripts as the real one does; a stranger to the rest."""
