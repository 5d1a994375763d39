"""HTTP/1.1 on sockets of our own: quick to read a stream, and every wait can be ended by another thread.

Measured against httpcore2 2.16 with a network backend of our own (the same plain sockets, the kernel's time-outs): CPU
of the reading process per delta, median of three rounds in turns, on CPython 3.11.

| streams | deltas a second each | this, a thread each | this, the pump | httpcore2 |
| --- | --- | ---: | ---: | ---: |
| 1 | 50 | 91 µs | 187 µs | 168 µs |
| 1 | as fast as it goes | 1.1 µs | 1.4 µs | 7.1 µs |
| 100 | 50 | 27 µs | 17 µs | 47 µs |
| 100 | as fast as it goes | 2.1 µs | 2.0 µs | 8.6 µs |

Its parser makes several objects of each chunk; `framing` joins all chunks that came at once. It has no read that does
not wait, which the pump needs. The pump costs one stream an additional hand-over, and pays from a few streams on.
"""
