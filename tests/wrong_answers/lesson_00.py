"""Wrong answers to the exercises of lesson 00, each with a part of the hint that fits it."""

import torch

from helpers.drawings import RIDDLE


def edges(image, above=0):
    lit = image > above
    rows, columns = lit.any(dim=1).nonzero().flatten(), lit.any(dim=0).nonzero().flatten()
    return rows[0], rows[-1], columns[0], columns[-1]


def last_row_and_column_lost(image):
    top, bottom, left, right = edges(image)
    return image[top:bottom, left:right]


def rows_and_columns_swapped(image):
    top, bottom, left, right = edges(image)
    return image[left : right + 1, top : bottom + 1]


def only_two_margins(image):
    top, _, left, _ = edges(image)
    return image[top:, left:]


def black_rows_inside_lost(image):
    lit = image > 0
    return image[lit.any(dim=1)][:, lit.any(dim=0)]


def list_of_pixels(image):
    return image[image > 0]


def faint_pixels_lost(image):
    top, bottom, left, right = edges(image, 100 if (image > 100).any() else 0)
    return image[top : bottom + 1, left : right + 1]


def not_cut(image):
    return image


def same_length(left, right, at_the_end):
    width = max(len(left), len(right))
    ones = [(1,) * (width - len(shape)) for shape in (left, right)]
    return [
        shape + one if at_the_end else one + shape for shape, one in zip((tuple(left), tuple(right)), ones, strict=True)
    ]


def fitted(left, right, at_the_end=False):
    left, right = same_length(left, right, at_the_end)
    if any(a != b and 1 not in (a, b) for a, b in zip(left, right, strict=True)):
        return "no fit"
    return tuple(map(max, left, right))


def aligned_on_the_left(left, right):
    return fitted(left, right, at_the_end=True)


def larger_size_wins(left, right):
    return tuple(map(max, *same_length(left, right, at_the_end=False)))


def same_number_of_dimensions_only(left, right):
    return fitted(left, right) if len(left) == len(right) else "no fit"


def equal_or_missing_only(left, right):
    ends = zip(reversed(left), reversed(right), strict=False)
    return max(left, right, key=len) if all(a == b for a, b in ends) else "no fit"


def shorter_shape(left, right):
    found = fitted(left, right)
    return found if isinstance(found, str) else found[-min(len(left), len(right)) :]


def fits_if_it_divides(left, right):
    sizes = same_length(left, right, at_the_end=False)
    if any(max(a, b) % min(a, b) for a, b in zip(*sizes, strict=True)):
        return "no fit"
    return tuple(map(max, *sizes))


def longer_shape(left, right):
    return max(left, right, key=len) if isinstance(fitted(left, right), tuple) else "no fit"


def no_fit_with_a_capital(left, right):
    found = fitted(left, right)
    return found if isinstance(found, tuple) else "No fit"


def smaller_size(left, right):
    found = fitted(left, right)
    return found if isinstance(found, str) else tuple(map(min, *same_length(left, right, at_the_end=False)))


def in_bytes(images):
    return (images - images.flip(2)).float().mean(dim=(1, 2))


def upside_down(images):
    return (images.float() - images.float().flip(1)).abs().mean(dim=(1, 2))


def images_in_reverse(images):
    return (images.float() - images.float().flip(0)).abs().mean(dim=(1, 2))


def away(images):
    return images.float() - images.float().flip(2)


def one_for_all(images):
    return away(images).abs().mean()


def signs_cancel(images):
    return away(images).mean(dim=(1, 2))


def one_per_column(images):
    return away(images).abs().mean(dim=1)


def image_number_gone(images):
    return away(images).abs().mean(dim=0)


def sum_of_pixels(images):
    return away(images).abs().sum(dim=(1, 2))


def squared(images):
    return (away(images) ** 2).mean(dim=(1, 2))


def dims_swapped():
    return RIDDLE | {"solid": 1 - RIDDLE["solid"]}


def exchanged(one, other):
    names = {one: other, other: one}
    return {letter: names.get(name, name) for letter, name in RIDDLE.items()}


def trouser_and_dress_exchanged():
    return exchanged("Trouser", "Dress")


def coat_for_dress():
    return exchanged("Dress", "Coat")


def boot_for_sneaker():
    return exchanged("Sneaker", "Ankle boot")


def pullover_for_bag():
    return exchanged("Bag", "Pullover")


def in_small_letters():
    return {letter: name.lower() if letter in "ABCD" else name for letter, name in RIDDLE.items()}


def dim_in_words():
    return RIDDLE | {"solid": "dim 1"}


def one_panel_left_out():
    return {key: value for key, value in RIDDLE.items() if key != "C"}


def gradient_of(score, image):
    x = image.float().requires_grad_()
    score(x).backward()
    return x.grad


def place(values):
    return divmod(int(values.argmax()), values.shape[1])


def brightest(score, image):
    return place(image.float())


def largest_positive(score, image):
    return place(gradient_of(score, image))


def most_negative(score, image):
    return place(-gradient_of(score, image))


def flat_position(score, image):
    return gradient_of(score, image).abs().argmax()


def column_first(score, image):
    return place(gradient_of(score, image).abs())[::-1]


def divided_by_the_rows(score, image):
    return divmod(int(gradient_of(score, image).abs().argmax()), len(image))


def least(score, image):
    return place(-gradient_of(score, image).abs())


def gradient_of_bytes(score, image):
    return gradient_of(score, torch.zeros_like(image).requires_grad_())


WRONG = {
    "trim": [
        (last_row_and_column_lost, "a slice a:b ends before b"),
        (rows_and_columns_swapped, "dim 0 is the row"),
        (only_two_margins, "what about the other two"),
        (black_rows_inside_lost, "a black row inside belongs to the picture"),
        (list_of_pixels, "a mask gives a list of pixels"),
        (faint_pixels_lost, "dark, but not black"),
        (not_cut, "this is the whole photo"),
    ],
    "broadcast_shape": [
        (aligned_on_the_left, "align the shapes on the right"),
        (fits_if_it_divides, "fit only if one of them is 1"),
        (no_fit_with_a_capital, "see the examples"),
        (larger_size_wins, "fit only if one of them is 1"),
        (same_number_of_dimensions_only, "missing on the left counts as 1"),
        (equal_or_missing_only, "a size of 1 is repeated"),
        (shorter_shape, "as many dimensions as the longer"),
        (smaller_size, "which of the two sizes is left"),
        (longer_shape, "pair by pair, from the right"),
    ],
    "asymmetry": [
        (in_bytes, "which dtype holds a difference"),
        (upside_down, "upside down"),
        (images_in_reverse, "dim 0 is the image number"),
        (one_for_all, "one number for all"),
        (signs_cancel, "rises and falls cancel out"),
        (one_per_column, "one dimension has gone, two should"),
        (image_number_gone, "it is the dimension to keep"),
        (sum_of_pixels, "a mean is asked for"),
        (squared, "their absolute value is asked for"),
    ],
    "read_curves": [
        (dims_swapped, "are they beside or above each other"),
        (trouser_and_dress_exchanged, "two legs stand side by side"),
        (coat_for_dress, "which curve is nearly level"),
        (boot_for_sneaker, "a low shoe is wide and flat"),
        (pullover_for_bag, "only the handle reaches up"),
        (in_small_letters, "spelt as in the task"),
        (dim_in_words, "what should it return"),
        (one_panel_left_out, "fill every place"),
    ],
    "most_sensitive": [
        (brightest, "the brightest pixel"),
        (largest_positive, "a strongly negative gradient matters as much"),
        (most_negative, "a strongly positive gradient matters too"),
        (flat_position, "which row and which column is that"),
        (column_first, "row and column have changed places"),
        (divided_by_the_rows, "how many entries has one row"),
        (least, "matters least"),
        (gradient_of_bytes, "the error comes from the line"),
    ],
}
