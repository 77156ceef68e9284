"""Wrong answers that the checks of the exercises must reject, one module a lesson."""
