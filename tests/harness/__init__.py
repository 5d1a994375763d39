"""What the tests start and talk to: real servers, the stand-in, PostgreSQL, and a strict reader of events."""
