"""What the specification defines and this version refuses: the one place to flip when a feature is done.

`pyoci features` leaves out every entry of NOT_YET, so that its output promises only what config.json may ask
for; the checks read the same set to refuse the rest by name.  An entry is `<where in features>:<word>`, or
the feature's key where it is a mere switch.
"""

NOT_YET: frozenset[str] = frozenset()
