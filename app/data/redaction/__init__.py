"""Private data in rows: found, pseudonymised, reviewed."""
