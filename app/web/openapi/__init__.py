"""The OpenAPI document: made from the routes, the bodies and parameters that are checked, and the shapes of answers."""
