"""The store: tables of results as folders of Parquet shards, in a folder or in an object store."""
