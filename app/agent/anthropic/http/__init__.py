"""HTTP/1.1 on sockets of our own: quick to read a stream, and every wait can be ended by another thread."""
