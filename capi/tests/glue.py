"""Tells what a file of Julia has, for a test to compare: glue.py FILE.

One line each: "error LINE" where the syntax is wrong; "call LINE NAME RESULT|ARGUMENT|..." with the number of values, for
each ccall; "struct NAME TYPE|...", "table NAME KEY=NUMBER|..." and "names NAME :SYMBOL|...".
"""

import sys

import tree_sitter
import tree_sitter_julia

source = open(sys.argv[1], "rb").read()
tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_julia.language())).parse(source)


def text(node):
    return " ".join(node.text.decode().split())


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


def items(node):
    return [child for child in node.named_children if child.type not in ("line_comment", "block_comment")]


for node in walk(tree.root_node):
    line = node.start_point[0] + 1
    if node.type == "ERROR" or node.is_missing:
        print("error", line)
    if node.type == "call_expression" and node.children[0].text == b"ccall":
        function, result, types, *values = items(node.children[1])
        name = text(function).replace(" ", "")
        types = [text(item) for item in items(types)]
        print("call", line, name, len(values), "|".join([text(result)] + types))
    if node.type == "struct_definition":
        head, *fields = items(node)
        fields = [text(field).split("::") for field in fields]
        print("struct", text(head).split(" ")[0], "|".join(field[1] for field in fields if len(field) == 2))
    if node.type == "assignment" and node.children[2].type in ("tuple_expression", "parenthesized_expression"):
        entries = [text(item).replace(" ", "") for item in items(node.children[2])]
        if entries and all("=" in entry for entry in entries):
            print("table", text(node.children[0]), "|".join(entries))
        if entries and all(entry.startswith(":") for entry in entries):
            print("names", text(node.children[0]), "|".join(entries))
