"""What the extensions lfs and largefiles keep outside of changesets."""
