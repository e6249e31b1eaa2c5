"""systemd's side of the systemd cgroup driver: a small D-Bus client, unit names and unit properties."""
