"""Compares Python texts before and after an edit: all but the literals' values has to be the same.

Arguments: a directory with <name>.before and <name>.after, the store path, the depth of the text's place.
"""

import ast
import glob
import sys
import warnings

directory, store, depth = sys.argv[1:]
warnings.simplefilter('ignore')


def is_root(node):
    """The expression for the bundle's root, as str or bytes."""
    text = ast.unparse(node)
    return '_storefree_root' in text and "rsplit('/', %s)" % depth in text and '+' not in text


def parts(node):
    """A string in parts, whatever expression makes it; None for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
        value = node.value if isinstance(node.value, str) else node.value.decode('latin-1')
        return [value.replace(store, '<root>/pkg/x-1')]
    if isinstance(node, ast.JoinedStr):
        return [part for value in node.values for part in parts(value) or [value]]
    if isinstance(node, (ast.Call, ast.BoolOp)) and is_root(node):
        return ['<root>']
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = parts(node.left), parts(node.right)
        return None if left is None or right is None else left + right
    return None


class Joined(ast.NodeTransformer):
    def visit(self, node):
        found = parts(node)
        if found is None:
            return self.generic_visit(node)
        joined = ['']
        for part in found:
            if isinstance(part, str) and isinstance(joined[-1], str):
                joined[-1] += part
            else:
                joined.append(part if isinstance(part, str) else self.generic_visit(part))
        elements = [ast.Constant(value=part) if isinstance(part, str) else part for part in joined if part != '']
        return ast.Tuple(elts=elements, ctx=ast.Load())


def tree(path):
    with open(path, 'rb') as file:
        text = file.read()
    compile(text, path, 'exec')
    module = ast.parse(text)
    lines = [node.lineno for node in ast.walk(module) if isinstance(node, ast.stmt)]
    return ast.dump(Joined().visit(module)), lines


same = 0
for before in sorted(glob.glob(directory + '/*.before')):
    if tree(before) == tree(before[: -len('before')] + 'after'):
        same += 1
    else:
        print('differs:', before)
print(same, 'same')
