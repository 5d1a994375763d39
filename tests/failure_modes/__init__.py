"""How such servers fail, one module a group: each test names the entry of the catalogue that it rules out."""
