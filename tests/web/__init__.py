"""The routes: their words and numbers, what they refuse, and who may use them."""
