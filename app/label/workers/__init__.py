"""Who labels the shards: processes of this machine, or actors of a Ray cluster."""
