"""The stations' part of Shadow, in a package whose name others use too."""
