"""The stand-in: each rule of the judge, each thing a user can type, and the real SDK in front of it all."""
