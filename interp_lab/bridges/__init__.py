"""Foreign libraries, file formats and services: each in one file, optional ones imported only when used."""
