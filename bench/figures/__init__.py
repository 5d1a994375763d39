"""The measurements; one file per question. Each has a function from a `Course` to rows of the table."""
