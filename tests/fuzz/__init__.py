"""Fuzzers of the parsers that read what strangers write."""
