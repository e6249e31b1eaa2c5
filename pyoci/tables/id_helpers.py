"""Where the set-id programs of shadow-utils are: newuidmap(1), newgidmap(1)."""

# Fixed places, never the caller's PATH.  The last is NixOS's for such programs.
HELPER_DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/wrappers/bin")
# property of .linux -> (program, the file that it goes by)
HELPERS = {"uidMappings": ("newuidmap", "/etc/subuid"), "gidMappings": ("newgidmap", "/etc/subgid")}
