"""The `look` command: what is in data sets, before anybody trains on them."""
