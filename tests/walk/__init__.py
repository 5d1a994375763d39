"""Each touch of the outside world fails once, stays away, kills or stops the process; the promises still hold."""
