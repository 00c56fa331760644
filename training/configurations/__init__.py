"""What a run is made of: its configuration as a class, the data it names, and the YAML files that come with it."""
