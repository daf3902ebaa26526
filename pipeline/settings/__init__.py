"""Everything a user can choose, a section to a module; `tree` holds them together."""
