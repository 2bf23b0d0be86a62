"""Scores of localization maps over a data set: maps in, result.json and every image's outcome out."""
