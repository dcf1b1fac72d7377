"""What people do beside a night: a module a command, and the journal of what ran."""
