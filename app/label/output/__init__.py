"""What labelling writes: tables of each shard, the manifest, the joined results."""
