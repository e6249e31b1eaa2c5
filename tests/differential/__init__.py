"""The same container made by pyoci, runc and crun, compared field by field."""
