"""Archives of pictures, for what labels them and for what trains on them.

locations    folders, here or behind fsspec: what is found in them, and results put there whole
tars         tar archives, trusted in nothing
parquets     Parquet files with the bytes of pictures
patience     reading through a network that may fail for a while
"""
