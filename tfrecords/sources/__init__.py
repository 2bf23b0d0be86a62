"""One module a data source; each yields pictures with labels, boxes and masks."""
