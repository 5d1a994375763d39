"""A stand-in for the Anthropic API that judges transcripts as the real one does. A stranger to the rest of Baton."""
