"""The demonstration and the two notebooks, as functions that save each stage and can go on."""
