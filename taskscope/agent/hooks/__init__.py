"""Hooks that record births, and their undoing: ``parts`` owns every change to the program."""
