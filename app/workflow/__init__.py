"""Planning and running workflow documents."""
