"""Pictures in shards: tar archives as WebDataset has them, and Parquet files, here or behind fsspec.

samples      what an archive holds: pictures, and what is labelled on them
shard        a part of an archive that is read as one, and a picture's bytes in it
cache        shards that are fetched or unpacked, on this machine's disk
errors       what can be wrong with shards, and reading on where a network fails for a while
files        the shards of a set, and reading from them
"""
