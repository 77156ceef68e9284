"""Read from the helpers' code what they say when something is wrong: what happened, and what to do about it."""

import ast
import re
from typing import NamedTuple

from helpers import config

# A message of the helpers ends with what to do, a sentence that begins with one of these words.
ADVICE = re.compile(
    "(Add|Ask|Begin|Build|Call|Check|Choose|Close|Copy|Correct|Delete|Divide|Give|If|Install|Leave|Load|Look|Make|Name|"
    "Open|Pass|Put|Read|Rename|Restart|Run|Save|Set|Start|Take|To|Train|Try|Use|Wait|Write)\\b"
)
# What a value at the beginning of a module's messages names.
SUBJECTS = {"inputs": "The function", "photo": "The file"}
SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


class Message(NamedTuple):
    """What a helper says."""

    module: str
    error: str  # the exception's class
    says: str  # values that are known only then stand as …
    cause: str
    cure: str


def as_text(node: ast.expr, known: dict[str, ast.expr], depth: int = 0) -> str:
    """Return an expression that makes a text, with … for what is known only when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(as_text(part, known, depth) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return as_text(node.value, known, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return as_text(node.left, known, depth) + as_text(node.right, known, depth)
    if isinstance(node, ast.Name) and node.id in known and depth < 3:
        return as_text(known[node.id], known, depth + 1)
    return "…"


def texts_of(function: ast.AST, modules: dict[str, ast.expr]) -> dict[str, ast.expr]:
    """Return the names that a function gives to a text, once, with the module's own."""
    found, often = dict(modules), set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            often |= {name} & (found.keys() - modules.keys())
            found[name] = node.value
    return {name: value for name, value in found.items() if name not in often}


def split_message(text: str) -> tuple[str, str, str] | None:
    """Split a message into what it says first, the cause and the cure; None where it gives no advice."""
    text = re.sub(r"(… ?){2,}", "… ", re.sub(r"\s+", " ", text)).strip()
    sentences = SENTENCE.split(text)
    begins = [number for number, sentence in enumerate(sentences) if ADVICE.match(sentence)]
    if not begins or begins[0] == 0:
        return None
    says, cause = sentences[0], " ".join(sentences[1 : begins[0]])
    if not cause and (found := re.match(r"(.*?)(?:, (?:but|since|so) |: )(.*[a-z]{3}.*)", says)):
        says, cause = found[1], found[2]
    says = re.sub(r"(: … ?)?\.*$", ".", says, count=1)
    return says, cause, " ".join(sentences[begins[0] :])


def helper_messages() -> list[Message]:
    """Return the messages of the helpers that say what to do, in the order of modules and lines."""
    found = []
    for path in sorted((config.ROOT / "helpers").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            known = texts_of(function, own)
            for node in ast.walk(function):
                if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and len(node.exc.args) == 1):
                    continue
                parts = split_message(as_text(node.exc.args[0], known))
                # What begins with a value says too little without it, unless that is the name of a function or a file.
                if parts and (parts[0][0].isupper() or path.stem in SUBJECTS):
                    says = re.sub("^… ", f"{SUBJECTS.get(path.stem)} ", parts[0])
                    found.append(Message(path.stem, ast.unparse(node.exc.func).split(".")[-1], says, *parts[1:]))
    return list(dict.fromkeys(found))
