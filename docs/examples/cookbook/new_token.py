"""Adds a person to the file of tokens, and prints the token once: python new_token.py NAME ROLE FILE

The file holds only a digest. A server that runs reads the file again by itself (BATON_TOKENS_FILE).
"""

import hashlib
import os
import secrets
import sys

name, role, file = sys.argv[1:]
token = secrets.token_urlsafe(32)
with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as tokens:
    tokens.write(f"{name}/{role}:sha256:{hashlib.sha256(token.encode()).hexdigest()}\n")
print(token)
