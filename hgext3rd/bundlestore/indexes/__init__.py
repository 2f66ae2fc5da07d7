"""Bundle indexes: they find bundles by changeset and bookmark, and pushes."""
