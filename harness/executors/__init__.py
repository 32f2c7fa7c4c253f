"""Where stages run: a module each, with execute."""
