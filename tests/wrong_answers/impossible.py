"""Wrong verdicts on the lab of impossible results, each with a part of the hint that fits it."""

# Of each case: the right cause, an honest figure, and the figure as it was claimed.
RIGHT = {
    "case_1": ("D", 0.837, 0.993),
    "case_2": ("A", 0.845, 0.982),
    "case_3": ("C", 0.78, 0.996),
    "case_4": ("E", 0.725, 0.999),
    "case_5": ("F", 0.80, 1.0),
}


def verdict(name, *given):
    """Make a student's function that gives back what is given, under a name that says what is wrong."""

    def answer():
        return given

    answer.__name__ = name
    return answer


def figures_of(case):
    """Return the wrong figures, with the right cause; the hint must speak of the figure alone."""
    cause, _, claimed = RIGHT[case]
    return [
        (verdict("the_claimed_figure", cause, claimed), "this is still impossible"),
        (verdict("a_mend_by_half", cause, 0.93), "is the mend complete?"),
        (verdict("percent", cause, 100 * RIGHT[case][1]), "a number from 0 to 1"),
        (verdict("a_count", cause, 8370), "right answers divided by all answers"),
        (verdict("below_nothing", cause, -0.2), "right answers divided by all answers"),
        (verdict("not_a_number", cause, float("nan")), "right answers divided by all answers"),
        (verdict("no_letter", "tested on training images", RIGHT[case][1]), "the letter that stands before the cause"),
        (verdict("too_much", cause, RIGHT[case][1], "and more"), "the letter first, then the figure"),
        # A wrong cause with the claimed figure is told of the figure, too: else one could try the letters.
        (verdict("a_wrong_cause_with_the_claimed_figure", "G", claimed), "this is still impossible"),
    ]


def causes_of(case, **hints):
    """Return the wrong causes with an honest figure: those that suggest themselves here, and all others."""
    general = {
        "A": "fewer images were counted than there are",
        "B": "how often is a model as good",
        "C": "nearly itself",
        "D": "pixel by pixel, is among the training images",
        "E": "a number that is no pixel",
        "F": "the highest of several",
        "G": "draw ten of them",
        "H": "does it, and where does a mean come from?",
    }
    cause, figure, _ = RIGHT[case]
    hints = general | hints
    return [(verdict(f"cause_{letter}", letter, figure), hints[letter]) for letter in hints if letter != cause]


WRONG = {
    "case_1": [
        *figures_of("case_1"),
        *causes_of("case_1", B="are they few?", C="each of the two loops", F="was it chosen?"),
        (verdict("of_black_images", "D", 0.1), "count every test image"),
    ],
    "case_2": [
        *figures_of("case_2"),
        *causes_of("case_2", B="is that few?", D="is one among them?", F="how many figures were compared?"),
        (verdict("sent_back_counted_as_wrong", "A", 0.49), "an image that was sent back has an answer, too"),
        (verdict("of_those_sent_back_alone", "A", 0.7), "count every test image"),
    ],
    "case_3": [
        *figures_of("case_3"),
        *causes_of("case_3", A="every test image has an answer", D="What does it not find?", F="random_state"),
        (verdict("black_images", "C", 0.1), "change only what is wrong"),
    ],
    "case_4": [
        *figures_of("case_4"),
        *causes_of("case_4", C="by pixels alone", D="What else do the parts share?", F="random_state"),
        (verdict("split_without_shuffling", "E", 0.02), "all the ten classes"),
        (verdict("another_model", "E", 0.85), "is the mend complete?"),
    ],
    "case_5": [
        *figures_of("case_5"),
        *causes_of("case_5", B="in a single try?", D="the figures of all settings", H="the numbers in the brackets"),
        (verdict("the_worst_setting", "F", 0.5), "change only what is wrong"),
    ],
}
