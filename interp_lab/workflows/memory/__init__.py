"""What a workspace remembers: reports read back from artifacts, units by one name in all of them, observations."""
