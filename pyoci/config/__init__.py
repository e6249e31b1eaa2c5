"""Reading and checking config.json and the other documents that callers hand to pyoci."""
