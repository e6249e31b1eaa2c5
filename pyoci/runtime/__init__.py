"""The verbs: one module for each command, each with `main(call) -> exit status`."""
