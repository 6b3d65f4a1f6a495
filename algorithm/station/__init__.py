"""A data station: has an instruction answered, as its owner's policy allows."""
