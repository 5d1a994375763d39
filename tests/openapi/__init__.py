"""The OpenAPI document against the program: routes, answers, and whatever schemathesis thinks of."""
