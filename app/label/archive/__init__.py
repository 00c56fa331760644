"""Where the pictures of an archive are: folders, tar and Parquet files, local or remote, cut into shards."""
