"""HTTP/1.1 on sockets of our own."""
