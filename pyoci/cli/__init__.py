"""The command line: one table of commands, a fast reader for machines, a patient one for people."""
