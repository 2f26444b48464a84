#!@python@/bin/python3.11
"""A program with a module of its package and a data file named by its store path."""
import multiprocessing
import os
import sys

import pyapp_lib

DATA = '@out@/share/pyapp/data.txt'
FORMATTED = f"{'@out@'}/share/pyapp/data.txt"


def square(n):
    return (n * n, os.path.basename(sys.executable))


def main():
    print('file', __file__)
    print('argv0', sys.argv[0])
    print('args', sys.argv[1:])
    print('path0', sys.path[0])
    print('executable', sys.executable)
    print('module', pyapp_lib.__file__)
    print('greets', pyapp_lib.greeting())
    with open(DATA, encoding='utf-8') as data:
        print('data', data.read().strip())
    print('same', os.path.samefile(DATA, FORMATTED))
    print('PYAPP_HOME', os.environ.get('PYAPP_HOME'))
    if '--spawn' in sys.argv:
        context = multiprocessing.get_context('spawn')
        with context.Pool(2) as pool:
            print('spawned', [n for n, _ in pool.map(square, [1, 2, 3])])


if __name__ == '__main__':
    main()
