"""The readers' side: a session's events, from the run that publishes them to the clients that read them."""
