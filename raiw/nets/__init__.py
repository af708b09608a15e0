"""Networks of the catalogue as torch modules, with the layer names of their YAML files."""
