"""A study: every method on one data set with several seeds, equal budget and protocol, and what comes out of it."""
