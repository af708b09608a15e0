"""Studies of graphs: methods compared by what they craft."""
