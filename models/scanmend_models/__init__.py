"""Networks, training, export and the catalogue of models that Scanmend ships."""
