"""A model of the claim, small enough to look at every state of it; `docs/claim.md` tells its story."""
