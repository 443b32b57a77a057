"""The configuration file: grammar, options, checked model, entries for the map, reload."""
