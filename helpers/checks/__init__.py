"""The checks of the exercises, one module a lesson: `from helpers.checks import lesson_02 as check`."""
