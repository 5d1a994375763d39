"""The servers and clients of the tests: real servers, the stand-in, PostgreSQL, and a strict reader of events."""
