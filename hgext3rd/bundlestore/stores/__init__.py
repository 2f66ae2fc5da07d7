"""Bundle stores: where the bytes of bundles live, by key."""
