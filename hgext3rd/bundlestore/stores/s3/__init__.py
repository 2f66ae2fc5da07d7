"""The store ``s3``: bundles and notes are objects in a bucket."""
